"""Schemes of the runtimes beside LiteRT that a float model of the catalog is studied under."""

from __future__ import annotations

RUNTIME_SCHEMES = (
    *("ort_float32", "ort_float16", "ort_int8_dynamic", "ort_int8_static"),
    *("ort_int8_static_percentile", "ort_int8_static_nncf"),
    *("ov_float32", "ov_float16", "ov_int8_static", "ov_int8_static_mixed", "ov_int8_weight"),
)
