"""`linear.npz`, the format of float models and of artifacts: arrays alone, nothing pickled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FILE = "linear.npz"
_NIBBLE = 15


def write_float(weights: NDArray[np.float64], folder: Path) -> None:
    """Weights [classes, features + 1], the bias last."""
    np.savez(folder / FILE, weights=weights)


def write_codes(codes: NDArray[np.int8], scales: NDArray[Any], bits: int, folder: Path) -> None:
    """Codes [classes, features + 1] and a scale a class; of four bits two share a byte."""
    packed = codes
    if bits == 4:
        even = np.pad(codes, ((0, 0), (0, codes.shape[1] % 2))).view(np.uint8) & _NIBBLE
        packed = even[:, ::2] | even[:, 1::2] << 4
    shape = np.array(codes.shape)
    np.savez(folder / FILE, codes=packed, scales=scales, bits=np.array(bits), shape=shape)


def read_weights(folder: Path) -> tuple[NDArray[np.float64], int]:
    """Weights as numbers, and the bytes that store them."""
    with np.load(folder / FILE, allow_pickle=False) as arrays:
        if "weights" in arrays:
            weights = arrays["weights"]
            return weights, int(weights.nbytes)
        packed, scales = arrays["codes"], arrays["scales"]
        bits, shape = int(arrays["bits"]), tuple(arrays["shape"])
    codes = packed.view(np.int8)
    if bits == 4:
        low, high = (packed << 4).view(np.int8) >> 4, codes >> 4  # the shift keeps the sign
        codes = np.stack([low, high], axis=-1).reshape(shape[0], -1)[:, : shape[1]]
    return codes * scales[:, None], int(packed.nbytes + scales.nbytes)
