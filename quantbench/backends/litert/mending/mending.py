"""Mending a case: samples and a task in, a recipe out (`search.py` is the procedure)."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantbench.backends.litert.convert import float_file
from quantbench.backends.litert.mending.judge import TaskJudge
from quantbench.backends.litert.mending.search import CHOOSING, OBSERVED, search
from quantbench.core.progress import Steps
from quantbench.diagnosis.judge import check_searchable
from quantbench.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quantbench.backends.litert.mending.recipes import Recipe
    from quantbench.core.progress import Progress
    from quantbench.protocols import MendableTask
    from quantbench.study import Gate


_ASKED = ("agreement", "moved", "unanswered")


def mended(
    float_model: Path,
    task: MendableTask,
    samples: Sequence[Any],
    gate: Gate,
    progress: Progress,
    what: str,
) -> Recipe:
    """Search a recipe.

    Raises:
        UsageError: too few samples, a gate that the search cannot judge by, or a task that is no
            `MendableTask`.
    """
    check_searchable(gate, len(samples), OBSERVED)
    if lacking := [name for name in _ASKED if not hasattr(task, name)]:
        raise UsageError(
            "the task's models cannot be mended: it does not say how far answers moved",
            where=f"{type(task).__module__}.{type(task).__qualname__}",
            expected="what quantbench.protocols.MendableTask has",
            got=f"no {', '.join(lacking)}",
        )
    prepared = [task.prepare(sample) for sample in samples]
    with tempfile.TemporaryDirectory() as temporary, Steps(progress, what) as step:
        path = float_file(float_model, prepared[:1], Path(temporary))
        others = samples[OBSERVED:], prepared[OBSERVED:], CHOOSING
        judge = TaskJudge(task, *others, path.read_bytes(), gate.metric)
        return search(path, prepared, judge, gate.margin, step)
