"""Seeded random weights instead of published ones: the name of an architecture, and a seed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from quantbench.core.jsons import MALFORMED, loads
from quantbench.errors import BuildError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Shape = TypeVar("Shape")  # what an importer knows of an architecture

FILE = "architecture.json"
_MOST = 2**63 - 1  # seeds that every framework's generator takes


@dataclass(frozen=True)
class RandomWeights:
    """An architecture to be filled with random weights; a file of the float format `architecture`.

    The importers that know the architecture make the weights (`protocols/backend.py`, `Import`):
    nothing is fetched, and no framework is needed here.

    Attributes:
        architecture: as the importers call it, e.g. `llama_3.2_3b`.
        seed: of the weights.
    """

    architecture: str
    seed: int = 0

    def known(self, architectures: Mapping[str, Shape]) -> Shape:
        """What an importer knows of the architecture.

        Args:
            architectures: all that it knows, by name.

        Raises:
            BuildError: it does not know this one.
        """
        if self.architecture not in architectures:
            raise BuildError(
                f"unknown architecture {self.architecture!r}",
                expected=", ".join(sorted(architectures)),
            )
        return architectures[self.architecture]

    def ingredients(self) -> Mapping[str, Any]:
        """Architecture and seed."""
        return {"random": self.architecture, "seed": self.seed}

    def fetch(self, folder: Path) -> None:
        """Write `architecture.json`."""
        text = json.dumps({"architecture": self.architecture, "seed": self.seed}, indent=1)
        (folder / FILE).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> RandomWeights:
        """Read what `fetch` wrote.

        Raises:
            BuildError: there is no such file, or it says something else.
        """
        path = folder / FILE
        try:
            said = loads(path.read_text(encoding="utf-8"))
            return cls(str(said["architecture"]), int(said["seed"]))
        except (OSError, *MALFORMED) as error:
            raise BuildError(
                "cannot read which architecture is meant",
                where=path,
                expected="a source random:ARCHITECTURE",
                got=error,
            ) from error


def seed_of(text: str) -> int:
    """A seed as a source writes it.

    Raises:
        UsageError: it is no number from 0, or one that no generator takes.
    """
    if not text.isascii() or not text.isdecimal() or len(text) > len(str(_MOST)):
        raise UsageError("not a seed", expected=f"a number from 0 to {_MOST}", got=repr(text[:40]))
    if int(text) > _MOST:
        raise UsageError("not a seed", expected=f"a number from 0 to {_MOST}", got=text)
    return int(text)
