"""COCO result files as every toolkit writes them: a list of image_id, category_id, bbox, score."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.core.digests import digest_of
from quantbench.core.jsons import MALFORMED, loads
from quantbench.data.groups import check_grouped, groups_of
from quantbench.data.photos import photos_of
from quantbench.errors import DataError
from quantbench.run.results import Results
from quantbench.stats.influence import influence_of
from quantbench.tasks.detection.coco_numbers import CocoNumbers, categories_of
from quantbench.tasks.detection.metrics.lost_precision import lost_precision

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from quantbench.data.samples import Photo
    from quantbench.protocols import Row

    Lost = dict[str, dict[str, float]] | None

_CORNERS = 4


def coco_results(
    annotations: Path | Mapping[str, Any],
    files: Mapping[str, Path | Sequence[Mapping[str, Any]]],
    *,
    group: str | None = None,
    agreement: bool = True,
) -> list[Results]:
    """COCO's numbers of each results file, the first's being the reference.

    Metrics of agreement (`agreement_AP`, `lost`, ...) are those with the first. Every annotated
    image counts, also one without detections. The best 100 detections of a category in
    an image take part, as in COCO's protocol.

    Args:
        annotations: COCO's JSON, or what it holds.
        files: by the name to show, the results, or what they hold.
        group: field of the annotations' images that names each image's group.
        agreement: count agreement with the first too, which takes as long as all the rest.

    Raises:
        DataError: a file is not what it should be, or names images or categories that the
            annotations do not have; the message counts them and names the first.
    """
    with _without_collection():
        return _coco_results(annotations, files, group, agreement=agreement)


def lost_precision_of(results: Results) -> Lost:
    """What AP at IoU .5 lacks is made of (`tasks/detection/metrics/lost_precision.py`)."""
    return lost_precision(results.rows, categories_of(results.rows))


@contextmanager
def _without_collection() -> Iterator[None]:
    """Pause the garbage collector, which would walk a million boxes that all stay again and again.

    It takes a quarter of the time.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _coco_results(
    annotations: Path | Mapping[str, Any],
    files: Mapping[str, Path | Sequence[Mapping[str, Any]]],
    group: str | None,
    *,
    agreement: bool,
) -> list[Results]:
    described, where = _loaded(annotations, "annotations"), _name(annotations, "annotations")
    try:
        photos = photos_of(described, Path(), group=group)
        known = {category["id"] for category in described.get("categories") or []}
    except MALFORMED as error:
        raise DataError(
            "not COCO annotations",
            where=where,
            expected="images and annotations with ids, bbox, area, category_id, iscrowd",
            got=f"{type(error).__name__}: {error}",
        ) from error
    if not photos:
        raise DataError("annotations without an image", where=where)
    if group is not None:
        check_grouped(photos, f"{where}, images without the field {group!r}")
    groups = groups_of(photos)
    known = known or {truth["category_id"] for photo in photos for truth in photo.truths}
    task = CocoNumbers(sorted(known))
    dataset = {
        "name": Path(where).stem,
        "n": len(photos),
        "sha256": digest_of([[photo.id, photo.truths] for photo in photos]),
        **({"groups": len(set(groups))} if groups else {}),
    }
    sides = {name: _rows(photos, known, _loaded(said, name), name) for name, said in files.items()}
    reference = next(iter(sides.values()))
    made = [
        _results(task, (rows, reference), name, dataset, groups, agreement=agreement)
        for name, rows in sides.items()
    ]
    # A file that is given twice is the same model; another file may hold equal detections.
    return [
        replace(each, identity=str(said.resolve()) if isinstance(said, Path) else str(id(said)))
        for each, said in zip(made, files.values(), strict=True)
    ]


def _results(
    task: CocoNumbers,
    sides: tuple[list[Row], list[Row]],
    name: str,
    dataset: Mapping[str, Any],
    groups: Sequence[str] | None,
    *,
    agreement: bool,
) -> Results:
    rows, reference = sides
    ones = np.ones((1, len(rows)))
    return Results(
        name=name,
        rows=rows,
        replicates={
            **task.summarise(rows, ones),
            **(task.agree(rows, reference, ones) if agreement else {}),
        },
        lower_is_better=task.lower_is_better,
        signed=task.signed,
        dataset=dataset,
        is_reference=rows is reference,
        moved_by=lru_cache(2)(partial(influence_of, task, rows, reference if agreement else None)),
        groups=groups,
    )


def _rows(photos: Sequence[Photo], categories: set[int], said: Any, name: str) -> list[Row]:
    """Truths and detections of each image."""
    by_image: dict[int, list[dict[str, Any]]] = {int(photo.id): [] for photo in photos}
    try:
        detections = _detections(said)
    except MALFORMED as error:
        raise DataError(
            "not COCO results",
            where=name,
            expected="a list of detections with image_id, category_id, "
            "bbox [x, y, width, height] and score",
            got=f"{type(error).__name__}: {error}",
        ) from error
    _check_known("images", [d["image_id"] for d in detections], by_image.keys(), name)
    _check_known("categories", [d["category_id"] for d in detections], categories, name)
    for detection in detections:
        by_image[detection.pop("image_id")].append(detection)
    return [
        {
            "id": photo.id,
            "width": photo.annotated[1] if photo.annotated else 0,
            "height": photo.annotated[0] if photo.annotated else 0,
            "truths": list(photo.truths),
            "detections": by_image[int(photo.id)],
        }
        for photo in photos
    ]


def _detections(said: Any) -> list[dict[str, Any]]:
    """What is read of each; raises what `_rows` explains."""
    if not isinstance(said, list):
        raise TypeError(f"{type(said).__name__} where a list should be")
    boxes, scores = [each["bbox"] for each in said], [each["score"] for each in said]
    ids = {name: [each[name] for each in said] for name in ("image_id", "category_id")}
    for name, values in ids.items():
        _check_kinds(name, values, {int})
    _check_kinds("score", scores, {int, float})
    for number, box in enumerate(boxes):
        if len(box) != _CORNERS:
            raise ValueError(f"detection {number}: a bbox of {len(box)} numbers")
    _check_kinds("bbox", list(chain.from_iterable(boxes)), {int, float})
    table = np.array(boxes, dtype=np.float64).reshape(len(said), _CORNERS)
    wrong = ~np.isfinite(table).all(axis=1) | (table[:, 2:] < 0).any(axis=1)
    wrong |= ~np.isfinite(np.array(scores, dtype=np.float64))
    if wrong.any():
        number = int(wrong.argmax())
        raise ValueError(f"detection {number}: bbox {boxes[number]}, score {scores[number]}")
    return [
        {"image_id": image, "category_id": category, "bbox": box, "score": score}
        for image, category, box, score in zip(*ids.values(), boxes, scores, strict=True)
    ]


def _check_kinds(name: str, values: Sequence[Any], kinds: set[type]) -> None:
    """Refuse texts, booleans and nulls; raises what `_rows` explains."""
    if not set(map(type, values)) <= kinds:
        wrong = next(value for value in values if type(value) not in kinds)
        raise TypeError(f"{name} {str(wrong)[:80]!r} is no number")


def _check_known(what: str, ids: Sequence[int], known: Any, name: str) -> None:
    unknown = [value for value in ids if value not in known]
    if unknown:
        raise DataError(
            f"detections of {what} that the annotations do not have",
            where=name,
            expected=f"the {len(known)} {what} of the annotations",
            got=f"{len(unknown)} of {len(ids)} detections, first id {unknown[0]}",
            remedy="judge results against the annotations that they were made on; a detector "
            "whose category ids are 0 to 79 needs COCO's own (1 to 90, with gaps)"
            if what == "categories"
            else "judge results against the annotations that they were made on",
        )


def _loaded(source: Any, name: str) -> Any:
    if not isinstance(source, Path):
        return source
    try:
        return loads(source.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            f"cannot read {name}", where=source, expected="JSON, whole", got=error
        ) from error


def _name(source: Any, name: str) -> str:
    return str(source) if isinstance(source, Path) else name
