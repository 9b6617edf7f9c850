"""Mending a case of OpenVINO's (`quantbench/diagnosis/mending/` is the procedure)."""

from __future__ import annotations

import os
from contextlib import contextmanager
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any

from quantbench.backends.openvino.diagnosis.speed import profile
from quantbench.backends.openvino.files import float_file, read, save
from quantbench.backends.openvino.mending.reverted import Reverted, packed, unpacked
from quantbench.backends.openvino.session import OpenVinoModel
from quantbench.core.settings import usable_threads
from quantbench.diagnosis.mending.clock import Timing
from quantbench.diagnosis.mending.mending import Mender

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray


@contextmanager
def opened_content(content: bytes) -> Iterator[OpenVinoModel]:
    """A model of this content, on one thread, for the time of the block.

    Threads that ask for the same content share what was compiled: that takes longer than the few
    samples that a candidate is tried on.

    Raises:
        PredictionError: as `OpenVinoModel`.
    """
    with _COMPILING:
        model = _compiled(content)
    yield model.another()


_COMPILING = Lock()


@lru_cache(maxsize=1)
def _compiled(content: bytes) -> OpenVinoModel:
    threads = usable_threads(os.environ)
    return OpenVinoModel(unpacked(content), threads, streams=threads)


def _read(float_model: Path, prepared: Sequence[NDArray[Any]]) -> bytes:
    del prepared
    return packed(read(float_file(float_model, "ov_int8_mended")))


@contextmanager
def _wide(content: bytes, threads: int) -> Iterator[OpenVinoModel]:
    yield OpenVinoModel(unpacked(content), threads)


def _write(content: bytes, folder: Path) -> None:
    save(unpacked(content), folder)


mended = Mender(_read, opened_content, Reverted, Timing(_wide, _write, profile))
