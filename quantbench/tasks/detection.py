"""Object detection judged by COCO's protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from quantbench.errors import DataError, PredictionError, UsageError
from quantbench.metrics import average_precision
from quantbench.tasks import centernet

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from quantbench.catalog.samples import Photo, Picture
    from quantbench.protocols import Row
    from quantbench.study import Model

_DECODERS = {"centernet": centernet.decode, "centernet_sides": centernet.decode_sides}


class Detection:
    """Pictures in, COCO results out, the twelve COCO numbers over all."""

    version = 1
    lower_is_better: frozenset[str] = frozenset()

    def __init__(self, model: Model, float_model: Path) -> None:
        """Take the detector's description from the model; nothing is read from disk.

        Raises:
            UsageError: the model does not say how it is fed and decoded.
        """
        del float_model
        if model.detector is None or model.detector.decoder not in _DECODERS:
            raise UsageError(
                f"{model.name} does not say how its outputs decode",
                expected=f"Model(detector=Detector(decoder=...)) with one of {list(_DECODERS)}",
                got=model.detector,
            )
        self._detector = model.detector

    def prepare(self, sample: Picture | Photo) -> NDArray[np.float32]:
        """The picture fitted into the input, in its value range, float32 [1, height, width, 3].

        Raises:
            DataError: the picture is not uint8 RGB, or not of the detector's size where that is
                asked for.
        """
        image = sample.image
        exact = self._detector.fit == "exact"
        expected = (*(self._detector.size if exact else image.shape[:2]), 3)
        if image.shape != expected or image.dtype != np.uint8:
            raise DataError(
                "the picture does not fit the detector",
                where=sample.id,
                expected=f"uint8 {expected}",
                got=f"{image.dtype} {image.shape}",
            )
        fitted = image if exact else letterbox(image, self._detector.size, self._detector.padding)
        low, high = self._detector.value_range
        unit = fitted[None].astype(np.float32) / np.float32(255)
        return unit * np.float32(high - low) + np.float32(low)

    def evidence(
        self, sample: Picture | Photo, prediction: Mapping[str, NDArray[np.float32]]
    ) -> Row:
        """Truths and detections of one picture, all in its own pixels.

        Raises:
            PredictionError: an output is missing, or holds NaN or infinity.
        """
        for name, values in prediction.items():
            if not np.isfinite(values).all():
                raise PredictionError(
                    f"output {name!r} holds NaN or infinity",
                    where=sample.id,
                    got=f"{int((~np.isfinite(values)).sum())} of {values.size} values",
                    remedy="the artifact is broken: look at the ops that its build quantized",
                )
        roles = {name: role for role, name in self._detector.outputs}
        outputs = {roles.get(name, name): values for name, values in prediction.items()}
        try:
            detections = _DECODERS[self._detector.decoder](outputs, self._detector)
        except KeyError as error:
            raise PredictionError(
                f"the model has no output {error}",
                where=sample.id,
                got=sorted(prediction),
                remedy="name the outputs in the SavedModel's signature, or their roles in "
                "Detector(outputs=...)",
            ) from error
        height, width = sample.size
        return {
            "id": sample.id,
            "width": width,
            "height": height,
            "truths": list(sample.truths),
            "detections": [
                {**said, "bbox": self._in_picture(said["bbox"], height, width)}
                for said in detections
            ],
        }

    def _in_picture(self, box: list[float], height: int, width: int) -> list[float]:
        """An xywh box of the input in the pixels of a picture of this size."""
        if self._detector.fit == "exact":
            return [round(v, 3) for v in box]
        scale, top, left = _placement(height, width, self._detector.size)
        x, y, w, h = box
        return [round(v / scale, 3) for v in (x - left, y - top, w, h)]

    def summarise(
        self, rows: Sequence[Row], weights: NDArray[Any]
    ) -> Mapping[str, NDArray[np.float64]]:
        """COCO's twelve numbers (`metrics/average_precision.py`)."""
        matches = average_precision.match(rows, self._detector.category_ids)
        return average_precision.summarise(matches, weights)


def letterbox(image: NDArray[np.uint8], size: tuple[int, int], padding: int) -> NDArray[np.uint8]:
    """Scale a picture, keeping its shape, into the middle of `size` (height, width); bilinear."""
    height, width = image.shape[:2]
    scale, top, left = _placement(height, width, size)
    inner = (round(width * scale), round(height * scale))
    canvas = np.full((*size, 3), padding, dtype=np.uint8)
    resized = Image.fromarray(image).resize(inner, Image.Resampling.BILINEAR)
    canvas[top : top + inner[1], left : left + inner[0]] = np.asarray(resized)
    return canvas


def _placement(height: int, width: int, size: tuple[int, int]) -> tuple[float, int, int]:
    """Scale, top and left of a letterboxed picture."""
    scale = min(size[0] / height, size[1] / width)
    return scale, (size[0] - round(height * scale)) // 2, (size[1] - round(width * scale)) // 2
