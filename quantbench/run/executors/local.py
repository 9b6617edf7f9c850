"""Every step is done in this process, when somebody asks for what it makes."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from quantbench.protocols import Step
    from quantbench.study import Case


class Local:
    """Leaves every step to whoever asks for what it makes."""

    variants: Mapping[Case, str] = {}

    def expect(self, steps: Sequence[Step]) -> None:
        """Begin nothing: this process is needed for what is asked first."""
        del steps

    def settle(self, step: Step) -> None:
        """Return at once: the step is done here."""
        del step

    def alone(self) -> AbstractContextManager[None]:
        """Nothing else is computed."""
        return nullcontext()
