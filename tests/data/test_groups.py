"""Samples know which others they belong with."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from quantbench import CocoImages, Passages
from quantbench.catalog.datasets import find_dataset
from quantbench.catalog.kjv import read_kjv
from quantbench.data.groups import grouped_by
from quantbench.data.samples import Passage
from quantbench.errors import DataError, UsageError
from tests.catalog.test_datasets import coco_folder

if TYPE_CHECKING:
    from pathlib import Path

    from quantbench.protocols import Dataset


def passages(folder: Path, rows: list[dict[str, Any]]) -> dict[str, Path]:
    path = folder / "passages.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {"evaluation": path}


MINE = Passages("mine", "file:unused", calibration_n=1)
BOOKS: list[dict[str, Any]] = [
    {"text": "a dog ran", "book": "one"},
    {"text": "a cat ran", "book": 2},
    {"text": "a bird sang", "book": " one "},
    {"text": "a tree fell"},  # calibrates
]


def grouped(dataset: Dataset, files: dict[str, Path], n: int | None = None) -> list[str | None]:
    return [sample.group for sample in dataset.samples(files, "evaluation", n)]


def test_a_field_of_json_lines_names_the_group(tmp_path: Path) -> None:
    files = passages(tmp_path, BOOKS)
    assert grouped(MINE, files) == [None] * 3
    assert grouped(replace(MINE, group="book"), files) == ["one", "2", "one"]
    assert grouped(grouped_by(MINE, "book"), files, 2) == ["one", "2"]
    (calibrating,) = replace(MINE, group="book").samples(files, "calibration", None)
    assert calibrating.group is None


def test_a_column_of_parquet_names_the_group(tmp_path: Path) -> None:
    from datasets import Dataset as Table

    path = tmp_path / "passages.parquet"
    Table.from_dict({"text": ["a b", "c d"], "domain": ["x", "y"]}).to_parquet(path)
    data = replace(MINE, group="domain", calibration_n=0)
    assert grouped(data, {"evaluation": path}) == ["x", "y"]


@pytest.mark.parametrize("beside", [True, False])
def test_a_file_of_groups_names_them(
    tmp_path: Path,
    beside: bool,  # noqa: FBT001 - a file, or a folder of one
) -> None:
    files = passages(tmp_path, BOOKS)
    table = {"mine-00000": "x", "mine-00001": "y", "mine-00002": 7}
    (tmp_path / "groups.json").write_text(json.dumps(table))
    files = files if beside else {"evaluation": tmp_path}
    assert grouped(replace(MINE, groups="groups.json"), files) == ["x", "y", "7"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"mine-00000": "x", "mine-00002": "y"}, "1 of 3 samples have no group, first mine-00001"),
        (["x"], "not a table of groups"),
        ({"mine-00000": ["x"]}, "not a table of groups"),
        (None, "not a table of groups"),
    ],
)
def test_a_file_that_does_not_name_every_group_is_refused(
    tmp_path: Path, table: Any, message: str
) -> None:
    files = passages(tmp_path, BOOKS)
    if table is not None:
        (tmp_path / "groups.json").write_text(json.dumps(table))
    with pytest.raises(DataError, match=f"(?s){message}.*groups.json"):
        grouped(replace(MINE, groups="groups.json"), files)


def test_a_missing_group_is_refused(tmp_path: Path) -> None:
    files = passages(tmp_path, [*BOOKS[:2], {"text": "a tree fell", "book": " "}, BOOKS[3]])
    with pytest.raises(
        DataError, match=r"(?s)1 of 3 samples have no group, first mine-00002.*field 'book'"
    ):
        grouped(replace(MINE, group="book"), files)
    with pytest.raises(DataError, match="3 of 3 samples have no group"):
        grouped(replace(MINE, group="chapter"), files)
    files = passages(tmp_path, [{"text": "a dog ran", "book": ["one"]}, *BOOKS])
    with pytest.raises(DataError, match=r"(?s)group has no name.*mine-00000, field 'book'"):
        grouped(replace(MINE, group="book"), files)


def test_groups_are_named_once() -> None:
    with pytest.raises(UsageError, match="mine names its groups twice"):
        replace(MINE, group="book", groups="groups.json")
    photos = CocoImages("photos", "file:unused", groups="groups.json")
    with pytest.raises(UsageError, match="photos names its groups twice"):
        replace(photos, group="video_id")
    asked = grouped_by(photos, "video_id")
    assert asked == CocoImages("photos", "file:unused", group="video_id")
    with pytest.raises(UsageError, match="digit_scenes cannot be grouped by 'video_id'"):
        grouped_by(find_dataset("digit_scenes"), "video_id")


def test_a_field_of_the_images_names_the_group_of_photos(tmp_path: Path) -> None:
    files = {"evaluation": coco_folder(tmp_path / "coco")}
    annotations = tmp_path / "coco" / "instances_val2017_subset.json"
    described = json.loads(annotations.read_text())
    data = replace(find_dataset("coco"), group="video_id")  # type: ignore[type-var]
    with pytest.raises(DataError, match=r"(?s)2 of 2 samples.*'video_id' of its images"):
        grouped(data, files)
    for image in described["images"]:
        image["video_id"] = 40 + image["id"]
    annotations.write_text(json.dumps(described))
    assert grouped(data, files) == ["43", "47"]
    (tmp_path / "coco" / "groups.json").write_text('{"3": "a", "7": "a"}')
    assert grouped(CocoImages("mine", "unused", groups="groups.json"), files) == ["a", "a"]


def test_a_group_is_no_part_of_a_samples_content() -> None:
    alone, together = Passage("p", "a dog ran"), Passage("p", "a dog ran", group="book")
    assert (alone.digest, alone.fingerprint) == (together.digest, together.fingerprint)


KJV = """
bible = Bible(Version.X, '''
{text}''',
    {starts},
    {starts},
    {{Book.GENESIS: {{1: 2}}}},
    {{Book.GENESIS: "Genesis", Book.EXODUS: "Exodus"}},
    {{Book.GENESIS: "The First Book", Book.EXODUS: "The Second Book"}},
)
"""


def test_kjv_passages_know_their_book_and_chapter(tmp_path: Path) -> None:
    verses, text = {}, ""
    for number, verse in enumerate((1001001, 1001002, 1002001, 2001001)):
        verses[verse] = 1 + len(text)
        text += f"[The] verse {number} goes on " + "word " * 45 + f"until [its] end {number}.\n"
    module = tmp_path / "bible.py"
    module.write_text(KJV.format(text=text, starts=verses))
    found = {str(passage).split()[2]: passage.fields for passage in read_kjv(module)}
    assert found == {
        "0": {"book": "Genesis", "chapter": "Genesis 1"},
        "1": {"book": "Genesis", "chapter": "Genesis 1"},
        "2": {"book": "Genesis", "chapter": "Genesis 2"},
        "3": {"book": "Exodus", "chapter": "Exodus 1"},
    }
