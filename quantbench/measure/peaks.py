"""What this machine can do at most: bytes read a second, operations a second."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.util import find_spec

import numpy as np

from quantbench.measure.devices import float_type
from quantbench.measure.rounds import median_ns

_CHUNK_BYTES = 128 << 20  # a thread; beyond any cache of a core
_MOST_BYTES = 2 << 30  # of all threads
_SIDE = 1536  # of the matrices: their product takes long enough, and they fit a cache


@cache
def read_bytes_per_s(threads: int) -> float:
    """Bandwidth of reading memory: the maximum of large float arrays, one a thread.

    One value a cache line would do for the memory; all are looked at, by vector instructions, which
    is faster than memory on any processor that has them.
    """
    size = min(_CHUNK_BYTES, _MOST_BYTES // threads)
    chunks = [np.zeros(size // 4, np.float32) for _ in range(threads)]
    for chunk in chunks:
        chunk[:] = 1.0  # pages are mapped when they are written
    with ThreadPoolExecutor(threads) as pool:
        taken = median_ns(lambda: list(pool.map(np.max, chunks)), seconds=0.5)
    return 1e9 * threads * size / taken


def fast_arithmetic() -> str:
    """The float type that this processor multiplies fastest, "bfloat16" or "float32"."""
    return float_type("cpu") if find_spec("torch") else "float32"


@cache
def operations_per_s(threads: int, dtype: str) -> float:
    """Multiplications and additions of a product of two 1536 x 1536 matrices.

    By torch; where it is not installed by NumPy, which knows float32 alone and takes all cores.

    Args:
        threads: that compute.
        dtype: "float32" or "bfloat16".
    """
    if find_spec("torch") is None:
        one = np.ones((_SIDE, _SIDE), np.float32)
        return 1e9 * 2 * _SIDE**3 / median_ns(lambda: one @ one, seconds=0.5)
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        many = torch.ones(_SIDE, _SIDE, dtype=getattr(torch, dtype))
        taken = median_ns(lambda: torch.matmul(many, many), seconds=0.5)
    finally:
        torch.set_num_threads(before)
    return 1e9 * 2 * _SIDE**3 / taken
