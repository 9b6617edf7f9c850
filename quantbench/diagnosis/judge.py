"""What the search of every recipe is judged by: a paired loss on the calibration split."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantbench.errors import UsageError
from quantbench.stats.influence import influence_of
from quantbench.stats.influences import PairedInfluence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quantbench.protocols import Row, Task
    from quantbench.study import Gate


def check_searchable(gate: Gate, samples: int, calibrating: int, of: str = "samples") -> None:
    """Refuse what no recipe can be searched by.

    Args:
        gate: that the recipe is to pass.
        samples: of the calibration split.
        calibrating: those that calibrate; the others judge.
        of: what they are, for people.

    Raises:
        UsageError: fewer judge than calibrate, or the margin is a share.
    """
    if samples < 2 * calibrating:
        raise UsageError(
            f"too few calibration {of} to search a recipe by",
            expected=f"at least {2 * calibrating}: {calibrating} calibrate, the others judge",
            got=samples,
        )
    if gate.relative:
        raise UsageError("a recipe is searched by a margin in the metric's own unit", got=gate)


def paired_loss(
    task: Task,
    metric: str,
    values: tuple[float, float],
    rows: tuple[Sequence[Row], Sequence[Row]],
) -> tuple[float, float]:
    """Difference to the float model, higher being better, and its lower bound at 95 %.

    By influences (`stats/influences.py`).

    Args:
        task: that counts the rows.
        metric: a name of its own.
        values: of the metric, of the candidate and of the float model.
        rows: of the candidate and of the float model, in one order.
    """
    mine, meant = (influence_of(task, each, rows[1], metric) for each in rows)
    compared = PairedInfluence.between(values, (mine, meant))
    if metric in task.lower_is_better:
        compared = compared.mirrored()
    low, _ = compared.bounds(0.05)
    return compared.value, low
