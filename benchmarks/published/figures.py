"""What the two studies published, and what others know of their models: no number of ours."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from quantbench.catalog.datasets import find_dataset
from quantbench.catalog.models import find_model
from quantbench.study import Anchor

if TYPE_CHECKING:
    from quantbench import Model
    from quantbench.protocols import Dataset

MB = 1e6
_ZOO = "TF2 Detection Model Zoo, its authors' table"
_DETR = "Carion et al., arXiv 2005.12872, table 1"
_AP_TOLERANCE = 0.005  # another resizing or JPEG decoder moves AP by some thousandths
_PASSAGES = 5151  # of 5,153 two stand there twice


@dataclass(frozen=True)
class Published:
    """A figure of a study.

    Attributes:
        scheme: that it is of; "" for the float model.
        what: "AP" in [0, 1], "MB", or "times smaller" than the float model.
    """

    model: str
    scheme: str
    what: str
    value: float


PUBLISHED = (
    Published("ssd_mobilenetv2", "float32", "MB", 23.72),
    Published("ssd_mobilenetv2", "float16", "MB", 12.17),
    Published("ssd_mobilenetv2", "int8_static", "MB", 7.21),
    Published("centernet_resnet50v2", "float16", "times smaller", 2),
    Published("centernet_resnet50v2", "int8_dynamic", "times smaller", 4),
)

# Average precision on val2017 as their authors published it: what the float model must reproduce.
_AP = {
    "centernet_resnet50v2": (0.295, _ZOO),
    "ssd_mobilenetv2": (0.202, _ZOO),
    "ssd_mobilenetv2_fpnlite": (0.222, _ZOO),
    "efficientdet_d0": (0.336, _ZOO),
    "detr_r50": (0.420, _DETR),
    "detr_r101_dc5": (0.449, _DETR),
}
# Strict accuracy on LAMBADA. Of Llama-3.2-3B and SmolLM-135M no score with a source was found: the
# first run under `tox -e lm_eval` gives them one.
_ACCURACY = {
    "llama_2_7b": (0.73, 0.015, "a user's float baseline, thu-ml/SageAttention issue 310, rounded"),
}


def detection_data(name: str, n: int) -> Dataset:
    """The first n images of val2017, with 100 of train2017 to calibrate, out of `--quant-data`."""
    return replace(find_dataset("coco"), name=name, default_n=n)  # type: ignore[type-var]


def passages(name: str, n: int) -> Dataset:
    """The first n passages of LAMBADA, with 100 of its development set to calibrate, by the hub."""
    return replace(find_dataset("lambada_openai"), name=name, default_n=n)  # type: ignore[type-var]


VAL2017 = detection_data("val2017", 5000)
VAL2017_1500 = detection_data("val2017_1500", 1500)
LAMBADA_5000 = passages("lambada_5000", 5000)
LAMBADA_ALL = passages("lambada_all", 5153)


def known_score(name: str) -> Anchor | None:
    """What others measured of the float model; None where no score with a source was found."""
    if name in _AP:
        value, source = _AP[name]
        return Anchor("AP", value, _AP_TOLERANCE, VAL2017.name, VAL2017.default_n, source)
    if name in _ACCURACY:
        value, tolerance, source = _ACCURACY[name]
        return Anchor("accuracy", value, tolerance, LAMBADA_ALL.name, _PASSAGES, source)
    return None


def anchored(name: str) -> Model:
    """The catalog's model with the known score that its float case must reproduce.

    It binds where all images or passages are evaluated.
    """
    known = known_score(name)
    return replace(find_model(name), anchors=(known,) if known else ())
