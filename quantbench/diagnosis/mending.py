"""Mending a case: samples and a task in, a recipe out (`search.py` is the procedure)."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantbench.diagnosis.judge import TaskJudge, check_searchable
from quantbench.diagnosis.search import CHOOSING, OBSERVED, search
from quantbench.progress import Steps
from quantbench.quantize.litert import float_file
from quantbench.study import Gate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quantbench.progress import Progress
    from quantbench.protocols import Task
    from quantbench.quantize.recipes import Recipe

MENDED = Gate("AP", 0.015)  # what a recipe is searched for when nobody says otherwise
MOST = 256  # samples of the calibration split: 64 observed, 24 to choose by, the others judge
SEARCH = 7  # version of the procedure


def mended(
    float_model: Path,
    task: Task,
    samples: Sequence[Any],
    gate: Gate,
    progress: Progress,
    what: str,
) -> Recipe:
    """Search a recipe.

    Raises:
        UsageError: too few samples, or a gate that the search cannot judge by.
    """
    check_searchable(gate, len(samples), OBSERVED)
    prepared = [task.prepare(sample) for sample in samples]
    with tempfile.TemporaryDirectory() as temporary, Steps(progress, what) as step:
        path = float_file(float_model, prepared[:1], Path(temporary))
        others = samples[OBSERVED:], prepared[OBSERVED:], CHOOSING
        judge = TaskJudge(task, *others, path.read_bytes(), gate.metric)
        return search(path, prepared, judge, gate.margin, step)
