"""Pictures in a folder for each class, as ImageNet and most small data sets are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from quantbench.data.groups import check_grouped, from_table
from quantbench.data.labelled import Labelled, check_several, mixed
from quantbench.data.samples import Photo
from quantbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_SUFFIXES = (*(".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"),)


@dataclass(frozen=True)
class ClassFolders:
    """Pictures in a folder for each class: `val/cat/1.jpg`, `train/dog/2.jpg`.

    A folder's name is the class of all pictures below it. Hidden files are passed over.

    Attributes:
        source: the folder that has the splits' folders, e.g. `file:photos` or `data:imagenet`.
        evaluation: the folder, below the source's, of the classes that are evaluated; "" for the
            source's own.
        calibration: the same for calibration.
        calibration_source: where the calibration folder is, when that is elsewhere.
        groups: a JSON file in the source's folder with the group of each picture's id, which is
            its path below the split's folder.
    """

    name: str
    source: str
    evaluation: str = "val"
    calibration: str = "train"
    calibration_source: str | None = None
    task: str = "classification"
    default_n: int = 5000
    calibration_n: int = 100
    groups: str | None = None

    def samples(self, files: Mapping[str, Path], split: str, n: int | None) -> Sequence[Labelled]:
        """The first `n` pictures of `split`, classes mixed; none is opened.

        Raises:
            DataError: there is no such folder, a class has no picture, a file is no picture by
                its suffix, or a picture has no group where they are asked for.
        """
        root = files.get(split, files["evaluation"])
        folder = root / (self.evaluation if split == "evaluation" else self.calibration)
        if not folder.is_dir():
            raise DataError(
                f"no folder for {split}",
                where=folder,
                expected=f"a folder with a folder of pictures for each class; "
                f"ClassFolders({split}=...) names another",
            )
        by_class = {each.name: _pictures(each) for each in _visible(folder) if each.is_dir()}
        if empty := [name for name, pictures in by_class.items() if not pictures]:
            raise DataError(
                f"{len(empty)} of {len(by_class)} classes have no picture",
                where=folder / empty[0],
                expected="at least one picture in each class's folder",
                remedy="fill the folder, or remove it",
            )
        classes = tuple(by_class)
        check_several(classes, folder)
        found = [
            Labelled(name, Photo(name, path, ()), label, classes)
            for label, pictures in by_class.items()
            for path in pictures
            for name in [path.relative_to(folder).as_posix()]
        ]
        if self.groups is not None and split == "evaluation":
            found = from_table(found, root / self.groups)
            check_grouped(found, str(root / self.groups))
        return mixed(found)[:n]


def _visible(folder: Path) -> list[Path]:
    return sorted(each for each in folder.iterdir() if not each.name.startswith("."))


def _pictures(folder: Path) -> list[Path]:
    """Of the folder and all below it."""
    found = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    ]
    if strange := [path for path in found if path.suffix.lower() not in _SUFFIXES]:
        raise DataError(
            "a file in a class's folder is no picture by its suffix",
            where=strange[0],
            expected=", ".join(_SUFFIXES),
            remedy="convert it or remove it: passed over, its class would be judged without it",
        )
    return found
