"""The schemes of a backend that are listed one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from quantbench.study.scheme import Scheme

# Quantizer: scheme: storage of weights and of activations.
Listed = Mapping[str, Mapping[str, tuple[str, str]]]


@dataclass(frozen=True)
class ListedSchemes:
    """A `SchemeFamily` of names that are given.

    Attributes:
        backend: whose they are.
        listed: names and storage, by quantizer.
    """

    backend: str
    listed: Listed

    @property
    def names(self) -> tuple[str, ...]:
        """All, in their order."""
        return tuple(name for schemes in self.listed.values() for name in schemes)

    @property
    def patterns(self) -> tuple[str, ...]:
        """The names as they are."""
        return self.names

    def parse(self, name: str) -> Scheme | None:
        """The scheme of this name."""
        for quantizer, schemes in self.listed.items():
            if name in schemes:
                return Scheme(name, self.backend, quantizer, *schemes[name])
        return None
