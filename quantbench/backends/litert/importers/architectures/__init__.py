"""Detectors without their weights, as their authors published them: one file a network.

Light to import: the names stand in the backend's description. Networks are written from the papers
and from the public configurations of the TF2 Object Detection API, on Keras' own backbones.
"""

from __future__ import annotations

from dataclasses import dataclass

_HERE = "quantbench.backends.litert.importers.architectures"
_API = "the Object Detection API 2.8.0, from its published configuration"


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A network, and how many weights it must have.

    Attributes:
        build: `module:function` of the input size to a `Detections` (`detections.py`).
        parameters: weights of the published network, moving statistics among them, without those
            that its answers do not depend on; 0 where nobody published any.
        counted: who says so.
    """

    build: str
    parameters: int
    counted: str


ARCHITECTURES = {
    "centernet_resnet50v2": Architecture(
        build=f"{_HERE}.centernet:published",
        parameters=29_889_758,  # a normalization of 8,192 stands behind the features, unused
        counted=_API,
    ),
    "ssd_mobilenetv2": Architecture(
        build=f"{_HERE}.ssd:published",
        parameters=6_103_999,
        counted=_API,
    ),
    "efficientdet_d0": Architecture(
        build=f"{_HERE}.efficientdet:published",
        # The paper rounds to 3.9 million. Keras' backbone has 7 more, for the pixels' mean and
        # variance; the API keeps the 1,695,720 of the classifier's end, unused.
        parameters=3_927_203 + 7,
        counted=_API,
    ),
    # SSD-MobileNetV2 in miniature, to try a study's way in seconds: nobody published it.
    "ssd_tiny": Architecture(
        build=f"{_HERE}.ssd:tiny",
        parameters=0,
        counted="nobody",
    ),
}
