"""Classifiers by name: where they come from, how they are fed, what was published about them."""

from __future__ import annotations

from pathlib import Path

from quantbench.backends.litert.backend import AEQ_SCHEMES, CONVERTED_SCHEMES
from quantbench.catalog.digits.classes import CLASSES, WEIGHTS
from quantbench.catalog.imagenet import CLASSES as IMAGENET
from quantbench.study import Anchor, Model
from quantbench.tasks.classification.classifier import Classifier

_DIGITS = Path(__file__).with_name("digits")
_VALIDATION = "ILSVRC 2012 validation"
_NEVER = "described from its publication; its files were never fetched by this project"
_IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}

_DIGITS_CLASSIFIER = Model(
    name="digits_classifier",
    source=f"file:{_DIGITS / WEIGHTS}",
    importer="quantbench.catalog.digits.classifier:ClassifierImporter",
    reference="float32",
    schemes=(
        *("float32", "float16", "int8_dynamic", "int8_static"),
        *("ort_float32", "ort_int8_static", "ov_float32", "ov_int8_static"),
    ),
    datasets=("digits",),
    interface=Classifier(
        size=(8, 8),
        class_ids=CLASSES,
        says="logits",
        value_range=(0.0, 1.0),
    ),
    license="Apache-2.0",
    paper="arXiv 1704.04861",
    anchors=(Anchor("top1", 0.9736, 0.003, "digits", 719, "this project, after training"),),
)


def _on_imagenet(
    name: str, source: str, importer: str, interface: Classifier, top1: float, paper: str
) -> Model:
    return Model(
        name=name,
        source=source,
        importer=importer,
        reference="float32",
        schemes=(*CONVERTED_SCHEMES, *AEQ_SCHEMES),
        datasets=("imagenet",),
        interface=interface,
        note=_NEVER,
        license="Apache-2.0",
        paper=paper,
        published=("top1", top1, _VALIDATION),
    )


# Trained on 1,001 classes, of which the first is the ground.
_MOBILENETV2 = _on_imagenet(
    "mobilenetv2",
    "kaggle:google/mobilenet-v2/tensorFlow2/100-224-classification==2",
    "saved_model",
    Classifier(
        size=(224, 224),
        class_ids=("background", *IMAGENET),
        labels=("background", *IMAGENET.values()),
        unused=("background",),
        says="logits",
        fit="crop",
        resize=256,
        value_range=(0.0, 1.0),
    ),
    paper="arXiv 1801.04381",
    top1=0.718,
)

_EFFICIENTNET_B0 = _on_imagenet(
    "efficientnet_b0",
    "kaggle:tensorflow/efficientnet/tensorFlow2/b0-classification==1",
    "saved_model",
    Classifier(
        size=(224, 224),
        class_ids=tuple(IMAGENET),
        labels=tuple(IMAGENET.values()),
        says="logits",
        fit="crop",
        resize=256,
        resample="bicubic",
        value_range=(0.0, 1.0),
    ),
    paper="arXiv 1905.11946",
    top1=0.771,
)

_DEIT_TINY = _on_imagenet(
    "deit_tiny",
    "hf:facebook/deit-tiny-patch16-224==main#file=config.json&file=model.safetensors",
    "image_classifier",
    Classifier(
        size=(224, 224),
        class_ids=tuple(IMAGENET),
        labels=tuple(IMAGENET.values()),
        says="logits",
        fit="crop",
        resize=256,
        resample="bicubic",
        value_range=(0.0, 1.0),
        layout="nchw",
        **_IMAGENET,  # type: ignore[arg-type]
    ),
    paper="arXiv 2012.12877",
    top1=0.722,
)

CLASSIFIERS: tuple[Model, ...] = (_DIGITS_CLASSIFIER, _MOBILENETV2, _EFFICIENTNET_B0, _DEIT_TINY)
