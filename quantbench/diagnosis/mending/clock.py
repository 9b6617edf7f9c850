"""Candidates timed on this machine."""

from __future__ import annotations

import tempfile
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantbench.measure.rounds import medians_in_turn_ns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from quantbench.core.progress import Step
    from quantbench.core.settings import Machine
    from quantbench.diagnosis.opened import Model
    from quantbench.protocols import Profile

_ROUNDS = 40  # of each candidate


@dataclass(frozen=True)
class Timing:
    """How a backend's models are timed.

    Attributes:
        opened: opens a model's content to answer on so many threads.
        write: puts a model's content into an empty folder, as an artifact has it.
        profile: the backend's own (`Backend.profile`).
    """

    opened: Callable[[bytes, int], AbstractContextManager[Model]]
    write: Callable[[bytes, Path], object]
    profile: Callable[[Path, Sequence[Any], Machine, Step], Sequence[Profile]]


class MachineClock:
    """Times candidates on this machine (`fastest.Clock`)."""

    def __init__(
        self,
        timing: Timing,
        float_content: bytes,
        sample: NDArray[Any],
        machine: Machine,
        step: Step,
    ) -> None:
        """Time nothing yet.

        Args:
            timing: of the backend.
            float_content: of the float model.
            sample: that every model is run on, prepared.
            machine: that they are timed on.
            step: is told of the parts of a profile.
        """
        self._timing, self._float, self._sample = timing, float_content, sample
        self._machine, self._step = machine, step

    def seconds(self, contents: Sequence[bytes]) -> list[float]:
        """Median of one inference of each, in turn, so that all see the same load."""
        with ExitStack() as held:
            threads = self._machine.threads
            models = [
                held.enter_context(self._timing.opened(content, threads)) for content in contents
            ]
            calls = [partial(model, self._sample) for model in models]
            return [1e-9 * taken for taken in medians_in_turn_ns(calls, _ROUNDS)]

    def lost(self, content: bytes) -> dict[str, float]:
        """Of ops that the float model has too, by name."""
        before, after = self._profile(self._float), self._profile(content)
        in_float = {op.name: op.ns for op in before.ops}
        return {
            op.name: (op.ns - in_float[op.name]) / after.whole_ns
            for op in after.ops
            if op.name in in_float
        }

    def _profile(self, content: bytes) -> Profile:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            self._timing.write(content, folder)
            profile = self._timing.profile
            (found,) = profile(folder, [self._sample], self._machine, self._step)
        return found
