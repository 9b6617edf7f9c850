"""A known mistake, and how it is put into a running study."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


IMPORTED = ("source", "float_model")
BUILT = (*IMPORTED, "artifact")
PREDICTED = (*BUILT, "evidence")


@dataclass(frozen=True)
class Mutant:
    """A mistake: what is replaced, by what, and what must be said of it.

    Attributes:
        place: the object that holds the name.
        name: what is replaced.
        make: from what stands there to the mistake.
        error: what the study ends in.
        says: a part of its message.
        kept: kinds of the store that a run without the mistake has filled already.
    """

    mistake: str
    place: Any
    name: str
    make: Callable[[Any], Any]
    error: type[Exception]
    says: str
    kept: tuple[str, ...] = BUILT

    def __str__(self) -> str:
        """As its test is named."""
        return self.mistake

    def put_back(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Into its one place."""
        right = vars(self.place)[self.name]
        monkeypatch.setattr(self.place, self.name, self.make(right))

    def goes_red(self, study: Callable[[], object]) -> None:
        """The study ends in its error, and for its reason."""
        with pytest.raises(self.error) as caught:
            study()
        assert self.says in str(caught.value)


def taken_over(cache: Path, to: Path, *kinds: str) -> Path:
    """A cache of one's own that starts with what another one has of these kinds."""
    for kind in kinds:
        if (cache / kind).exists():
            shutil.copytree(cache / kind, to / kind)
    return to
