"""ONNX Runtime, described."""

from __future__ import annotations

from quantbench.protocols import Backend, Import, Mending
from quantbench.study import Gate
from quantbench.study.family import ListedSchemes

_HERE = "quantbench.backends.onnxruntime"
_STATIC = ("int8", "int8")

BACKEND = Backend(
    name="onnxruntime",
    schemes=ListedSchemes(
        "onnxruntime",
        {
            "ort_float": {
                "ort_float32": ("float32", "float32"),
                "ort_float16": ("float16", "float32"),
            },
            "ort_dynamic": {"ort_int8_dynamic": ("int8", "float32")},
            "ort_static": {
                "ort_int8_static": _STATIC,
                "ort_int8_static_entropy": _STATIC,
                "ort_int8_static_percentile": _STATIC,
            },
            "ort_nncf": {"ort_int8_static_nncf": _STATIC},
            "ort_int4": {"ort_int4_weight": ("int4", "float32")},
            "ort_mended": {"ort_int8_mended": _STATIC},
            "ort_as_shipped": {"ort_as_shipped": ("as shipped", "as shipped")},
        },
    ),
    runner=f"{_HERE}.runner:OnnxRuntimeRunner",
    quantizers={
        "ort_float": f"{_HERE}.quantizers.floats:FloatQuantizer",
        "ort_dynamic": f"{_HERE}.quantizers.dynamic:DynamicQuantizer",
        "ort_static": f"{_HERE}.quantizers.static:StaticQuantizer",
        "ort_nncf": f"{_HERE}.quantizers.nncf:NNCFQuantizer",
        "ort_int4": f"{_HERE}.quantizers.int4:Int4Quantizer",
        "ort_mended": f"{_HERE}.mending.quantizer:MendedQuantizer",
        "ort_as_shipped": f"{_HERE}.quantizers.as_shipped:AsShippedQuantizer",
    },
    starts_from=("onnx_checked",),
    importers={
        "onnx": Import("onnx", "onnx_checked", f"{_HERE}.importers.onnx:OnnxImporter"),
        "tf2onnx": Import(
            "saved_model", "onnx", f"{_HERE}.importers.saved_model:SavedModelImporter"
        ),
        "torch_onnx": Import(
            "torch_export", "onnx", f"{_HERE}.importers.pytorch:TorchExportImporter"
        ),
    },
    diagnosis=f"{_HERE}.diagnosis.looks:onnx_looks",
    profile=f"{_HERE}.diagnosis.speed:profile",
    plain="ort_float32",
    mendings={
        "ort_mended": Mending(
            Gate("AP", 0.015), 256, 1, f"{_HERE}.mending.mending:mended", for_speed=True
        )
    },
    mended="ort_int8_mended",
    needs=f"{_HERE}.needs:OnnxRuntimeNeeds",
)
