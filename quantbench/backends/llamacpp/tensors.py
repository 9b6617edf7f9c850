"""Tensors of llama.cpp's graph while it computes, as its callback shows them."""

from __future__ import annotations

import ctypes

_DIMENSIONS, _SOURCES, _PARAMETERS, _NAME_BYTES = 4, 10, 16, 64  # of ggml.h
F32 = 0  # enum ggml_type


class Tensor(ctypes.Structure):
    """`struct ggml_tensor` of ggml.h, up to its name."""


Tensor._fields_ = [
    ("type", ctypes.c_int),
    ("buffer", ctypes.c_void_p),
    ("ne", ctypes.c_int64 * _DIMENSIONS),
    ("nb", ctypes.c_size_t * _DIMENSIONS),
    ("op", ctypes.c_int),
    ("op_params", ctypes.c_int32 * _PARAMETERS),
    ("flags", ctypes.c_int32),
    ("src", ctypes.POINTER(Tensor) * _SOURCES),
    ("view_src", ctypes.c_void_p),
    ("view_offs", ctypes.c_size_t),
    ("data", ctypes.c_void_p),
    ("name", ctypes.c_char * _NAME_BYTES),
]
