"""OpenVINO, described."""

from __future__ import annotations

from quantbench.protocols import Backend, Import, Mending
from quantbench.study import Gate
from quantbench.study.family import ListedSchemes

_HERE = "quantbench.backends.openvino"

BACKEND = Backend(
    name="openvino",
    schemes=ListedSchemes(
        "openvino",
        {
            "ov_float": {
                "ov_float32": ("float32", "float32"),
                "ov_float16": ("float16", "float32"),
            },
            "ov_static": {
                "ov_int8_static": ("int8", "int8"),
                "ov_int8_static_mixed": ("int8", "int8"),
            },
            "ov_weight": {
                "ov_int8_weight": ("int8", "float32"),
                "ov_int4_weight": ("int4", "float32"),
            },
            "ov_mended": {"ov_int8_mended": ("int8", "int8")},
            "ov_as_shipped": {"ov_as_shipped": ("as shipped", "as shipped")},
        },
    ),
    runner=f"{_HERE}.runner:OpenVinoRunner",
    quantizers={
        "ov_float": f"{_HERE}.quantizers.floats:FloatQuantizer",
        "ov_static": f"{_HERE}.quantizers.static:StaticQuantizer",
        "ov_weight": f"{_HERE}.quantizers.weights:WeightQuantizer",
        "ov_mended": f"{_HERE}.mending.quantizer:MendedQuantizer",
        "ov_as_shipped": f"{_HERE}.quantizers.as_shipped:AsShippedQuantizer",
    },
    starts_from=("openvino_ir",),
    importers={
        "openvino_onnx": Import(
            "onnx_checked", "openvino_ir", f"{_HERE}.importers.onnx:OnnxImporter"
        ),
        "openvino_saved_model": Import(
            "saved_model", "openvino_ir", f"{_HERE}.importers.saved_model:SavedModelImporter"
        ),
    },
    diagnosis=f"{_HERE}.diagnosis.looks:openvino_looks",
    profile=f"{_HERE}.diagnosis.speed:profile",
    plain="ov_float32",
    mendings={
        "ov_mended": Mending(
            Gate("AP", 0.015), 256, 1, f"{_HERE}.mending.mending:mended", for_speed=True
        )
    },
    mended="ov_int8_mended",
    needs=f"{_HERE}.needs:OpenVinoNeeds",
)
