"""Symmetric integers with one scale a class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.errors import BuildError
from quantbench_linear.storage import read_weights, write_codes, write_float

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from quantbench import Scheme

_ROUNDING = 0.5 + 1e-9  # steps


class LinearQuantizer:
    """Rounds each weight to the nearest step; it asks for no sample."""

    tools = ("numpy",)
    version = 1
    calibrated = False

    def build(
        self, float_model: Path, scheme: Scheme, samples: Sequence[Any], folder: Path
    ) -> Mapping[str, Any]:
        """Write `linear.npz`, read it back, and compare.

        Raises:
            BuildError: a weight came back more than half a step away.
        """
        del samples
        weights, _ = read_weights(float_model)
        if scheme.weights == "float64":
            write_float(weights, folder)
            return {}
        levels = 2 ** (scheme.bits - 1) - 1
        scales = np.abs(weights).max(axis=1) / levels
        scales[scales == 0] = 1.0  # of a class without weights
        codes = np.rint(weights / scales[:, None]).astype(np.int8)
        write_codes(codes, scales, scheme.bits, folder)
        worst = float((np.abs(read_weights(folder)[0] - weights) / scales[:, None]).max())
        if not worst <= _ROUNDING:
            raise BuildError("weights moved by more than rounding does", got=f"{worst:.3g} steps")
        return {"largest_rounding_in_steps": worst}
