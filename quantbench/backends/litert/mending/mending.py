"""Mending a case of LiteRT's (`quantbench/diagnosis/mending/` is the procedure)."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantbench.backends.litert.convert import float_file
from quantbench.backends.litert.interpreter import opened
from quantbench.backends.litert.mending.repaired import Repaired
from quantbench.core.progress import Steps
from quantbench.diagnosis.mending.mending import Mender, mended_by

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from quantbench.backends.litert.mending.recipes import Recipe
    from quantbench.core.progress import Progress
    from quantbench.protocols import MendableTask
    from quantbench.study import Gate


def mended(
    float_model: Path,
    task: MendableTask,
    samples: Sequence[Any],
    gate: Gate,
    progress: Progress,
    what: str,
) -> Recipe:
    """Search a recipe; raises as `mended_by`."""
    mender = Mender(_read, partial(opened, threads=1), Repaired)
    with Steps(progress, what) as step:
        return mended_by(mender, float_model, task, samples, gate, step)


def _read(float_model: Path, prepared: Sequence[NDArray[Any]]) -> bytes:
    with tempfile.TemporaryDirectory() as temporary:
        return float_file(float_model, prepared, Path(temporary)).read_bytes()
