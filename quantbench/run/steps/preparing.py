"""What every build does around its quantizer: samples prepared, checked, energy counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quantbench.errors import DataError
from quantbench.run.context import explained

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from quantbench.protocols import Task
    from quantbench.run.context import Context
    from quantbench.study import Case


def counted(
    context: Context, case: Case, write: Callable[[Path], Mapping[str, Any]]
) -> Callable[[Path], Mapping[str, Any]]:
    """A build with the energy that it took among the details, where a counter says so."""

    def counted(folder: Path) -> Mapping[str, Any]:
        with context.spent(case.device) as used:
            details = write(folder)
        return {**details, **used.as_details()}

    return counted


def check_samples(case: Case, task: Task, samples: Sequence[Any]) -> None:
    """Let the task refuse samples that it could not judge."""
    if (check := getattr(task, "check", None)) is not None:
        with explained(f"checking the samples of {case.dataset.name}", DataError):
            check(samples)


def prepared(context: Context, case: Case, task: Task, samples: Sequence[Any]) -> list[Any]:
    """The model's inputs for samples, by their task."""
    found = []
    with context.progress.working(f"preparing samples for {case}", len(samples)) as advance:
        for sample in samples:
            found.append(task.prepare(sample))
            advance(1)
    return found
