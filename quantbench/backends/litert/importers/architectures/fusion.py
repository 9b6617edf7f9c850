"""The weighted sum of a bidirectional pyramid, a Keras layer."""

from __future__ import annotations

from typing import Any

import keras

_SMALLEST_SUM = 1e-4


class FastFusion(keras.layers.Layer):  # type: ignore[misc]
    """Inputs of one shape, each weighted from 0 (Tan et al., arXiv 1911.09070, section 3.3)."""

    def build(self, input_shape: list[tuple[int | None, ...]]) -> None:
        """A weight for each input."""
        self.shares = self.add_weight(name="shares", shape=(len(input_shape),), initializer="ones")

    def call(self, inputs: list[Any]) -> Any:
        """Their sum, weights divided by their own sum."""
        shares = keras.ops.relu(self.shares)
        shares = shares / (keras.ops.sum(shares) + _SMALLEST_SUM)
        return sum(share * x for share, x in zip(keras.ops.unstack(shares), inputs, strict=True))
