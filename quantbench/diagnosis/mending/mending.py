"""Mending a case: samples and a task in, a recipe out (`search.py` is the procedure)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from quantbench.core.progress import Steps
from quantbench.diagnosis.judge import check_searchable
from quantbench.diagnosis.mending.candidates import Setting
from quantbench.diagnosis.mending.clock import MachineClock, Timing
from quantbench.diagnosis.mending.fastest import search_fastest
from quantbench.diagnosis.mending.judge import TaskJudge
from quantbench.diagnosis.mending.mendable import Mendable
from quantbench.diagnosis.mending.search import CHOOSING, search
from quantbench.diagnosis.wiring import Tensor
from quantbench.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from quantbench.core.progress import Progress, Step
    from quantbench.core.settings import Machine
    from quantbench.diagnosis.mending.candidates import Found
    from quantbench.diagnosis.opened import OpenModel
    from quantbench.protocols import MendableTask
    from quantbench.study import Gate

Recipe = TypeVar("Recipe")
Recipe_co = TypeVar("Recipe_co", covariant=True)
OBSERVED = 64  # samples that ranges are taken from
_ASKED = ("agreement", "moved", "unanswered")


class Mended(Mendable[Setting, Tensor], Protocol[Setting, Tensor, Recipe_co]):
    """A float model that a backend can mend, and write the recipe of."""

    def recipe(self, found: Found[Setting], /) -> Recipe_co:
        """The backend's own recipe."""


@dataclass(frozen=True)
class Mender(Generic[Setting, Tensor, Recipe]):
    """What a backend mends by.

    Attributes:
        read: the float model's content, of its folder and of prepared samples.
        open_model: opens a model that answers on one thread.
        timing: how its models are timed; None where no recipe is searched for speed.
        machine: that the recipe is to be the fastest on; None for the fewest ops in float.
        mendable: what is searched, of the float model's content, the prepared samples that ranges
            are taken from, and who is told of steps.
    """

    read: Callable[[Path, Sequence[NDArray[Any]]], bytes]
    open_model: OpenModel
    mendable: Callable[[bytes, Sequence[NDArray[Any]], Step], Mended[Setting, Tensor, Recipe]]
    timing: Timing | None = None
    machine: Machine | None = None

    def __call__(
        self,
        float_model: Path,
        task: MendableTask,
        samples: Sequence[Any],
        gate: Gate,
        progress: Progress,
        what: str,
    ) -> Recipe:
        """Search a recipe, as `Mending.search` (`protocols/backend.py`); raises as `mended_by`."""
        with Steps(progress, what) as step:
            return mended_by(self, float_model, task, samples, gate, step)

    def on(self, machine: Machine) -> Mender[Setting, Tensor, Recipe]:
        """The search of the fastest recipe on this machine."""
        return replace(self, machine=machine)


def mended_by(
    mender: Mender[Setting, Tensor, Recipe],
    float_model: Path,
    task: MendableTask,
    samples: Sequence[Any],
    gate: Gate,
    step: Step,
) -> Recipe:
    """Search a recipe.

    Args:
        mender: the backend's part.
        float_model: the folder of the float model.
        task: that judges.
        samples: of the calibration split: the first 64 are observed, 24 choose, the others judge.
        gate: what the recipe is to pass.
        step: is told what is done next and of how many parts.

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
    content = mender.read(float_model, prepared[:1])
    pairs = list(zip(samples, prepared, strict=True))[OBSERVED:]
    judge = TaskJudge(task, gate.metric, pairs, CHOOSING, mender.open_model, content)
    mendable = mender.mendable(content, prepared[:OBSERVED], step)
    if mender.machine is None or mender.timing is None:
        return mendable.recipe(search(mendable, judge, gate.margin, step))
    clock = MachineClock(mender.timing, content, prepared[0], mender.machine, step)
    return mendable.recipe(search_fastest(mendable, judge, clock, gate.margin, step))
