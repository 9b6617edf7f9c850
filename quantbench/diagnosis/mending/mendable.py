"""What the search for a recipe asks of a backend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from quantbench.diagnosis.mending.candidates import Setting
from quantbench.diagnosis.wiring import Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from quantbench.diagnosis.wiring import WiredOp, Wiring


class Mendable(Protocol[Setting, Tensor]):
    """A float model that can be built in integers with some ops left in float.

    A setting says how activations are quantized: in LiteRT the ranges of all tensors.
    """

    @property
    def wiring(self) -> Wiring[Tensor]:
        """Of the float graph whose ops are quantized; the same under every setting."""

    @property
    def carries(self) -> AbstractSet[str]:
        """Kinds of ops that the output tail reaches through (`diagnosis.wiring.tail`)."""

    @property
    def float_bytes(self) -> int:
        """Size of the float model."""

    @property
    def settings(self) -> Mapping[str, Setting]:
        """Of each rule that is tried for all tensors at once, by the rule's name."""

    @property
    def start(self) -> str:
        """The rule whose setting is looked at tensor by tensor, where none passes."""

    @property
    def tensors(self) -> Sequence[Tensor]:
        """Those that ops write and that are rounded, in graph order."""

    def build(self, setting: Setting, kept: Mapping[str, str], /) -> bytes:
        """The quantized model's content with these ops left in float.

        Args:
            setting: how the others are quantized.
            kept: names of ops, and why.
        """

    def rounded_alone(self, setting: Setting, tensor: Tensor, /) -> bytes:
        """The float model's content with one tensor rounded as the setting says."""

    def alternatives(self, setting: Setting, tensor: Tensor, /) -> Sequence[Setting]:
        """Settings that differ in this tensor alone; none where there is no choice."""

    def extra_bytes(self, op: WiredOp[Tensor], /) -> int:
        """What an op weighs more in float than in integers."""
