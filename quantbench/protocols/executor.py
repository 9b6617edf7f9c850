"""Where the steps of a run are done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from quantbench.study import Case

StepKind = Literal["import", "build", "predict", "sum up", "compare"]


@dataclass(frozen=True)
class Step:
    """A part of a case's way, as data: any process that has the case can do it.

    What it makes are entries of the store.

    Attributes:
        kind: `import` makes the float model, `build` the artifact, `predict` rows of consecutive
            samples, `sum up` metrics under each draw, `compare` those beside the reference.
        case: whose step it is.
        start: of `predict`, the first sample.
        stop: of `predict`, the sample after the last.
    """

    kind: StepKind
    case: Case
    start: int = 0
    stop: int = 0

    def __str__(self) -> str:
        """The case's name, then what is done."""
        done = f"samples {self.start} to {self.stop}" if self.kind == "predict" else self.kind
        return f"{self.case}: {done}"


class Executor(Protocol):
    """Does steps, here or elsewhere, and puts what they make into the store of this process.

    Attributes:
        variants: what of the machines that predict a case changes its answers (`Runner.variant`),
            for cases of which that is known to be another machine than this one.
    """

    @property
    def variants(self) -> Mapping[Case, str]:
        """See above."""

    def expect(self, steps: Sequence[Step]) -> None:
        """Hear what will be asked for, in this order: begin it, where that helps."""

    def settle(self, step: Step) -> None:
        """Wait until the step is done elsewhere, or return at once where it is done here.

        Raises:
            QuantbenchError: what the step raised elsewhere.
        """

    def alone(self) -> AbstractContextManager[None]:
        """For the time of the block, nothing else is computed on this machine."""
