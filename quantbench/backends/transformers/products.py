"""Products with a weight that does not change, and the step that follows each in a Llama layer.

oneDNN takes that step on the sums that it still holds in registers, before they are rounded. Of a
small model in bfloat16 on a processor the weights are laid out once more for it: an eighth of the
time of scoring saved, for the bytes of the decoder's weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor

_PACKED_AT_MOST = 2**30  # bytes of decoder weights that may be held once more


class Product(Protocol):
    """From [tokens, inputs] to [tokens, outputs]."""

    def __call__(self, x: Tensor) -> Tensor:
        """The product."""

    def plus(self, x: Tensor, other: Tensor) -> Tensor:
        """The product and `other`, summed."""

    def times(self, x: Tensor, other: Tensor) -> Tensor:
        """The product and `other`, multiplied element by element."""

    def silu(self, x: Tensor) -> Tensor:
        """SiLU of the product."""


class PlainProduct:
    """By torch's public functions, on any device."""

    def __init__(self, weight: Tensor) -> None:
        """Take a weight, [outputs, inputs]."""
        self._weight = weight.detach().T

    def __call__(self, x: Tensor) -> Tensor:
        """The product."""
        return x @ self._weight

    def plus(self, x: Tensor, other: Tensor) -> Tensor:
        """The product and `other`, summed."""
        return other.addmm(x, self._weight)

    def times(self, x: Tensor, other: Tensor) -> Tensor:
        """The product and `other`, multiplied element by element."""
        return (x @ self._weight).mul_(other)

    def silu(self, x: Tensor) -> Tensor:
        """SiLU of the product."""
        from torch.nn import functional

        return functional.silu(x @ self._weight, inplace=True)


class PackedProduct:
    """By the operators that torch's own compiler writes for weights that do not change."""

    def __init__(self, weight: Tensor) -> None:
        """Lay out a weight, [outputs, inputs]."""
        import torch

        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach())  # noqa: SLF001
        self._multiply: Any = torch.ops.mkldnn._linear_pointwise  # noqa: SLF001

    def __call__(self, x: Tensor) -> Tensor:
        """The product."""
        return self._then(x, "none")

    def plus(self, x: Tensor, other: Tensor) -> Tensor:
        """The product and `other`, summed."""
        return self._with(x, other, "add")

    def times(self, x: Tensor, other: Tensor) -> Tensor:
        """The product and `other`, multiplied element by element."""
        return self._with(x, other, "mul")

    def silu(self, x: Tensor) -> Tensor:
        """SiLU of the product."""
        return self._then(x, "swish")

    def _then(self, x: Tensor, step: str) -> Tensor:
        made: Tensor = self._multiply(x, self._weight, None, step, [], "")
        return made

    def _with(self, x: Tensor, other: Tensor, step: str) -> Tensor:
        made: Tensor = self._multiply.binary(x, other, self._weight, None, step)
        return made


def product_kind(weights: list[Tensor]) -> type[PlainProduct | PackedProduct]:
    """The fastest that these weights of a decoder allow."""
    import torch

    packs = (
        torch.backends.mkldnn.is_available()
        and all(w.device.type == "cpu" and w.dtype == torch.bfloat16 for w in weights)
        and sum(w.nbytes for w in weights) <= _PACKED_AT_MOST
    )
    return PackedProduct if packs else PlainProduct
