"""Data sets: fixed order, exact truth, no sample in two splits."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from quantbench import Passages
from quantbench.catalog.datasets import find_dataset
from quantbench.catalog.digits.scenes import SIZE_PX, glyph_indices, scene
from quantbench.catalog.kjv import read_kjv
from quantbench.data.samples import Passage, Picture, content_digest
from quantbench.data.texts import as_written, read_lines, read_texts, read_tokenized
from quantbench.errors import DataError
from quantbench.sources.parsing import parse_source

if TYPE_CHECKING:
    from pathlib import Path


def passages_file(folder: Path, texts: list[str]) -> Path:
    folder.mkdir()
    lines = (json.dumps({"text": text}) + "\n" for text in texts)
    (folder / "passages.jsonl").write_text("".join(lines))
    return folder


def test_no_glyph_is_in_both_splits() -> None:
    train, evaluation = glyph_indices("train"), glyph_indices("evaluation")
    assert set(train) & set(evaluation) == set()
    assert sorted([*train, *evaluation]) == list(range(1797))


@pytest.mark.parametrize("split", ["train", "calibration", "evaluation"])
def test_a_scene_has_one_to_eight_digits_inside_the_picture(split: str) -> None:
    for index in range(50):
        drawn = scene(split, index)
        assert drawn.image.shape == (SIZE_PX, SIZE_PX, 3)
        assert drawn.image.dtype == np.uint8
        assert 1 <= len(drawn.labels) <= 8
        assert set(drawn.labels) <= set(range(10))
        x, y, width, height = drawn.boxes.T
        assert (x >= 0).all() and (y >= 0).all()
        assert (x + width <= SIZE_PX).all() and (y + height <= SIZE_PX).all()
        assert (width >= 1).all() and (height >= 5).all()


def test_a_scene_depends_on_split_and_index_alone() -> None:
    first = scene("evaluation", 7)
    scene("evaluation", 8)
    again = scene("evaluation", 7)
    assert (again.image == first.image).all()
    assert (again.boxes == first.boxes).all()
    assert (scene("calibration", 7).image != first.image).any()


def test_the_ink_lies_in_the_box() -> None:
    """The picture differs from its surroundings inside the box and touches all its sides."""
    drawn = scene("evaluation", 2)
    for x, y, width, height in drawn.boxes.astype(int):
        window = drawn.image[y : y + height, x : x + width].astype(float)
        assert window.std() > 10


def test_scenes_are_coco_samples() -> None:
    (picture,) = find_dataset("digit_scenes").samples({}, "evaluation", 1)
    assert picture.id == "evaluation-000000"
    for truth in picture.truths:
        assert truth["area"] == truth["bbox"][2] * truth["bbox"][3]
        assert 1 <= truth["category_id"] <= 10
        assert truth["iscrowd"] == 0


def test_a_longer_list_starts_with_the_shorter(tmp_path: Path) -> None:
    folder = passages_file(tmp_path / "files", [f"passage number {i}" for i in range(30)])
    data = Passages("mine", "file:unused", calibration_n=10)
    files = {"evaluation": folder}
    short, long = (data.samples(files, "evaluation", n) for n in (5, None))
    assert long[:5] == short
    assert len(long) == 20


def test_one_file_never_serves_a_passage_to_both_splits(tmp_path: Path) -> None:
    folder = passages_file(tmp_path / "files", [f"passage number {i}" for i in range(30)])
    data = Passages("mine", "file:unused", calibration_n=10)
    evaluated, calibrated = (
        {sample.digest for sample in data.samples({"evaluation": folder}, split, None)}
        for split in ("evaluation", "calibration")
    )
    assert len(calibrated) == 10
    assert evaluated & calibrated == set()


def test_calibration_drops_what_occurs_in_evaluation_in_other_spelling(tmp_path: Path) -> None:
    evaluation = passages_file(tmp_path / "test", ['He said: "Don\'t go!"', "Another one"])
    calibration = tmp_path / "dev"
    calibration.mkdir()
    (calibration / "dev.txt").write_text("he said : `` do n't go ! ''\nsomething new here\n")
    data = Passages(
        "mine", "file:unused", calibration_source="file:unused", read_calibration=read_lines
    )
    files = {"evaluation": evaluation, "calibration": calibration}
    (kept,) = data.samples(files, "calibration", None)
    assert kept.text == "something new here"


def test_same_words_are_the_same_passage() -> None:
    assert Passage("a", "A dog,  barked").digest == Passage("b", "a dog barked!").digest
    assert Passage("a", "A dog barked").digest != Passage("b", "A dog barks").digest


def test_a_fingerprint_changes_with_every_byte_and_with_the_truth() -> None:
    assert Passage("a", "A dog barked").fingerprint != Passage("a", "A dog, barked").fingerprint
    image, truth = np.zeros((2, 2, 3), np.uint8), ({"bbox": [0, 0, 1, 1], "category_id": 1},)
    fingerprints = {
        Picture("a", image, ()).fingerprint,
        Picture("a", image, truth).fingerprint,
        Picture("a", image + 1, truth).fingerprint,
    }
    assert len(fingerprints) == 3


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"texts": "typo"}', "expected"),
        ("not json", "not a passage"),
        ('["a list"]', "not a passage"),
        ('{"text": 3}', "not a passage"),
        ('{"text": "alone"}', "at least two words"),
        ('{"text": "half a \\ud800 character"}', "a passage is no text"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "passages.jsonl").write_text('{"text": "a good line"}\n' + line + "\n")
    with pytest.raises(DataError, match=message) as caught:
        Passages("mine", "file:unused").samples({"evaluation": tmp_path}, "evaluation", None)
    assert "passages.jsonl" in str(caught.value)


def test_other_encodings_are_refused(tmp_path: Path) -> None:
    (tmp_path / "passages.jsonl").write_bytes('{"text": "caf\xe9 noir"}'.encode("latin-1"))
    with pytest.raises(DataError, match="not UTF-8"):
        Passages("mine", "file:unused").samples({"evaluation": tmp_path}, "evaluation", None)


@pytest.mark.parametrize("suffix", ["jsonl", "txt"])
def test_the_mark_in_front_of_a_file_is_no_text(tmp_path: Path, suffix: str) -> None:
    line = '{"text": "a good line"}' if suffix == "jsonl" else "a good line"
    (tmp_path / f"passages.{suffix}").write_text(f"{line}\n{line}", encoding="utf-8-sig")
    assert list(read_texts(tmp_path / f"passages.{suffix}")) == ["a good line"] * 2


def test_without_calibration_every_passage_is_evaluated(tmp_path: Path) -> None:
    folder = passages_file(tmp_path / "files", [f"passage number {i}" for i in range(30)])
    files = {"evaluation": folder}
    data = Passages("mine", "file:unused", calibration_n=0)
    assert len(data.samples(files, "evaluation", None)) == 30
    assert data.samples(files, "calibration", None) == []
    with pytest.raises(DataError, match=r"(?s)kept for calibration.*calibration_n=30.*30 passages"):
        replace(data, calibration_n=30).samples(files, "evaluation", None)
    assert find_dataset("digit_scenes").samples({}, "calibration", 0) == []


def test_an_empty_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "passages.jsonl").write_text("")
    with pytest.raises(DataError, match="mine holds no passage"):
        Passages("mine", "file:unused").samples({"evaluation": tmp_path}, "evaluation", None)


def test_kjv_passages_repeat_their_last_word(tmp_path: Path) -> None:
    verse = "And the [very] long verse number {} of the book goes on and on " + "word " * 40
    text = " ".join(verse.format(i) + f"until the end of verse {i}." for i in range(20))
    module = tmp_path / "bible.py"
    module.write_text(f'import a_package_that_is_not_there\nbible = Bible("""{text}""")\n')
    passages = list(read_kjv(module))
    assert len(passages) == 20
    for passage in passages:
        words = passage.lower().split()
        assert 45 <= len(words) <= 110
        assert words[-1] in words[:-1]
        assert not set("[]") & set(passage)
    assert list(read_kjv(module)) == passages


def coco_folder(folder: Path) -> Path:
    from PIL import Image

    for split, ids in (("val2017", (7, 3)), ("train2017", (9,))):
        (folder / split).mkdir(parents=True)
        images = [{"id": i, "file_name": f"{i:012d}.png", "height": 4, "width": 6} for i in ids]
        annotations = [
            {"id": 10 * i, "image_id": i, "category_id": 90, "bbox": [1, 1, 2, 2], "area": 3.5,
             "iscrowd": 1, "segmentation": {}}
            for i in ids
        ]  # fmt: skip
        described = {"images": images, "annotations": annotations, "categories": []}
        (folder / f"instances_{split}_subset.json").write_text(json.dumps(described))
        for image in images:
            pixels = np.full((4, 6, 3), image["id"], np.uint8)
            Image.fromarray(pixels).save(folder / split / str(image["file_name"]))
    return folder


def test_coco_images_come_with_their_unmodified_truth(tmp_path: Path) -> None:
    files = {"evaluation": coco_folder(tmp_path / "coco")}
    data = find_dataset("coco")
    first, second = data.samples(files, "evaluation", None)
    assert (first.id, second.id) == ("3", "7")
    assert first.image.shape == (4, 6, 3)
    assert first.size == (4, 6)
    assert (first.image == 3).all()
    (truth,) = first.truths
    assert truth == {"bbox": [1, 1, 2, 2], "area": 3.5, "category_id": 90, "iscrowd": 1}
    (calibration,) = data.samples(files, "calibration", 100)
    assert calibration.id == "9"
    assert len({each.digest for each in (first, second, calibration)}) == 3


def test_a_broken_coco_folder_is_explained(tmp_path: Path) -> None:
    data = find_dataset("coco")
    with pytest.raises(DataError, match=r"no annotations(?s:.*)instances_val2017"):
        data.samples({"evaluation": tmp_path}, "evaluation", None)
    files = {"evaluation": coco_folder(tmp_path / "coco")}
    image = tmp_path / "coco" / "val2017" / "000000000007.png"
    image.write_bytes(b"not an image")
    broken = data.samples(files, "evaluation", None)[1]
    with pytest.raises(DataError, match="not an image"):
        _ = broken.image
    image.unlink()
    with pytest.raises(DataError, match="an annotated image is missing"):
        data.samples(files, "evaluation", None)
    annotations = tmp_path / "coco" / "instances_val2017_subset.json"
    annotations.write_text('{"images": [{"name": "no id"}], "annotations": []}')
    with pytest.raises(DataError, match="not COCO annotations"):
        data.samples(files, "evaluation", None)


def rewritten(folder: Path, **changes: Any) -> dict[str, Path]:
    """The COCO folder with other parts in the annotations of its evaluation split."""
    files = {"evaluation": coco_folder(folder)}
    annotations = folder / "instances_val2017_subset.json"
    described = json.loads(annotations.read_text())
    annotations.write_text(json.dumps({**described, **changes}))
    return files


def test_photos_know_the_categories_of_their_file(tmp_path: Path) -> None:
    listed = [{"id": 90, "name": "toothbrush"}, {"id": 1, "name": "person"}]
    files = rewritten(tmp_path / "coco", categories=listed)
    first, _ = find_dataset("coco").samples(files, "evaluation", None)
    assert first.categories == {90: "toothbrush", 1: "person"}
    files = rewritten(tmp_path / "without")
    first, _ = find_dataset("coco").samples(files, "evaluation", None)
    assert first.categories is None


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        ([{"id": 1}, {"id": 2}], "category_id 90 of annotation 70 is none of the file's 2 categ"),
        ([{"id": 90}, {"id": 90}], "two categories have the same id"),
        ([{"name": "without an id"}], "KeyError: 'id'"),
    ],
)
def test_objects_of_no_category_are_refused(
    tmp_path: Path, listed: list[dict[str, Any]], message: str
) -> None:
    files = rewritten(tmp_path / "coco", categories=listed)
    with pytest.raises(DataError, match=f"(?s)not COCO annotations.*{message}"):
        find_dataset("coco").samples(files, "evaluation", None)


@pytest.mark.parametrize(
    "bbox", [[1, 1, 2], [1, 1, -2, 2], [1, 1, float("nan"), 2], ["1", 1, 2, 2]]
)
def test_a_box_that_is_none_is_refused(tmp_path: Path, bbox: list[float]) -> None:
    files = {"evaluation": coco_folder(tmp_path / "coco")}
    annotations = tmp_path / "coco" / "instances_val2017_subset.json"
    described = json.loads(annotations.read_text())
    described["annotations"][0]["bbox"] = bbox
    annotations.write_text(json.dumps(described))
    with pytest.raises(DataError, match="not COCO annotations"):
        find_dataset("coco").samples(files, "evaluation", None)


@pytest.mark.parametrize(
    ("bbox", "inside"),
    [
        ([0, 0, 6, 4], True),  # the whole picture of 6 x 4
        ([-1, -1, 8, 6], True),  # a pixel of rounding
        ([4, 1, 4, 2], True),  # an object that the edge cuts off
        ([6, 4, 0, 0], True),
        ([8, 1, 2, 2], False),
        ([1, -4, 2, 2], False),
        ([5, 3, 6, 4], False),  # two corners for a corner and a size
        ([4, 1, 400, 2], False),
    ],
)
@pytest.mark.parametrize("sized", [True, False])
def test_a_box_outside_its_picture_is_refused(
    tmp_path: Path,
    bbox: list[float],
    inside: bool,  # noqa: FBT001 - a column of the table
    sized: bool,  # noqa: FBT001
) -> None:
    files = {"evaluation": coco_folder(tmp_path / "coco")}
    annotations = tmp_path / "coco" / "instances_val2017_subset.json"
    described = json.loads(annotations.read_text())
    described["annotations"][1]["bbox"] = bbox
    if not sized:
        for image in described["images"]:
            del image["height"]
    annotations.write_text(json.dumps(described))
    data = find_dataset("coco")
    if inside:
        assert len([photo.image for photo in data.samples(files, "evaluation", None)]) == 2
        return
    with pytest.raises(DataError, match=r"a box lies outside its picture(?s:.*)6 x 4"):
        _ = [photo.image for photo in data.samples(files, "evaluation", None)]


def test_coco_by_download_says_what_it_would_fetch() -> None:
    data = find_dataset("coco_val2017")
    assert data.source is not None
    assert data.calibration_source is not None
    for text in (data.source, data.calibration_source):
        assert len(dict(parse_source(text).ingredients())["several"]) == 2


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        ("`` do n't , '' she said .", "\u201cdon't,\u201d she said."),
        ("he said : `` i 'm sure they 'll go", "he said: \u201ci'm sure they'll go"),
        (
            "i can not ( ever ) pay $ 5 for it ; gon na sing",
            "i cannot (ever) pay $5 for it; gonna sing",
        ),
        ("it was sarah 's word", "it was sarah's word"),
    ],
)
def test_tokens_become_running_text_and_keep_their_last_word(
    tmp_path: Path, tokens: str, text: str
) -> None:
    (tmp_path / "plain.txt").write_text(tokens + "\n\n")
    assert list(read_tokenized(tmp_path / "plain.txt")) == [text]


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        ("`` do n't , '' she said . i ran", '"Don\'t," she said. I ran'),
        ("she ran . `` why ? '' `` i 'm late , '' he said", 'She ran. "Why?" "I\'m late," he said'),
        ("he nods . ` in there , ' he said . i go", "He nods. 'In there,' he said. I go"),
        ("it was sarah 's word", "It was sarah's word"),
    ],
)
def test_tokens_are_written_as_a_book_prints_them(tokens: str, text: str) -> None:
    """Their content stays: a text and its tokens are one sample."""
    assert as_written(tokens) == text
    assert content_digest(tokens) == content_digest(text)


def test_lambada_is_trained_on_as_it_is_evaluated() -> None:
    passage = Passage("1", "`` go , '' said sarah . i went to paris", spaces_alone=True)
    for name in ("lambada", "lambada_openai"):
        dataset: Any = find_dataset(name)
        made = dataset.as_evaluated(passage)
        assert made.text == '"Go," said sarah. I went to paris'
        assert (made.id, made.digest, made.spaces_alone) == ("1", passage.digest, True)
    other: Any = find_dataset("kjv")
    assert other.as_evaluated(passage) is passage


def test_a_files_suffix_says_its_format(tmp_path: Path) -> None:
    from datasets import Dataset

    Dataset.from_dict({"text": ["a b", "c d"], "domain": ["x", "y"]}).to_parquet(
        tmp_path / "a.parquet"
    )
    (tmp_path / "a.jsonl").write_text('{"text": "a b"}\n{"text": "c d"}\n')
    (tmp_path / "a.txt").write_text("a b\nc d\n")
    for suffix in ("parquet", "jsonl", "txt"):
        assert list(read_texts(tmp_path / f"a.{suffix}")) == ["a b", "c d"]
    (tmp_path / "a.csv").write_text("a b")
    with pytest.raises(DataError, match=r"expected: \.jsonl, \.parquet, \.txt"):
        list(read_texts(tmp_path / "a.csv"))
    Dataset.from_dict({"words": ["a b"]}).to_parquet(tmp_path / "b.parquet")
    with pytest.raises(DataError, match="a column text"):
        list(read_texts(tmp_path / "b.parquet"))
