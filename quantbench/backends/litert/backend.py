"""LiteRT, described."""

from __future__ import annotations

from dataclasses import dataclass

from quantbench.backends.litert.importers.architectures import ARCHITECTURES
from quantbench.backends.litert.recovering.names import Recovery
from quantbench.protocols import Backend, Import, Mending
from quantbench.study import Gate, Scheme
from quantbench.study.family import ListedSchemes

_HERE = "quantbench.backends.litert"
_CONVERTED = {  # weights and activations, by TensorFlow's converter
    "float32": ("float32", "float32"),
    "float16": ("float16", "float32"),
    "int8_dynamic": ("int8", "float32"),
    "int8_static": ("int8", "int8"),
    "int16x8_static": ("int8", "int16"),
}
_AEQ = {  # the same by ai-edge-quantizer, and what only it does
    **{f"{name}_aeq": stored for name, stored in _CONVERTED.items() if name != "float32"},
    "int4_weight_aeq": ("int4", "float32"),
}
_NARROW = {"int8x4_static_aeq": ("int4", "int8")}  # activations of 8 bits, weights of 4
CONVERTED_SCHEMES, AEQ_SCHEMES = tuple(_CONVERTED), tuple(_AEQ)


@dataclass(frozen=True)
class _Schemes(ListedSchemes):
    """Those that are listed, and those that are trained back from them."""

    @property
    def names(self) -> tuple[str, ...]:
        return (*super().names, *(f"int8_static_{method}" for method in ("distilled", "qat")))

    @property
    def patterns(self) -> tuple[str, ...]:
        return (*super().names, "{int8_... or int4_...}_distilled_{thousands of samples}k, _qat")

    def parse(self, name: str) -> Scheme | None:
        if (listed := super().parse(name)) is not None:
            return listed
        recovery = Recovery.parse(name)
        return recovery.scheme(name, super().parse(recovery.base)) if recovery else None


BACKEND = Backend(
    name="litert",
    schemes=_Schemes(
        "litert",
        {
            "litert": _CONVERTED,
            "aeq": {**_AEQ, **_NARROW},
            "mended": {"int8_mended": ("int8", "int8")},
            "as_shipped": {"as_shipped": ("as shipped", "as shipped")},
        },
    ),
    runner=f"{_HERE}.runner:LiteRTRunner",
    quantizers={
        "litert": f"{_HERE}.convert:LiteRTQuantizer",
        "aeq": f"{_HERE}.aeq:AEQQuantizer",
        "mended": f"{_HERE}.mending.quantizer:MendedQuantizer",
        "as_shipped": f"{_HERE}.as_shipped:AsShippedQuantizer",
        "recovered": f"{_HERE}.recovering.quantizer:RecoveringQuantizer",
    },
    starts_from=("saved_model", "tflite"),
    importers={
        "keras": Import("keras", "saved_model", f"{_HERE}.importers.saved_model:KerasImporter"),
        "saved_model": Import(
            "", "saved_model", f"{_HERE}.importers.saved_model:SavedModelImporter"
        ),
        "random_detector": Import(
            "architecture",
            "saved_model",
            f"{_HERE}.importers.architectures.importer:RandomDetectorImporter",
            tuple(ARCHITECTURES),
        ),
        "tfjs": Import("tfjs", "saved_model", f"{_HERE}.importers.tfjs:TFJSImporter"),
        "tfjs_finite_padding": Import(
            "", "saved_model", f"{_HERE}.importers.tfjs:TFJSFinitePaddingImporter"
        ),
        "tfjs_hard_swish": Import(
            "", "saved_model", f"{_HERE}.importers.tfjs:TFJSHardSwishImporter"
        ),
        "torch_export": Import(
            "torch_export", "tflite", f"{_HERE}.importers.pytorch:TorchExportImporter"
        ),
        "onnx_channels_last": Import(
            "onnx_checked", "saved_model", f"{_HERE}.importers.onnx:ONNXImporter"
        ),
        "detr": Import("", "tflite", f"{_HERE}.importers.pytorch:DETRImporter"),
        "image_classifier": Import(
            "", "tflite", f"{_HERE}.importers.pytorch:ImageClassifierImporter"
        ),
    },
    diagnosis=f"{_HERE}.diagnosis.looks:litert_looks",
    profile=f"{_HERE}.diagnosis.speed:profile",
    plain="float32",
    mendings={
        # 64 samples are observed, 24 choose, the others judge.
        "mended": Mending(
            Gate("AP", 0.015), 256, 8, f"{_HERE}.mending.mending:mended", for_speed=True
        ),
    },
    mended="int8_mended",
    recovered="{scheme}_distilled",
    needs=f"{_HERE}.needs:LiteRTNeeds",
)
