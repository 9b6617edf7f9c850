"""Weights rounded by llama.cpp's own quantizer, with or without an importance matrix."""

from __future__ import annotations

import ctypes
import os
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.backends.llamacpp.check import check_build
from quantbench.backends.llamacpp.files import FLOAT_TYPES, MODEL, float_file, stored_types
from quantbench.backends.llamacpp.importance import importance_of
from quantbench.backends.llamacpp.library import forget_log, llama, refused
from quantbench.backends.llamacpp.schemes import file_type
from quantbench.core.settings import usable_threads
from quantbench.errors import BuildError
from quantbench.formats.gguf_header import read_header

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from quantbench.data.prompts import Prompt
    from quantbench.study import Scheme


class FloatQuantizer:
    """The float model in float32, float16 or bfloat16."""

    tools = ("llama-cpp-python", "gguf")
    version = 1
    calibrated = False

    def build(
        self, float_model: Path, scheme: Scheme, samples: Sequence[Prompt], folder: Path
    ) -> Mapping[str, Any]:
        """Write and check the model; float32 is a copy.

        Raises:
            BuildError: the model is quantized already, or does not check.
            PredictionError: llama.cpp cannot write or run it.
        """
        source, path = float_file(float_model, scheme.name), folder / MODEL
        if scheme.weights == "float32":
            _check_wide(source)
            shutil.copyfile(source, path)
        else:
            quantize(source, path, file_type(scheme))
        return check_build(path, samples)


class RoundedQuantizer:
    """Weights rounded block by block, nearest in squared error."""

    tools = ("llama-cpp-python", "gguf")
    version = 1
    calibrated = False

    def build(
        self, float_model: Path, scheme: Scheme, samples: Sequence[Prompt], folder: Path
    ) -> Mapping[str, Any]:
        """Write and check the model.

        Raises:
            BuildError: the model is quantized already, no weight of it can be, or it does not
                check.
            PredictionError: llama.cpp cannot write or run it.
        """
        path = folder / MODEL
        quantize(float_file(float_model, scheme.name), path, file_type(scheme))
        _check_rounded(path, scheme)
        return check_build(path, samples)


class WeightedQuantizer:
    """Weights rounded with an importance matrix from the calibration samples (`importance.py`)."""

    tools = ("llama-cpp-python", "gguf")
    version = 1
    calibrated = True

    def build(
        self, float_model: Path, scheme: Scheme, samples: Sequence[Prompt], folder: Path
    ) -> Mapping[str, Any]:
        """Observe the float model on the samples, then write and check the model.

        Raises:
            BuildError: the model is quantized already, no weight of it can be, or it does not
                check.
            PredictionError: llama.cpp cannot run or write it.
        """
        source, path = float_file(float_model, scheme.name), folder / MODEL
        importance = importance_of(source, samples, usable_threads(os.environ))
        quantize(source, path, file_type(scheme), importance)
        _check_rounded(path, scheme)
        observed = sum(len(prompt.tokens) for prompt in samples)
        return check_build(path, samples) | {
            "importance_tokens": observed,
            "importance_tensors": len(importance),
        }


def quantize(
    source: Path,
    path: Path,
    file_type: int,
    importance: Mapping[str, NDArray[np.float32]] | None = None,
) -> None:
    """Write a model in another file type, by `llama_model_quantize`.

    Args:
        source: a float GGUF file.
        path: that is written.
        file_type: `enum llama_ftype`.
        importance: of each input of a weight, [inputs], by the weight's name.

    Raises:
        PredictionError: llama.cpp refused.
    """
    library = llama()
    params = library.llama_model_quantize_default_params()
    params.ftype, params.nthread = file_type, usable_threads(os.environ)
    if importance is not None:
        entries = _entries(library, importance)
        params.imatrix = ctypes.cast(entries, type(params.imatrix))
    forget_log()
    if library.llama_model_quantize(str(source).encode(), str(path).encode(), params):
        raise refused("llama.cpp cannot quantize the model", source.name)


def _entries(library: Any, importance: Mapping[str, NDArray[np.float32]]) -> Any:
    """The C array, which ends with an entry without a name; it keeps the arrays alive."""
    kind = library.llama_model_imatrix_data
    entries = (kind * (len(importance) + 1))()
    kept = []
    for entry, (name, values) in zip(entries, importance.items(), strict=False):
        numbers = np.ascontiguousarray(values, np.float32)
        kept.append(numbers)
        entry.name = name.encode()
        entry.data = numbers.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        entry.size = numbers.size
    entries.kept = kept
    return entries


def _check_wide(path: Path) -> None:
    kinds = stored_types(read_header(path))
    if set(kinds) != {"F32"}:
        raise BuildError(
            "gguf_f32 needs weights in float32",
            where=path.name,
            got=", ".join(f"{n} tensors in {kind}" for kind, n in kinds.items()),
            remedy=f"take {_own_float(kinds)} as the reference: nothing wider is in the file",
        )


def _own_float(kinds: Mapping[str, int]) -> str:
    """The float scheme that rounds none of these: bfloat16 has fewer digits than float16."""
    return "gguf_bf16" if "BF16" in kinds else "gguf_f16"


def _check_rounded(path: Path, scheme: Scheme) -> None:
    """Rows that fit no block stay in float16: a file of those alone is no quantized model."""
    kinds = stored_types(read_header(path))
    if not kinds.keys() - FLOAT_TYPES:
        raise BuildError(
            f"llama.cpp quantized no weight of the model to {scheme.name}",
            where=path.name,
            expected="rows of a multiple of 32 numbers, the shortest block",
            got=", ".join(f"{n} tensors in {kind}" for kind, n in kinds.items()),
            remedy="judge it in gguf_f16, which is what this would be",
        )
