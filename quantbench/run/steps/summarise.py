"""Summing up: from rows to replicates of every metric, alone and beside the reference."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.core.digests import digest_of
from quantbench.core.plugins import code_digest
from quantbench.run.steps.resolve import protocol_of
from quantbench.stats.bootstrap import REPLICATES, SEED, resampling_weights
from quantbench.study.registry import find_task

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from quantbench.protocols import Row, Task
    from quantbench.run.context import Context
    from quantbench.store.artifacts import Artifact
    from quantbench.study import Case

_REPLICATES = "replicates.npz"
_EXPLANATION = "explanation.json"
_CHANGES = "changes.json"


@dataclass(frozen=True)
class Rows:
    """Rows of a case, and what they are known by.

    Attributes:
        case: whose they are.
        read: gives them in the order of the samples, when they are counted.
        n: how many there are.
        sha256: of them all.
        groups: number of each row's group, from 0; None where samples come one by one.
    """

    case: Case
    read: Callable[[], Sequence[Row]]
    n: int
    sha256: str
    groups: NDArray[np.int64] | None

    @property
    def rows(self) -> Sequence[Row]:
        """In the order of the samples."""
        return self.read()

    def weights(self) -> NDArray[np.float64]:
        """As they are, and draws of the samples or of their groups, [1 + draws, rows]."""
        groups = None if self.groups is None else tuple(self.groups.tolist())
        return resampling_weights(self.n, groups=groups)

    def ingredients(self, task: Task) -> dict[str, Any]:
        """What decides over replicates besides the rows: the code that counts, and the groups."""
        groups = None if self.groups is None else digest_of(self.groups.tolist())
        return {
            **counted_by(self.case),
            "code": code_digest(type(task)),
            **({"groups": groups} if groups else {}),
        }


@dataclass(frozen=True)
class Summary:
    """What rows come to.

    Attributes:
        replicates: each metric on the samples as they are and under each draw, [1 + draws].
        details: what the loss is made of (`Task.explain`); or `changes`, the samples that changed
            most, and `explanation`, what the change is made of.
        seconds: that it took, whenever that was.
    """

    replicates: dict[str, NDArray[np.float64]]
    details: Any
    seconds: float


def sum_up(context: Context, mine: Rows, task: Task) -> Summary:
    """Every metric of the rows alone."""

    def write(folder: Path) -> None:
        summed: dict[str, Any] = dict(task.summarise(mine.rows, mine.weights()))
        np.savez(folder / _REPLICATES, **summed)
        (folder / _EXPLANATION).write_text(json.dumps(task.explain(mine.rows), allow_nan=False))

    ingredients = {"evidence": mine.sha256, **mine.ingredients(task)}
    kept = context.get("replicates", ingredients, f"summing up {mine.case}", write)
    return _summary(kept, _EXPLANATION)


def agree(
    context: Context, mine: Rows, theirs: Rows, task: Task, samples: Callable[[], Sequence[Any]]
) -> Summary:
    """The metrics of agreement with the reference's rows, which are as many.

    Args:
        context: where it is kept.
        mine: the case's rows.
        theirs: the reference's, of the same samples.
        task: that counts them.
        samples: gives them, to show those that changed most.
    """
    most = context.settings.examples

    def write(folder: Path) -> None:
        agreed: dict[str, Any] = dict(task.agree(mine.rows, theirs.rows, mine.weights()))
        np.savez(folder / _REPLICATES, **agreed)
        by_id = {sample.id: sample for sample in samples()}
        explain: Any = getattr(task, "explain_change", lambda *_: {})
        found = {
            "changes": task.changes(by_id, mine.rows, theirs.rows, most),
            "explanation": dict(explain(mine.rows, theirs.rows)),
        }
        (folder / _CHANGES).write_text(json.dumps(found, allow_nan=False))

    ingredients = {
        "evidence": [mine.sha256, theirs.sha256],
        "rows": mine.n,
        "examples": most,
        **mine.ingredients(task),
    }
    what = f"comparing {mine.case} with {theirs.case.scheme.name}"
    return _summary(context.get("agreement", ingredients, what, write), _CHANGES)


def counted_by(case: Case) -> dict[str, Any]:
    """How rows become replicates."""
    metrics = getattr(find_task(case.task), "metrics_version", 1)
    return {
        "protocol": protocol_of(case),
        **({"metrics": metrics} if metrics > 1 else {}),
        "operating_points": getattr(case.model.interface, "operating_points", ()),
        "replicates": REPLICATES,
        "seed": SEED,
    }


def protocol_digest(case: Case) -> str:
    """Of how samples become rows, and rows numbers, versions of tools left out."""
    counted = counted_by(case)
    counted["protocol"] = {k: v for k, v in counted["protocol"].items() if k != "tools"}
    return digest_of(counted)


def _summary(kept: Artifact, details: str) -> Summary:
    with np.load(kept.path / _REPLICATES, allow_pickle=False) as arrays:
        replicates = dict(arrays)
    return Summary(replicates, json.loads((kept.path / details).read_text()), kept.build_s)
