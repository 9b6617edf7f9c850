"""quantbench: did quantization make the model worse, by how much, and is that certain?

The public names are these; each is imported when it is first used, so that importing quantbench
(or loading its pytest plugin) costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quantbench.catalog.models import cases
    from quantbench.data.class_folders import ClassFolders
    from quantbench.data.documents import Documents
    from quantbench.data.labelled_files import LabelledFiles
    from quantbench.data.passages import Passages
    from quantbench.data.photos import CocoImages
    from quantbench.data.picture_tables import PictureTables
    from quantbench.errors import QuantbenchError
    from quantbench.run.evaluation import Evaluation
    from quantbench.run.judging import non_inferior
    from quantbench.stats.gates import Verdict
    from quantbench.study import Anchor, Case, Model, Scheme
    from quantbench.tasks.classification.classifier import Classifier
    from quantbench.tasks.detection.detector import Detector

_HOMES = {
    "Anchor": "quantbench.study",
    "Case": "quantbench.study",
    "ClassFolders": "quantbench.data.class_folders",
    "Classifier": "quantbench.tasks.classification.classifier",
    "CocoImages": "quantbench.data.photos",
    "Detector": "quantbench.tasks.detection.detector",
    "Documents": "quantbench.data.documents",
    "Evaluation": "quantbench.run.evaluation",
    "LabelledFiles": "quantbench.data.labelled_files",
    "Model": "quantbench.study",
    "Passages": "quantbench.data.passages",
    "PictureTables": "quantbench.data.picture_tables",
    "QuantbenchError": "quantbench.errors",
    "Scheme": "quantbench.study",
    "Verdict": "quantbench.stats.gates",
    "cases": "quantbench.catalog.models",
    "non_inferior": "quantbench.run.judging",
}

__all__ = [
    "Anchor",
    "Case",
    "ClassFolders",
    "Classifier",
    "CocoImages",
    "Detector",
    "Documents",
    "Evaluation",
    "LabelledFiles",
    "Model",
    "Passages",
    "PictureTables",
    "QuantbenchError",
    "Scheme",
    "Verdict",
    "cases",
    "non_inferior",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its home (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
