"""Labelled pictures out of folders, CSV files and Parquet: all of them, mixed, or a clear error."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from quantbench import ClassFolders, LabelledFiles, PictureTables
from quantbench.data.distinct import distinct
from quantbench.data.labelled import Labelled
from quantbench.data.samples import Picture
from quantbench.errors import DataError
from quantbench.sources.parsing import parse_source
from tests.sources.test_hubs import fetched_from_the_hub

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def pixels(number: int) -> Any:
    return np.random.default_rng(number).integers(0, 256, (6, 5, 3), np.uint8)


def encoded(number: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels(number)).save(file, "PNG")
    return file.getvalue()


def folders(root: Path) -> Path:
    """Six cats and dogs to evaluate, four others to calibrate with."""
    for split, start, n in (("val", 0, 6), ("train", 100, 4)):
        for number in range(start, start + n):
            path = root / split / ("cat" if number % 2 else "dog") / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encoded(number))
    return root


def files_of(root: Path) -> dict[str, Path]:
    return {"evaluation": root}


FOLDERS = ClassFolders("pets", "file:unused")
LISTED = LabelledFiles("pets", "file:unused")
TABLE = PictureTables("pets", "file:unused")


def test_a_folder_s_name_is_the_class_of_its_pictures(tmp_path: Path) -> None:
    files = files_of(folders(tmp_path))
    (tmp_path / "val" / ".DS_Store").write_text("x")
    (tmp_path / "val" / "cat" / ".hidden").write_text("x")
    found = FOLDERS.samples(files, "evaluation", None)
    assert {each.id: each.label for each in found} == {
        **{f"dog/{i}.png": "dog" for i in (0, 2, 4)},
        **{f"cat/{i}.png": "cat" for i in (1, 3, 5)},
    }
    assert all(each.classes == ("cat", "dog") for each in found)
    by_id = {each.id: each for each in found}
    assert (by_id["dog/4.png"].image == pixels(4)).all()
    assert len({each.fingerprint for each in found}) == 6
    calibration = FOLDERS.samples(files, "calibration", None)
    assert len(calibration) == 4
    assert {s.digest for s in calibration} & {s.digest for s in found} == set()


def test_the_first_pictures_are_of_several_classes_and_the_same_in_a_longer_list(
    tmp_path: Path,
) -> None:
    for label in "abcd":
        (tmp_path / "val" / label).mkdir(parents=True)
        for i in range(25):
            (tmp_path / "val" / label / f"{i}.png").write_bytes(b"x")
    every = FOLDERS.samples(files_of(tmp_path), "evaluation", None)
    few = FOLDERS.samples(files_of(tmp_path), "evaluation", 12)
    assert [each.id for each in few] == [each.id for each in every[:12]]
    assert {each.label for each in few} == set("abcd")


def test_pictures_of_a_folder_may_have_groups(tmp_path: Path) -> None:
    files = files_of(folders(tmp_path))
    named = ClassFolders("pets", "file:unused", groups="groups.json")
    table = {f"{'cat' if i % 2 else 'dog'}/{i}.png": f"film {i // 2}" for i in range(6)}
    (tmp_path / "groups.json").write_text(json.dumps(table))
    found = named.samples(files, "evaluation", None)
    assert {each.group for each in found} == {"film 0", "film 1", "film 2"}
    (tmp_path / "groups.json").write_text(json.dumps({"cat/1.png": "film 0"}))
    with pytest.raises(DataError, match="5 of 6 samples have no group"):
        named.samples(files, "evaluation", None)


def test_a_folder_that_would_be_judged_in_part_is_refused(tmp_path: Path) -> None:
    files = files_of(folders(tmp_path))
    (tmp_path / "val" / "emu").mkdir()
    with pytest.raises(DataError, match=r"(?s)1 of 3 classes have no picture.*val/emu"):
        FOLDERS.samples(files, "evaluation", None)
    (tmp_path / "val" / "emu" / "1.heic").write_text("x")
    with pytest.raises(DataError, match=r"(?s)no picture by its suffix.*1\.heic"):
        FOLDERS.samples(files, "evaluation", None)
    with pytest.raises(DataError, match=r"(?s)no folder for calibration.*ClassFolders\(calib"):
        ClassFolders("pets", "file:x", calibration="nowhere").samples(files, "calibration", None)
    with pytest.raises(DataError, match="fewer than two classes"):
        ClassFolders("pets", "file:x", evaluation="val/cat").samples(files, "evaluation", None)


def test_a_broken_picture_says_which_it_is(tmp_path: Path) -> None:
    files = files_of(folders(tmp_path))
    (tmp_path / "val" / "cat" / "1.png").write_bytes(encoded(1)[:60])
    broken = next(s for s in FOLDERS.samples(files, "evaluation", None) if s.id == "cat/1.png")
    with pytest.raises(DataError, match=r"(?s)not an image.*cat/1\.png"):
        _ = broken.image


def listed(root: Path, lines: Sequence[str], name: str = "labels.csv") -> dict[str, Path]:
    folders(root)
    (root / name).write_text("\n".join(lines), encoding="utf-8-sig")
    return files_of(root)


def test_a_table_names_the_class_of_each_picture(tmp_path: Path) -> None:
    lines = ["label,path,film", "cat,val/cat/1.png,7", 'a "big" dog,val/dog/2.png,8']
    files = listed(tmp_path, [*lines[:2], '"a ""big"" dog",val/dog/2.png,8'])
    found = {each.id: each for each in LISTED.samples(files, "evaluation", None)}
    assert {name: each.label for name, each in found.items()} == {
        "val/cat/1.png": "cat",
        "val/dog/2.png": 'a "big" dog',
    }
    assert (found["val/dog/2.png"].image == pixels(2)).all()
    grouped = LabelledFiles("pets", "file:x", group="film").samples(files, "evaluation", None)
    assert {each.group for each in grouped} == {"7", "8"}
    (tmp_path / "calibration.csv").write_text("path,label\nval/cat/3.png,cat\nval/dog/4.png,dog")
    assert len(LISTED.samples(files, "calibration", None)) == 2


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["path,class", "val/cat/1.png,cat"], r"(?s)lacks a column.*path, label.*name it.*label"),
        ([], "lacks a column"),
        (["path,label", "val/cat/1.png,"], r"(?s)no path or no label.*labels.csv:2"),
        (["path,label", "val/cat/1.png"], "no path or no label"),
        (["path,label", "a,cat", "val/dog/0.png,dog"], r"(?s)picture is missing.*labels.csv:2"),
        (["path,label", "../x.png,cat", "val/dog/0.png,dog"], "leads out of the data set"),
        (["path,label", "/etc/passwd,cat", "val/dog/0.png,dog"], "leads out of the data set"),
        (["path,label", "val/cat/1.png,cat"], "fewer than two classes"),
        (["path,label", 'val/cat/1.png,"cat'], "not a table of labelled pictures"),
    ],
)
def test_a_bad_line_of_a_table_is_named(tmp_path: Path, lines: list[str], said: str) -> None:
    files = listed(tmp_path, lines)
    with pytest.raises(DataError, match=said):
        LISTED.samples(files, "evaluation", None)


def test_a_table_that_is_none_is_explained(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a table of labelled pictures"):
        LISTED.samples(files_of(tmp_path), "evaluation", None)
    (tmp_path / "labels.csv").write_bytes(b"path,label\n\xff\xfe,x\n")
    with pytest.raises(DataError, match=r"(?s)not a table.*UnicodeDecodeError"):
        LISTED.samples(files_of(tmp_path), "evaluation", None)


def parquet(path: Path, labels: Sequence[Any], names: Sequence[str] = (), **more: Any) -> Path:
    """As the Hub has it: written by `datasets` itself."""
    import datasets

    kind = datasets.ClassLabel(names=list(names)) if names else None
    columns = {
        "image": [{"bytes": encoded(i), "path": f"{i}.png"} for i in range(len(labels))],
        "label": list(labels),
        **more,
    }
    table = datasets.Dataset.from_dict(columns).cast_column("image", datasets.Image())
    if kind is not None:
        table = table.cast_column("label", kind)
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_parquet(str(path))
    return path


def test_rows_of_parquet_are_pictures_with_their_classes_names(tmp_path: Path) -> None:
    file = parquet(tmp_path / "data" / "test-0.parquet", [1, 0, 1], ["cat", "dog", "emu"])
    for place in (file, tmp_path):
        found = TABLE.samples(files_of(place), "evaluation", None)
        assert {each.id[-1]: each.label for each in found} == {"0": "dog", "1": "cat", "2": "dog"}
        for each in found:
            assert (each.image == pixels(int(each.id[-1]))).all()
        assert len({each.digest for each in found}) == 3
    by_number = PictureTables("pets", "file:x", label_as="number")
    assert {s.label for s in by_number.samples(files_of(file), "evaluation", None)} == {"0", "1"}
    with pytest.raises(DataError, match=r"(?s)no calibration split.*calibration_source"):
        TABLE.samples(files_of(file), "calibration", None)
    both = {"evaluation": file, "calibration": file}
    assert len(TABLE.samples(both, "calibration", 2)) == 2


def test_several_files_are_one_table_with_other_columns_and_groups(tmp_path: Path) -> None:
    parquet(tmp_path / "a.parquet", ["x", "y"], film=[1, 2])
    parquet(tmp_path / "b.parquet", ["z", "z", "y"], film=[3, 3, 2])
    grouped = PictureTables("pets", "file:x", group="film")
    found = grouped.samples(files_of(tmp_path), "evaluation", None)
    assert sorted((each.label, each.group) for each in found) == [
        ("x", "1"), ("y", "2"), ("y", "2"), ("z", "3"), ("z", "3"),
    ]  # fmt: skip
    with pytest.raises(DataError, match=r"(?s)lacks a column.*reel"):
        PictureTables("pets", "file:x", group="reel").samples(
            files_of(tmp_path), "evaluation", None
        )


def test_a_table_that_cannot_be_judged_by_is_explained(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no Parquet file"):
        TABLE.samples(files_of(tmp_path), "evaluation", None)
    unlabelled = parquet(tmp_path / "u" / "u.parquet", [-1, -1, 0], ["cat", "dog"])
    with pytest.raises(DataError, match=r"(?s)a row has no label.*test splits"):
        PictureTables("pets", "file:x", label_as="number").samples(
            files_of(unlabelled), "evaluation", None
        )
    with pytest.raises(DataError, match=r"(?s)not a table.*columns photo.*KeyError"):
        PictureTables("pets", "file:x", picture="photo").samples(
            files_of(parquet(tmp_path / "v" / "v.parquet", ["x", "y"])), "evaluation", None
        )
    with pytest.raises(DataError, match=r"(?s)not a table.*no encoded pictures"):
        PictureTables("pets", "file:x", picture="label").samples(
            files_of(tmp_path / "v" / "v.parquet"), "evaluation", None
        )
    with pytest.raises(DataError, match=r"(?s)lacks a column.*species"):
        PictureTables("pets", "file:x", label="species").samples(
            files_of(tmp_path / "v" / "v.parquet"), "evaluation", None
        )
    (tmp_path / "w.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(DataError, match="not a table of labelled pictures"):
        TABLE.samples(files_of(tmp_path / "w.parquet"), "evaluation", None)


def test_a_row_with_a_broken_picture_says_which_it_is(tmp_path: Path) -> None:
    import datasets

    cells = [{"bytes": b"no picture", "path": None}, {"bytes": None, "path": "gone.png"}]
    table = datasets.Dataset.from_dict({"image": cells, "label": ["x", "y"]})
    table.to_parquet(str(tmp_path / "b.parquet"))
    by_id = {s.id[-1]: s for s in TABLE.samples(files_of(tmp_path), "evaluation", None)}
    with pytest.raises(DataError, match=r"(?s)not an image.*row 0"):
        _ = by_id["0"].image
    with pytest.raises(DataError, match=r"(?s)holds no picture.*row 1"):
        _ = by_id["1"].image


def test_a_data_set_of_the_hub_is_taken_from_the_client_s_cache(tmp_path: Path) -> None:
    """By the hub's real client, offline, from a cache laid out as it lays them out."""
    commit = "d" * 40
    snapshot = tmp_path / "hub/hub/datasets--tests--pets/snapshots" / commit
    parquet(snapshot / "data" / "test-00000-of-00001.parquet", [0, 1, 1], ["cat", "dog"])
    parquet(snapshot / "data" / "train-00000-of-00001.parquet", [0, 1], ["cat", "dog"])
    source = f"hf:datasets/tests/pets=={commit}#file=data/test-00000-of-00001.parquet"
    said = fetched_from_the_hub(tmp_path, source, HF_HUB_OFFLINE="1")
    assert "test-00000-of-00001.parquet" in said
    found = TABLE.samples(files_of(tmp_path / "into"), "evaluation", None)
    assert sorted(each.label for each in found) == ["cat", "dog", "dog"]
    assert parse_source(source).ingredients()["hf"] == "datasets/tests/pets"


def test_one_picture_under_two_labels_is_an_error_and_under_one_is_counted_once() -> None:
    same = Picture("x", pixels(0), ())
    one, other = (Labelled(name, same, "cat", ("cat", "dog")) for name in "ab")
    assert distinct([one, other], None).left_out == 1
    contrary = Labelled("b", same, "dog", ("cat", "dog"))
    with pytest.raises(DataError, match=r"(?s)two different truths.*labels 'cat' and 'dog'"):
        distinct([one, contrary], None)


def test_names_of_files_say_nothing_about_content(tmp_path: Path) -> None:
    files = files_of(folders(tmp_path))
    (tmp_path / "val" / "dog" / "again.png").write_bytes(encoded(0))
    found = FOLDERS.samples(files, "evaluation", None)
    assert distinct(found, None).left_out == 1
