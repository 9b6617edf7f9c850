"""Images and annotations in COCO's layout."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from quantbench.core.jsons import MALFORMED, loads
from quantbench.data.groups import check_asked_once, check_grouped, from_table, group_name
from quantbench.data.samples import Photo, check_inside
from quantbench.errors import DataError
from quantbench.sources.names import inner_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_COCO_ANNOTATIONS = {
    split: (f"annotations/instances_{name}.json", f"instances_{name}_subset.json")
    for split, name in (("evaluation", "val2017"), ("calibration", "train2017"))
}


@dataclass(frozen=True)
class CocoImages:
    """Images and annotations in COCO's layout, of val2017 and train2017 unless said otherwise.

    Attributes:
        source: a folder, e.g. `data:coco`, or archives that unpack into one.
        calibration_source: the same for calibration images that are elsewhere.
        annotations: split to the annotation files it may have, the first that exists is read.
        folders: split to the folder of its images.
        group: field of the annotation file's images that names the group of each, e.g.
            `video_id`.
        groups: instead, a JSON file in the source's folder with the group of each image's id.
    """

    name: str
    source: str
    annotations: Mapping[str, tuple[str, ...]] = field(
        default_factory=lambda: dict(_COCO_ANNOTATIONS), hash=False
    )
    folders: Mapping[str, str] = field(
        default_factory=lambda: {"evaluation": "val2017", "calibration": "train2017"}, hash=False
    )
    calibration_source: str | None = None
    task: str = "detection"
    default_n: int = 5000
    calibration_n: int = 100
    group: str | None = None
    groups: str | None = None

    def __post_init__(self) -> None:
        """Refuse groups that are named twice."""
        check_asked_once(self.group, self.groups, self.name)

    def samples(self, files: Mapping[str, Path], split: str, n: int | None) -> Sequence[Photo]:
        """The first `n` images of the split's annotation file, in the order of their ids.

        Raises:
            DataError: there is no annotation file, it is not COCO's, a box lies outside its
                image (`samples.check_inside`), or an image, or its group, is missing.
        """
        root = files.get(split, files["evaluation"])
        candidates = [root / name for name in self.annotations[split]]
        path = next((path for path in candidates if path.is_file()), None)
        if path is None:
            raise DataError(
                f"no annotations for {split}",
                where=root,
                expected=" or ".join(self.annotations[split]),
            )
        try:
            described = loads(path.read_text(encoding="utf-8-sig"))
            photos = photos_of(described, root / self.folders[split], n, self.group)
        except MALFORMED as error:
            raise DataError(
                "not COCO annotations",
                where=path,
                expected="images and annotations with ids, bbox, area, category_id, iscrowd",
                got=f"{type(error).__name__}: {error}",
            ) from error
        for photo in photos:
            if not photo.path.is_file():
                raise DataError("an annotated image is missing", where=photo.path)
        return self._grouped(photos, path, root) if split == "evaluation" else photos

    def _grouped(self, photos: list[Photo], annotations: Path, root: Path) -> list[Photo]:
        if self.groups is not None:
            photos = from_table(photos, root / self.groups)
            check_grouped(photos, str(root / self.groups))
        if self.group is not None:
            check_grouped(photos, f"{annotations}, field {self.group!r} of its images")
        return photos


def photos_of(
    described: Any, folder: Path, n: int | None = None, group: str | None = None
) -> list[Photo]:
    """The first `n` images of COCO's JSON, in the order of their ids; none is opened.

    Args:
        described: what the annotation file holds.
        folder: of the images.
        n: None for all.
        group: field of an image that names its group.

    Raises:
        KeyError, TypeError, ValueError: it is not COCO's JSON (`jsons.MALFORMED`).
    """
    truths: dict[int, list[dict[str, Any]]] = {
        _id(image["id"]): [] for image in described["images"]
    }
    categories = _categories(described.get("categories") or [])
    sizes = {image["id"]: _size(image) for image in described["images"]}
    for annotation in described["annotations"]:
        truth = _truth(annotation)
        if categories and truth["category_id"] not in categories:
            raise ValueError(
                f"category_id {truth['category_id']} of annotation {annotation.get('id')} is none "
                f"of the file's {len(categories)} categories"
            )
        image = _id(annotation["image_id"])
        truths[image].append(truth)
        if (size := sizes[image]) is not None:
            check_inside(truth["bbox"], size, f"annotation {annotation.get('id')} of image {image}")
    if len(truths) < len(described["images"]):
        raise ValueError("two images have the same id")
    images = sorted(described["images"], key=lambda image: image["id"])[:n]
    return [
        Photo(
            str(image["id"]),
            folder / inner_path(image.get("file_name", str(image["id"]))),
            tuple(truths[image["id"]]),
            sizes[image["id"]],
            categories or None,
            group_name(image.get(group)),
        )
        for image in images
    ]


def _size(image: Any) -> tuple[int, int] | None:
    """(height, width), where it is said."""
    return (int(image["height"]), int(image["width"])) if "height" in image else None


def _categories(described: Any) -> dict[int, str]:
    """Name by id; none where the file lists none."""
    named = {_id(category["id"]): str(category.get("name", "")) for category in described}
    if len(named) < len(described):
        raise ValueError("two categories have the same id")
    return named


def _id(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"id {str(value)[:40]!r} is no whole number")
    return value


def _real(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{str(value)[:40]!r} is no number")
    return float(value)


def _truth(annotation: Any) -> dict[str, Any]:
    """What is kept of an annotation."""
    x, y, width, height = map(_real, annotation["bbox"])
    area, crowd = _real(annotation["area"]), annotation["iscrowd"]
    if not all(map(math.isfinite, (x, y, width, height, area))) or min(width, height, area) < 0:
        raise ValueError(f"bbox {annotation['bbox']}, area {annotation['area']}")
    if crowd not in {0, 1}:
        raise ValueError(f"iscrowd {str(crowd)[:40]}")
    return {key: annotation[key] for key in ("bbox", "area", "iscrowd")} | {
        "category_id": _id(annotation["category_id"])
    }
