"""Object detection judged by COCO's protocol, and by the float model's own detections."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.errors import DataError, PredictionError, UsageError
from quantbench.influence import ratio_influence
from quantbench.metrics import agreement, average_precision
from quantbench.metrics.coco_influence import influence as coco_influence
from quantbench.metrics.lost_precision import lost_precision
from quantbench.metrics.matching import AREAS, match
from quantbench.metrics.ratio import ratio
from quantbench.metrics.second_opinion import check_average_precision
from quantbench.tasks.changed_pictures import changed_pictures
from quantbench.tasks.decoders import decoder_digest, find_decoder
from quantbench.tasks.decoders.found import MAX_DETECTIONS
from quantbench.tasks.pictures import fitted, in_picture
from quantbench.tasks.round_trip import check_round_trip

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from quantbench.catalog.samples import Photo, Picture
    from quantbench.influence import Influence
    from quantbench.protocols import Row
    from quantbench.study import Model


_LISTED = 12  # words of an error, at most
_HALF = 0.5  # what a sigmoid makes of nothing
_ROUNDING = 0.01  # of quantized scores
_LEAVES_MEMORY = {"tflite_postprocess"}  # rows that are not counted are never written


class Detection:
    """Pictures in, COCO results out, the twelve COCO numbers over all."""

    version = 3
    tools = ("pillow",)
    lower_is_better = frozenset({"lost", "gained"})
    signed = frozenset({"score_drift"})

    def __init__(self, model: Model, float_model: Path) -> None:
        """Take the detector's description from the model; nothing is read from disk.

        Raises:
            UsageError: the model does not say how it is fed and decoded.
        """
        del float_model
        if model.detector is None:
            raise UsageError(
                f"{model.name} does not say how it is fed and how its outputs decode",
                expected="Model(detector=Detector(...))",
            )
        self._detector = model.detector
        self._decode = find_decoder(model.detector.decoder)
        self._round_trip_checked = False

    @staticmethod
    def identity(model: Model) -> Mapping[str, Any]:
        """The detector's description, and the file of a decoder of one's own."""
        if model.detector is None:
            return {}
        described = asdict(model.detector)
        for later in ("operating_points", "labels", "unused"):  # asked of rows that are there
            del described[later]
        return {**described, "decoder_file": decoder_digest(model.detector.decoder)}

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
        """The picture as the detector's input (`tasks/pictures.py`).

        Raises:
            DataError: the picture does not fit, or no picture would come back as it went in
                (`tasks/round_trip.py`; looked at once).
        """
        if not self._round_trip_checked:
            check_round_trip(fitted, in_picture, self._detector)
            self._round_trip_checked = True
        return fitted(sample.image, self._detector, sample.id)

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

    def summarise(
        self, rows: Sequence[Row], weights: NDArray[Any]
    ) -> Mapping[str, NDArray[np.float64]]:
        """COCO's numbers (`metrics/average_precision.py`), precision and recall where asked for.

        Raises:
            AnchorError: another implementation computes another AP (`metrics/second_opinion.py`).
        """
        categories = self._detector.category_ids
        numbers = average_precision.summarise(match(rows, categories), weights)
        for unweighted in np.flatnonzero((weights == 1).all(axis=1))[:1]:
            check_average_precision(numbers["AP"][unweighted], rows, categories)
        for name, (above, below) in self._operating_points(rows).items():
            numbers[name] = ratio(above, below, weights)
        return numbers

    def _operating_points(
        self, rows: Sequence[Row]
    ) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Precision and recall where asked for, each as what is counted over what, by image."""
        found: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
        for iou, score in self._detector.operating_points:
            matches = match(
                rows, self._detector.category_ids, np.array([iou]), {"all": AREAS["all"]}
            )
            true, shown, positives = average_precision.operating_counts(matches, len(rows), score)
            at = f"iou{iou:g}_score{score:g}"
            found |= {f"precision_{at}": (true, shown), f"recall_{at}": (true, positives)}
        return found

    def influence(
        self, metric: str, rows: Sequence[Row], reference: Sequence[Row] | None = None
    ) -> Influence | None:
        """How much each picture moves a metric of `summarise`, or with a reference of `agree`."""
        categories = self._detector.category_ids
        if reference is not None:
            return agreement.influence(metric, rows, reference, categories)
        points = self._operating_points(rows)
        if metric in points:
            return ratio_influence(*points[metric])
        return coco_influence(rows, categories, metric)

    def agree(
        self, rows: Sequence[Row], reference: Sequence[Row], weights: NDArray[Any]
    ) -> Mapping[str, NDArray[np.float64]]:
        """Judged by the reference's detections, without labels (`metrics/agreement.py`)."""
        return agreement.summarise(rows, reference, self._detector.category_ids, weights)

    @staticmethod
    def per_sample(
        rows: Sequence[Row], reference: Sequence[Row] | None = None
    ) -> Mapping[str, NDArray[Any]]:
        """Nothing: neither AP nor agreement is a mean over pictures."""
        del rows, reference
        return {}

    def changes(
        self, samples: Mapping[str, Any], rows: Sequence[Row], reference: Sequence[Row], most: int
    ) -> list[dict[str, Any]]:
        """Pictures and boxes (`tasks/changed_pictures.py`)."""
        return changed_pictures(samples, rows, reference, self._detector.category_ids, most)

    def explain(self, rows: Sequence[Row]) -> Mapping[str, Any]:
        """`lost_AP50`: what the missing precision is made of (`metrics/lost_precision.py`)."""
        return {"lost_AP50": lost_precision(rows, self._detector.category_ids)}


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
