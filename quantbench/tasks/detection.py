"""Object detection judged by COCO's protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.errors import DataError, PredictionError, UsageError
from quantbench.metrics import average_precision
from quantbench.tasks import centernet

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from quantbench.catalog.datasets import Picture
    from quantbench.protocols import Row
    from quantbench.study import Model

_DECODERS = {"centernet": centernet.decode}


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

    def prepare(self, sample: Picture) -> NDArray[np.float32]:
        """The picture in the detector's value range, float32 [1, height, width, 3].

        Raises:
            DataError: the picture is not uint8 RGB of the detector's size.
        """
        expected = (*self._detector.size, 3)
        if sample.image.shape != expected or sample.image.dtype != np.uint8:
            raise DataError(
                "the picture does not fit the detector",
                where=sample.id,
                expected=f"uint8 {expected}",
                got=f"{sample.image.dtype} {sample.image.shape}",
            )
        low, high = self._detector.value_range
        unit = sample.image[None].astype(np.float32) / np.float32(255)
        return unit * np.float32(high - low) + np.float32(low)

    def evidence(self, sample: Picture, prediction: Mapping[str, NDArray[np.float32]]) -> Row:
        """Truths and detections of one picture, all in its pixels.

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
        try:
            detections = _DECODERS[self._detector.decoder](prediction, self._detector)
        except KeyError as error:
            raise PredictionError(
                f"the model has no output {error}",
                where=sample.id,
                got=sorted(prediction),
                remedy="name the outputs in the SavedModel's signature",
            ) from error
        height, width = sample.image.shape[:2]
        return {
            "id": sample.id,
            "width": width,
            "height": height,
            "truths": list(sample.truths),
            "detections": detections,
        }

    def summarise(
        self, rows: Sequence[Row], weights: NDArray[Any]
    ) -> Mapping[str, NDArray[np.float64]]:
        """COCO's twelve numbers (`metrics/average_precision.py`)."""
        categories = range(1, len(self._detector.categories) + 1)
        return average_precision.summarise(average_precision.match(rows, categories), weights)
