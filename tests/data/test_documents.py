"""Documents out of files, the two splits apart; windows that cannot be are refused."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantbench import Documents
from quantbench.catalog.datasets import find_dataset
from quantbench.catalog.kjv import read_kjv_chapters
from quantbench.data.document_files import read_documents, read_wikitext
from quantbench.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from quantbench.data.documents import Document

# As WikiText is written: a space before and behind each line, level one between blank lines.
LINES = [
    " \n",
    " = First article = \n",
    " \n",
    " The first sentence . \n",
    " = an equation = \n",  # not between blank lines
    " \n",
    " = = Section = = \n",
    " \n",
    " More of it . \n",
    " \n",
    " = Second = \n",
    " \n",
    " Its sentence . \n",
]


def of(path: Path, split: str = "evaluation", **described: Any) -> Sequence[Document]:
    files = {"evaluation": path, "calibration": path}
    return Documents("mine", "file:unused", **described).samples(files, split, None)


def jsonl(path: Path, *rows: Mapping[str, object]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def test_a_row_is_a_document_with_its_title(tmp_path: Path) -> None:
    rows = [{"text": "one text", "title": "A"}, {"text": "two"}, {"text": "three", "title": "A"}]
    rows += [{"text": "four", "title": "A (2)"}]
    found = of(jsonl(tmp_path / "texts.jsonl", *rows))
    assert [each.id for each in found] == ["A", "mine-00001", "A (2)", "A (2) (2)"]
    assert [each.text for each in found] == ["one text", "two", "three", "four"]
    assert [each.group for each in found] == [each.id for each in found]


def test_parquet_is_read_as_json_lines_are(tmp_path: Path) -> None:
    from datasets import Dataset

    rows = [{"text": "one text", "title": "A"}, {"text": "two", "title": "B"}]
    Dataset.from_list(rows).to_parquet(str(tmp_path / "texts.parquet"))
    found = of(tmp_path / "texts.parquet")
    assert [(each.id, each.text) for each in found] == [("A", "one text"), ("B", "two")]


def test_a_text_file_is_a_document_and_a_folder_of_them_is_several(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("second\n\nparagraph\n\n")
    (alone,) = of(tmp_path / "b.txt")
    assert (alone.id, alone.text, alone.group) == ("b", "second\n\nparagraph", None)
    assert of(tmp_path) == [alone]
    (tmp_path / "a.txt").write_text("first")
    found = of(tmp_path)
    assert [(each.id, each.group) for each in found] == [("a", "a"), ("b", "b")]


@pytest.mark.parametrize("name", ["wiki.test.raw", "wiki.test.tokens"])
def test_articles_of_wikitext_begin_at_headings_of_level_one(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("".join(LINES))
    found = of(tmp_path / name)
    assert [each.id for each in found] == ["First article", "Second"]
    assert "".join(each.text for each in found) == "".join(LINES)
    assert found[1].text == "".join(LINES[10:])


def test_wikitext_of_the_hub_is_the_same_text(tmp_path: Path) -> None:
    """It has one line a row, and "" where the file has a blank one."""
    from datasets import Dataset

    rows = [{"text": line if line.strip() else ""} for line in LINES]
    Dataset.from_list(rows).to_parquet(str(tmp_path / "test.parquet"))
    (tmp_path / "wiki.test.raw").write_text("".join(LINES))
    of_hub, of_file = (
        list(read_wikitext(tmp_path / name)) for name in ("test.parquet", "wiki.test.raw")
    )
    assert of_hub == of_file
    assert [each.fields for each in of_hub] == [{"title": "First article"}, {"title": "Second"}]


def test_wikitext_without_a_heading_is_one_document(tmp_path: Path) -> None:
    (tmp_path / "wiki.test.raw").write_text(" A sentence . \n \n Another . \n")
    (found,) = of(tmp_path / "wiki.test.raw")
    assert found.id == "mine-00000"
    assert found.text == " A sentence . \n \n Another . \n"


def test_a_hubs_file_stands_in_a_folder_of_its_own(tmp_path: Path) -> None:
    """Its path in the repository is kept; a file's hub has it in the place of `file=`."""
    (tmp_path / "wikitext-2-raw-v1").mkdir()
    jsonl(tmp_path / "wikitext-2-raw-v1" / "test.jsonl", {"text": "a text"})
    assert [each.text for each in of(tmp_path)] == ["a text"]


def test_the_last_documents_are_kept_for_calibration(tmp_path: Path) -> None:
    texts = ["one", "two", "three", "Two!", "five"]
    path = jsonl(tmp_path / "texts.jsonl", *({"text": text} for text in texts))
    found = {
        split: [each.text for each in of(path, split, calibration_documents=2)]
        for split in ("evaluation", "calibration")
    }
    # "Two!" is evaluated as "two": letters and digits are what is compared.
    assert found == {"evaluation": ["one", "two", "three"], "calibration": ["five"]}
    with pytest.raises(DataError, match="all documents of mine are kept"):
        of(path, calibration_documents=5)
    with pytest.raises(DataError, match=r"no documents to calibrate with[^$]*calibration_source"):
        of(path, "calibration")


def test_documents_to_calibrate_with_come_from_elsewhere(tmp_path: Path) -> None:
    files = {
        "evaluation": jsonl(tmp_path / "a.jsonl", {"text": "one"}, {"text": "two"}),
        "calibration": jsonl(tmp_path / "b.jsonl", {"text": "TWO"}, {"text": "three"}),
    }
    data = Documents("mine", "file:a", calibration_source="file:b")
    assert [d.text for d in data.samples(files, "evaluation", None)] == ["one", "two"]
    assert [d.text for d in data.samples(files, "calibration", None)] == ["three"]
    assert [d.text for d in data.samples(files, "evaluation", 1)] == ["one"]
    with pytest.raises(UsageError, match="names its calibration documents twice"):
        Documents("mine", "file:a", calibration_source="file:b", calibration_documents=3)


def test_a_field_may_name_the_groups(tmp_path: Path) -> None:
    rows: list[Mapping[str, object]] = [{"text": "one", "book": "A"}, {"text": "two", "book": 7}]
    path = jsonl(tmp_path / "texts.jsonl", *rows)
    assert [each.group for each in of(path, group="book")] == ["A", "7"]
    with pytest.raises(DataError, match=r"2 of 2 samples have no group[^$]*field 'chapter'"):
        of(path, group="chapter")
    jsonl(path, {"text": "one", "book": 1.5})
    with pytest.raises(DataError, match="group has no name"):
        of(path, group="book")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.jsonl", b'{"text": 1}', "not a passage"),
        ("a.jsonl", b'{"text": "\\ud800"}', "a document is no text"),
        ("a.jsonl", b'{"text": " "}', "a document is empty"),
        ("a.jsonl", b"", "mine holds no document"),
        ("a.txt", b"\xff\xfe", "not UTF-8"),
        ("a.txt", b"\n\n", "a document is empty"),
        ("a.csv", b"text\na", "no documents whose format is known"),
        ("a.parquet", b"PAR1", "not a table of passages"),
        ("wiki.test.raw", b"\xff", "not UTF-8"),
    ],
)
def test_what_cannot_be_read_is_explained(
    tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=says):
        of(tmp_path / name)
    with pytest.raises(DataError, match=says):
        of(tmp_path)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(["a.jsonl", "a.txt", "wiki.a.raw", "a.parquet"]), st.binary(max_size=80))
def test_any_bytes_are_documents_or_an_error_of_quantbench(name: str, content: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        with suppress(DataError):
            assert all(each.text.strip() for each in of(path))


def test_a_folder_of_several_formats_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a text")
    (tmp_path / "b.jsonl").write_text('{"text": "a text"}')
    with pytest.raises(DataError, match=r"no documents[^$]*a\.txt, b\.jsonl[^$]*Documents\(read"):
        list(read_documents(tmp_path))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="an empty folder"):
        list(read_documents(tmp_path / "empty"))


@pytest.mark.parametrize(
    "described",
    [
        {"context": 1},
        {"context": 64, "scored": 64},
        {"context": 64, "scored": 0},
        {"context": 64, "stride": 16, "scored": 17},
        {"context": 64, "stride": 0, "scored": 1},
    ],
    ids=str,
)
def test_windows_that_cannot_be_are_refused(described: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="describes windows that cannot be"):
        Documents("mine", "file:a", **described)  # type: ignore[arg-type]


def test_the_default_cut_is_llama_perplexitys() -> None:
    cut = Documents("mine", "file:a").cut
    assert (cut.name, cut.context, cut.stride, cut.scored) == ("mine", 512, 512, 255)
    assert Documents("mine", "file:a", context=1024, stride=512, scored=512).cut.scored == 512


def test_chapters_come_whole_without_brackets_in_a_fixed_order(tmp_path: Path) -> None:
    verses = [f"Verse {i} of [the] book. " for i in range(6)]
    starts = [sum(map(len, verses[:i])) for i in range(6)]
    numbers = [1001001, 1001002, 1002001, 2001001, 2001002, 2002001]
    names = {1: "Genesis", 2: "Exodus"}
    table = ", ".join(f"{n}: {s}" for n, s in zip(numbers, starts, strict=True))
    module = tmp_path / "bible.py"
    module.write_text(f'starts = {{{table}}}\nnames = {names}\ntext = """{"".join(verses)}"""\n')
    found = list(read_kjv_chapters(module))
    assert sorted(found) == [
        "Verse 0 of the book. Verse 1 of the book.",
        "Verse 2 of the book.",
        "Verse 3 of the book. Verse 4 of the book.",
        "Verse 5 of the book.",
    ]
    by_title = {each.fields["title"]: each.fields["book"] for each in found}
    assert by_title == {
        "Genesis 1": "Genesis", "Genesis 2": "Genesis", "Exodus 1": "Exodus", "Exodus 2": "Exodus",
    }  # fmt: skip
    assert list(read_kjv_chapters(module)) == found


def test_the_catalogs_texts_are_cut_as_llama_perplexity_cuts() -> None:
    for name in ("kjv_text", "wikitext2", "wikitext2_hub"):
        data = find_dataset(name)
        assert isinstance(data, Documents)
        assert data.task == "perplexity"
        assert (data.cut.context, data.cut.scored) == (512, 255)
