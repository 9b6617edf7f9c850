"""Classifiers by name: where they come from, how they are fed, what was published about them."""

from __future__ import annotations

from pathlib import Path

from quantbench.catalog.digits.classes import CLASSES, WEIGHTS
from quantbench.study import Model
from quantbench.tasks.classification.classifier import Classifier

_DIGITS = Path(__file__).with_name("digits")
_FOUR = ("float32", "float16", "int8_dynamic", "int8_static")

_DIGITS_CLASSIFIER = Model(
    name="digits_classifier",
    source=f"file:{_DIGITS / WEIGHTS}",
    importer="quantbench.catalog.digits.classifier:ClassifierImporter",
    reference="float32",
    schemes=_FOUR,
    datasets=("digits",),
    interface=Classifier(
        size=(8, 8),
        class_ids=CLASSES,
        says="logits",
        value_range=(0.0, 1.0),
    ),
    license="Apache-2.0",
    paper="arXiv 1704.04861",
    anchors=(),
)

CLASSIFIERS: tuple[Model, ...] = (_DIGITS_CLASSIFIER,)
