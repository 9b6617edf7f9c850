"""Bent documents and words: a result, or an error of quantbench's tree; nothing else."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from quantbench import CocoImages, Passages
from quantbench.core.settings import OPTIONS, parse_settings
from quantbench.errors import DataError, QuantbenchError, RecordError
from quantbench.record.baseline import accepted, read_baseline
from quantbench.record.baseline import as_text as baseline_as_text
from quantbench.record.comparing import compared
from quantbench.record.reading import read_document
from quantbench.report.exports import as_csv, as_json, as_markdown
from quantbench.report.reports import gathered
from quantbench.report.tables import FORMATS
from quantbench.sources.parsing import parse_source
from quantbench.store.artifacts import Store
from quantbench.store.upkeep import parse_size
from quantbench.study import Gate, Scheme
from tests.fuzz.conftest import FUZZ, SLOW_FUZZ, as_text, bent, cut
from tests.report.conftest import both_studies

if TYPE_CHECKING:
    from collections.abc import Iterator

ANNOTATIONS = {
    "images": [
        {"id": 1, "file_name": "a.png", "height": 8, "width": 9},
        {"id": 2, "file_name": "b.png", "height": 8, "width": 9},
    ],
    "annotations": [
        {"image_id": 1, "bbox": [1, 1, 3, 2], "area": 6, "category_id": 3, "iscrowd": 0},
        {"image_id": 2, "bbox": [0, 0, 8, 8], "area": 64, "category_id": 1, "iscrowd": 1},
    ],
}
RECORDS = {
    "benchmarks": [],
    "quantbench": {
        "schema": 2,
        "environment": {"python": "3.11", "packages": {"torch": "2.13"}},
        "skipped": [{"case": "a", "reason": "b"}],
        "records": [both_studies()[1], both_studies()[4]],
    },
}
METRIC = {"value": 0.5, "low": 0.4, "high": 0.6, "confidence": 0.95, "n": 10, "method": "m"}
ENTRY = {"dataset": {"sha256": "a"}, "protocol": "b", "evidence": ["c"], "metrics": {"AP": METRIC}}
BASELINE = {"quantbench_baseline": 1, "packages": {}, "cases": {"x": ENTRY}}


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Two pictures in COCO's layout."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        for split in ("val2017", "annotations"):
            (path / "coco" / split).mkdir(parents=True)
        for picture in ("a.png", "b.png"):
            Image.new("RGB", (9, 8)).save(path / "coco" / "val2017" / picture)
        yield path


@FUZZ
@given(bent(ANNOTATIONS))
def test_annotations(folder: Path, document: Any) -> None:
    (folder / "coco" / "annotations" / "instances_val2017.json").write_text(as_text(document))
    dataset = CocoImages("bent", "file:coco")
    root = folder / "coco"
    try:
        for photo in dataset.samples({"evaluation": root}, "evaluation", None):
            assert root / "val2017" in photo.path.parents
            assert photo.image.shape == (8, 9, 3)
            assert all(len(truth["bbox"]) == 4 for truth in photo.truths)
            assert photo.fingerprint
    except QuantbenchError:
        pass


@FUZZ
@given(bent(RECORDS))
def test_record_files(folder: Path, document: Any) -> None:
    path = folder / "out.json"
    path.write_text(as_text(document))
    try:
        views, runs = gathered([path])
    except QuantbenchError:
        return
    for write in (as_markdown, as_csv, as_json):
        write(views, runs).encode()


@SLOW_FUZZ
@given(bent(RECORDS))
def test_record_files_that_are_accepted_and_compared(folder: Path, document: Any) -> None:
    paths = [folder / name for name in ("before.json", "after.json")]
    for path, content in zip(paths, (RECORDS, document), strict=True):
        path.write_text(as_text(content))
    with contextlib.suppress(QuantbenchError):
        before, after = ((str(path), read_document(path)) for path in paths)
        for one, other in ((before, after), (after, before)):
            with contextlib.suppress(QuantbenchError):
                rows = compared(one, other, Store(folder / "store"))
                for write in FORMATS.values():
                    write(rows).encode()
        baseline_as_text(accepted(after[1], times=True))


@FUZZ
@given(bent(BASELINE))
def test_baselines(folder: Path, document: Any) -> None:
    path = folder / "baseline.json"
    path.write_text(as_text(document))
    with contextlib.suppress(QuantbenchError):
        read_baseline(path)


@FUZZ
@given(cut(b'{"text": "and they went home"}\n{"text": "one two"}\n'))
def test_passages(folder: Path, content: bytes) -> None:
    path = folder / "passages.jsonl"
    path.write_bytes(content)
    try:
        found = Passages("bent", "file:x", calibration_n=1).samples(
            {"evaluation": path}, "evaluation", None
        )
    except QuantbenchError:
        return
    for passage in found:
        assert len(passage.text.split()) >= 2
        assert passage.fingerprint


@FUZZ
@given(st.data(), st.sampled_from(sorted(OPTIONS)))
def test_options(data: st.DataObject, option: str) -> None:
    text = data.draw(st.text(max_size=12) | st.sampled_from(["all", "-1", "1e9", "int8_static,"]))
    for given_ in ({option: text}, {}):
        with contextlib.suppress(QuantbenchError):
            parse_settings(given_, {} if given_ else {option: text}, {})


WORDS = st.text(max_size=24) | st.lists(
    st.sampled_from(
        [
            *("pypi:", "npm:", "hf:", "kaggle:", "https:", "file:", "data:", "//", "a", "/", "=="),
            *(
                "#",
                "sha256=",
                "file=",
                "&",
                "..",
                " ",
                "gptq_int",
                "4",
                "_g",
                "64",
                "_s1",
                "%",
                ".",
            ),
        ]
    ),
    max_size=9,
).map("".join)


@FUZZ
@given(WORDS)
def test_words_of_the_study(text: str) -> None:
    for parse in (
        parse_source,
        Scheme.parse,
        parse_size,
        lambda margin: Gate.parse("AP", margin, 0.95, lower_is_better=False),
    ):
        with contextlib.suppress(QuantbenchError):
            parse(text)


def picture(mode: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.arange(16 * 16 * 3, dtype=np.uint8).reshape(16, 16, 3)).save(file, mode)
    return file.getvalue()


@FUZZ
@given(st.sampled_from(["JPEG", "PNG", "BMP", "GIF", "WEBP"]).flatmap(lambda m: cut(picture(m))))
def test_pictures(folder: Path, content: bytes) -> None:
    (folder / "coco" / "val2017" / "a.png").write_bytes(content)
    document = {"images": ANNOTATIONS["images"][:1], "annotations": []}
    (folder / "coco" / "annotations" / "instances_val2017.json").write_text(json.dumps(document))
    (photo,) = CocoImages("bent", "file:coco").samples(
        {"evaluation": folder / "coco"}, "evaluation", None
    )
    try:
        photo.size  # noqa: B018 - reads the header
        photo.image  # noqa: B018 - decodes
    except QuantbenchError:
        pass


@pytest.mark.parametrize(("width", "height"), [(100_000, 100_000), (100_000, 501)])
def test_a_bomb_is_refused_before_it_is_decoded(width: int, height: int, tmp_path: Path) -> None:
    """A PNG of a few bytes whose header promises gigabytes."""
    from quantbench.data.samples import Photo

    content = bytearray(picture("PNG"))
    content[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    import zlib

    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    (tmp_path / "bomb.png").write_bytes(content)
    photo = Photo("bomb", tmp_path / "bomb.png", ())
    for look in ("size", "image"):
        with pytest.raises(DataError, match=r"too large to decode|not an image"):
            getattr(photo, look)


@pytest.mark.parametrize(
    "name", ["../secret.png", "/etc/passwd", "a/../../b.png", "..\\b.png", "\0"]
)
def test_a_file_name_does_not_leave_its_folder(folder: Path, name: str) -> None:
    images = [{"id": 1, "file_name": name}]
    (folder / "coco" / "annotations" / "instances_val2017.json").write_text(
        json.dumps({"images": images, "annotations": []})
    )
    with pytest.raises(DataError, match="not COCO annotations"):
        CocoImages("bent", "file:coco").samples({"evaluation": folder / "coco"}, "evaluation", None)


def test_brackets_do_not_end_a_process_whose_limit_was_raised(tmp_path: Path) -> None:
    """In a process of its own: what is tested is that it lives."""
    (tmp_path / "deep.json").write_text("[" * 300_000)
    code = (
        "import sys; sys.setrecursionlimit(10**6)\n"
        "from pathlib import Path\n"
        "from quantbench.errors import RecordError\n"
        "from quantbench.record.reading import read_json\n"
        "try:\n"
        "    read_json(Path(sys.argv[1]))\n"
        "except RecordError:\n"
        "    print('refused', sys.getrecursionlimit())\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "deep.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "refused 1000000\n"


@pytest.mark.parametrize("key", ["../../../elsewhere", "/etc", "a/b", "", 7])
def test_a_key_of_evidence_does_not_leave_the_store(tmp_path: Path, key: Any) -> None:
    path = tmp_path / "baseline.json"
    path.write_text(as_text({**BASELINE, "cases": {"x": {**ENTRY, "evidence": [key]}}}))
    with pytest.raises(RecordError, match="is no digest"):
        read_baseline(path)
