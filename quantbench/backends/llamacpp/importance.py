"""How much each input of a weight matters: the mean square of its activations.

llama.cpp's importance matrix, by the definition of its tool `llama-imatrix`: over all tokens of
the calibration texts, the squares of what a layer's matrix is multiplied with, column by column.
The quantizer weighs rounding errors with it. Collected in this process, from the same products that
the tool watches; as there, embedding and head have none.
"""

from __future__ import annotations

import ctypes
import re
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.backends.llamacpp.library import llama
from quantbench.backends.llamacpp.model import Model
from quantbench.backends.llamacpp.tensors import F32, Tensor
from quantbench.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from quantbench.data.prompts import Prompt

_F32_BYTES = 4
_WATCHED = re.compile(r"blk\.\d+\..*\.weight")


def importance_of(
    path: Path, prompts: Sequence[Prompt], threads: int
) -> dict[str, NDArray[np.float32]]:
    """Mean square of each input of each weight matrix over the prompts' tokens, by its name.

    Raises:
        PredictionError: llama.cpp cannot run the model.
        BuildError: nothing was seen: this llama.cpp lays its tensors out differently.
    """
    sums: dict[str, NDArray[np.float64]] = {}
    counts: dict[str, int] = {}
    failures: list[Exception] = []

    def watch(pointer: int, ask: bool, _: Any) -> bool:  # noqa: FBT001 - C's signature
        try:
            return _seen(pointer, ask=ask, sums=sums, counts=counts)
        except Exception as error:  # noqa: BLE001 - C would swallow it
            failures.append(error)
            return False

    callback = llama().ggml_backend_sched_eval_callback(watch)
    longest = max(len(prompt.tokens) for prompt in prompts)
    with (
        Model(path) as model,
        closing(
            model.context(longest, threads=threads, outputs=longest, exact=True, watch=callback)
        ) as context,
    ):
        for prompt in prompts:
            context.clear()
            # All logits are asked for, as by the tool: the last layer skips the others' rows.
            context.continue_with(prompt.tokens, all_logits=True)
            if failures:
                raise failures[0]
    fed = sum(len(prompt.tokens) for prompt in prompts)
    if not counts or any(count != fed for count in counts.values()):
        raise BuildError(
            "llama.cpp's products could not be watched",
            where=path.name,
            expected=f"every weight matrix multiplied with {fed} tokens",
            got=f"{len(counts)} matrices, {sorted(set(counts.values()))} tokens",
            remedy="report it with the version of llama-cpp-python; take the scheme without _im",
        )
    return {name: (sums[name] / counts[name]).astype(np.float32) for name in sums}


def _seen(
    pointer: int, *, ask: bool, sums: dict[str, NDArray[np.float64]], counts: dict[str, int]
) -> bool:
    """Whether a tensor's values are wanted; then, with them there, take their squares in."""
    tensor = Tensor.from_address(pointer)
    if not (tensor.src[0] and tensor.src[1]):
        return False
    name = tensor.src[0].contents.name.decode(errors="replace")
    if not _WATCHED.fullmatch(name):
        return False
    values = tensor.src[1].contents
    if ask:
        return True
    columns, rows = values.ne[0], values.ne[1] * values.ne[2] * values.ne[3]
    if values.type != F32 or tuple(values.nb[:2]) != (_F32_BYTES, _F32_BYTES * columns):
        raise BuildError(
            "what a weight is multiplied with is no plain matrix of float32",
            where=name,
            got=f"type {values.type}, strides {tuple(values.nb)}",
            remedy="report it with the version of llama-cpp-python; take the scheme without _im",
        )
    flat = (ctypes.c_float * (columns * rows)).from_address(values.data)
    squares = np.square(np.frombuffer(flat, np.float32).reshape(rows, columns), dtype=np.float64)
    sums[name] = sums.get(name, np.zeros(columns)) + squares.sum(axis=0)
    counts[name] = counts.get(name, 0) + rows
    return True
