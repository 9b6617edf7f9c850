"""A small classifier, and rows of what it says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.data.labelled import Labelled
from quantbench.data.samples import Picture
from quantbench.study import Model
from quantbench.tasks.classification.classifier import Classifier
from quantbench.tasks.classification.task import Classification

if TYPE_CHECKING:
    from numpy.typing import NDArray

PIXELS = np.zeros((4, 4, 3), np.uint8)


def described(classes: int = 4, **more: Any) -> Classifier:
    """Classes are called c0, c1, ..."""
    fields = {"size": (4, 4), "says": "logits", **more}
    return Classifier(class_ids=tuple(f"c{i}" for i in range(classes)), **fields)


def task(interface: Classifier | None) -> Classification:
    model = Model("mine", "file:x", "float32", ("float32",), ("digits",), interface=interface)
    return Classification(model, Path())


def picture(label: int = 0, name: str = "p", classes: int = 4) -> Labelled:
    known = tuple(f"c{i}" for i in range(classes))
    return Labelled(name, Picture(name, PIXELS, ()), f"c{label}", known)


def rows_of(scores: NDArray[Any], labels: NDArray[Any], says: str = "logits") -> list[Any]:
    """Rows of scores [pictures, classes] and labels [pictures]."""
    classes = scores.shape[1]
    made = task(described(classes, says=says))
    return [
        made.evidence(picture(int(label), f"p{i}", classes), {"out": row[None]})
        for i, (row, label) in enumerate(zip(scores, labels, strict=True))
    ]
