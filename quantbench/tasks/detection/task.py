"""Object detection judged by COCO's protocol, and by the float model's own detections."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.errors import DataError, PredictionError, UsageError
from quantbench.measure.rates import FILE
from quantbench.tasks.detection.coco_numbers import CocoNumbers, categories_of
from quantbench.tasks.detection.decoders import decoder_digest, find_decoder
from quantbench.tasks.detection.decoders.found import MAX_DETECTIONS
from quantbench.tasks.detection.examples import changed_pictures
from quantbench.tasks.detection.metrics import agreement
from quantbench.tasks.detection.pictures import fitted, in_picture
from quantbench.tasks.detection.round_trip import check_round_trip

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from quantbench.data.samples import Photo, Picture
    from quantbench.protocols import Row
    from quantbench.study import Model


_LISTED = 12  # words of an error, at most
_HALF = 0.5  # what a sigmoid makes of nothing
_ROUNDING = 0.01  # of quantized scores
_LEAVES_MEMORY = {"tflite_postprocess"}  # rows that are not counted are never written


class Detection(CocoNumbers):
    """Pictures in, COCO results out, the twelve COCO numbers over all."""

    version = 3
    rates = Path(__file__).with_name(FILE)
    hub_task = "object-detection"
    tools = ("pillow",)
    agreement = "agreement_AP"

    def __init__(self, model: Model, float_model: Path) -> None:
        """Take the detector's description from the model; nothing is read from disk.

        Raises:
            UsageError: the model does not say how it is fed and decoded.
        """
        del float_model
        if model.interface is None:
            raise UsageError(
                f"{model.name} does not say how it is fed and how its outputs decode",
                expected="Model(interface=Detector(...))",
            )
        super().__init__(model.interface.category_ids, model.interface.operating_points)
        self._detector = model.interface
        self._decode = find_decoder(model.interface.decoder)
        self._round_trip_checked = False

    @staticmethod
    def without_model(rows: Sequence[Row]) -> CocoNumbers:
        """What counts stored rows, over the categories that they name."""
        return CocoNumbers(categories_of(rows))

    @staticmethod
    def identity(model: Model) -> Mapping[str, Any]:
        """The detector's description, and the file of a decoder of one's own."""
        if model.interface is None:
            return {}
        described = asdict(model.interface)
        for later in ("operating_points", "labels", "unused"):  # asked of rows that are there
            del described[later]
        return {**described, "decoder_file": decoder_digest(model.interface.decoder)}

    def check(self, samples: Sequence[Picture | Photo]) -> None:
        """Refuse a detector with categories that the data set does not have.

        Its objects would be counted under other names, alike in float and quantized: a low score
        against the same low score.

        Raises:
            DataError: it has some.
        """
        known = next((s.categories for s in samples if getattr(s, "categories", None)), None)
        ids = set(self._detector.category_ids) - set(self._detector.unused)
        if known and (strange := sorted(ids - set(known))):
            raise DataError(
                "the detector's categories are not those of the annotations",
                where=f"Detector(category_ids=...), {len(strange)} of {len(ids)} ids",
                expected=_listed([f"{i} {name}" for i, name in sorted(known.items())]),
                got=_listed([str(i) for i in strange]),
                remedy="give the data set's own id of each output channel, in the channels' order "
                "(COCO's 80: tuple(quantbench.catalog.coco.CATEGORIES)), and name channels that "
                "stand for nothing: Detector(unused=...)",
            )

    def prepare(self, sample: Picture | Photo) -> NDArray[np.float32]:
        """The picture as the detector's input (`tasks/detection/pictures.py`).

        Raises:
            DataError: the picture does not fit, or no picture would come back as it went in
                (`tasks/detection/round_trip.py`; looked at once).
        """
        self._check_round_trip()
        return fitted(sample.image, self._detector, sample.id)

    def cross_check(self, rows: Sequence[Row]) -> None:
        """The same, and another implementation's AP, of rows that may come out of the store.

        Raises:
            DataError: no picture would come back as it went in.
            AnchorError: the other implementation computes another AP.
        """
        self._check_round_trip()
        super().cross_check(rows)

    def _check_round_trip(self) -> None:
        if not self._round_trip_checked:
            check_round_trip(fitted, in_picture, self._detector)
            self._round_trip_checked = True

    def evidence(
        self, sample: Picture | Photo, prediction: Mapping[str, NDArray[np.float32]]
    ) -> Row:
        """Truths and detections of one picture, all in its own pixels.

        Raises:
            PredictionError: an output is missing, or holds NaN or infinity.
        """
        if self._detector.decoder not in _LEAVES_MEMORY:
            for name, values in prediction.items():
                _check_finite(values, f"output {name!r}", sample.id)
        roles = {name: role for role, name in self._detector.outputs}
        outputs = {roles.get(name, name): values for name, values in prediction.items()}
        found = self._decode(outputs, self._detector)
        for name in ("boxes", "scores"):
            _check_finite(getattr(found, name), f"decoded {name}", sample.id)
        if (
            found.scores.size
            and not -_ROUNDING <= found.scores.min() <= found.scores.max() <= 1 + _ROUNDING
        ):
            raise PredictionError(
                "scores must lie between 0 and 1",
                where=sample.id,
                got=f"{found.scores.min():g} to {found.scores.max():g}",
                remedy="logits take a sigmoid or softmax first: put it into the model or decoder",
            )
        if len(found.scores) >= MAX_DETECTIONS and found.scores.min() >= _HALF:
            raise PredictionError(
                f"all of {len(found.scores)} detections score at least one half",
                where=sample.id,
                got=f"{found.scores.min():g} to {found.scores.max():g}",
                remedy="a sigmoid is applied twice, in the model and in the decoder",
            )
        height, width = sample.size
        boxes = in_picture(found.boxes, (height, width), self._detector)
        return {
            "id": sample.id,
            "width": width,
            "height": height,
            "truths": list(sample.truths),
            "detections": [
                {"bbox": box, "score": score, "category_id": self._detector.category_ids[label]}
                for box, score, label in zip(
                    np.round(boxes.astype(np.float64), 3).tolist(),
                    found.scores.tolist(),
                    found.labels.tolist(),
                    strict=True,
                )
            ],
        }

    @staticmethod
    def moved(rows: Sequence[Row], reference: Sequence[Row]) -> tuple[float, float]:
        """Scores and boxes (`metrics/agreement.py`)."""
        return agreement.moved(rows, reference)

    @staticmethod
    def unanswered(row: Row) -> Row:
        """Without detections."""
        return {**row, "detections": []}

    def changes(
        self, samples: Mapping[str, Any], rows: Sequence[Row], reference: Sequence[Row], most: int
    ) -> list[dict[str, Any]]:
        """Pictures and boxes (`tasks/detection/examples.py`)."""
        return changed_pictures(samples, rows, reference, self._detector.category_ids, most)


def _listed(words: Sequence[str]) -> str:
    more = f" and {len(words) - _LISTED} more" if len(words) > _LISTED else ""
    return ", ".join(words[:_LISTED]) + more


def _check_finite(values: NDArray[Any], what: str, sample: str) -> None:
    if not np.isfinite(values).all():
        raise PredictionError(
            f"{what} holds NaN or infinity",
            where=sample,
            got=f"{int((~np.isfinite(values)).sum())} of {values.size} values",
            remedy="the artifact is broken: look at the ops that its build quantized",
        )
