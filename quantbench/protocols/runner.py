"""What an opened artifact must be able to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from quantbench.core.settings import Machine
    from quantbench.protocols.facts import Facts


class Runner(Protocol):
    """An opened artifact, made from its folder and a `Machine`.

    `tools` are the distributions whose versions its answers depend on, `devices` those that it
    runs on ("cpu", "cuda"): a case on another is refused, and without the attribute on any but
    the processor.
    """

    tools: tuple[str, ...]
    devices: tuple[str, ...]

    @staticmethod
    def variant(machine: Machine) -> str:
        """What of this machine changes its answers: the device, the float type."""

    def predict(self, prepared: Any) -> Any:
        """The model alone on one prepared sample: no preprocessing, no decoding."""

    def predict_all(self, prepared: Iterable[Any]) -> Iterator[Any]:
        """Predictions in the order of the input; a runner may batch inside."""

    def facts(self) -> Facts:
        """What a reader of its times must know."""

    def close(self) -> None:
        """Give memory back."""


class Decoder(Protocol):
    """A runner that generates: what of it is timed besides `predict`."""

    def decoder(self, prepared: Any) -> Callable[[], None]:
        """A callable that generates `tokens` (its attribute) tokens after a prompt in its cache."""
