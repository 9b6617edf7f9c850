"""A step, done by a session: what every process does, whoever told it to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from quantbench.store.artifacts import Artifact, Store
from quantbench.store.manifests import key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from quantbench.protocols import Step
    from quantbench.run.session import Session


def perform(session: Session, step: Step) -> None:
    """Do a step: what it makes is in the session's store then."""
    match step.kind:
        case "import":
            session.float_model(step.case)
        case "build":
            session.artifact(step.case)
        case "predict":
            session.predicted(step.case, range(step.start, step.stop))
        case "sum up":
            session.sum_up(step.case)
        case "compare":
            session.compare(step.case)


class LackingError(Exception):
    """The store does not have an entry, and nobody may make it here."""

    def __init__(self, kind: str, ingredients: Mapping[str, Any]) -> None:
        """Tell what is lacking."""
        self.kind, self.ingredients = kind, ingredients
        self.key = key_of(kind, ingredients)
        super().__init__(f"{kind} {self.key}")


@dataclass
class Watched(Store):
    """A store that remembers which entries were asked for.

    Attributes:
        dry: only sources are made, for they are fetched where the network is.
        used: entries that are known, by kind and key.
        asked: kinds and keys of those that were asked for since this was cleared.
    """

    dry: bool = False
    used: dict[tuple[str, str], Artifact] = field(default_factory=dict)
    asked: dict[tuple[str, str], None] = field(default_factory=dict)

    def get(
        self,
        kind: str,
        ingredients: Mapping[str, Any],
        build: Callable[[Path], Mapping[str, Any] | None],
    ) -> Artifact:
        """As a store's.

        Raises:
            LackingError: it is not there, and this store is dry.
        """

        def refuse(_: Path) -> None:
            raise LackingError(kind, ingredients)

        wet = not self.dry or kind == "source"
        if not wet and not self.has(kind, ingredients):  # no lock is taken to look
            refuse(self.root)
        found = super().get(kind, ingredients, build if wet else refuse)
        self.used[kind, found.key] = found
        self.asked[kind, found.key] = None
        return found
