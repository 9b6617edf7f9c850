"""Names that a study gives: an error, or paths inside their folders and no client's options."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantbench.errors import IntegrityError, QuantbenchError, UsageError
from quantbench.sources.downloads import Download
from quantbench.sources.hubs import HuggingFace, Kaggle, _copy
from quantbench.sources.parsing import File, Several, parse_source
from quantbench.sources.registries import NPM, PyPI
from tests.fuzz.conftest import FUZZ

if TYPE_CHECKING:
    from collections.abc import Iterator

SHA256 = "a" * 64
PIECES = st.sampled_from(
    [
        *(
            "a",
            "b-1",
            "1.0",
            "..",
            ".",
            "/",
            "//",
            "\\",
            "\0",
            "%2e%2e",
            "%2F",
            "-",
            "--",
            "~",
            "@",
        ),
        *("C:", ":", "\n", " ", "\t", "é", "\udc80", "x" * 300, "*", "**", "[", "]", "?", ";", "|"),
        *("datasets/", "--index-url=http://h/", "git+ssh://h/", "$(id)", "`id`", "=", "&", "#"),
        *("file=", "sha256=", "user:pw@", "[::1]", "99999999", "127.0.0.1"),
    ]
)
NAME = st.lists(PIECES, max_size=5).map("".join) | st.text(max_size=12)
FILE = st.sampled_from(["model.bin", "a/b.json"]) | NAME


@st.composite
def texts(draw: Any) -> str:
    """A source of every scheme, its parts as they should be or bent."""
    name, version, file = draw(NAME), draw(st.sampled_from(["1.0", "main"]) | NAME), draw(FILE)
    sha256 = draw(st.sampled_from([SHA256, SHA256, SHA256, "../" * 20 + "x", "", "A" * 64]) | NAME)
    good = draw(st.sampled_from(["", "package", "@scope/package", "owner/name", "o/m/f/v"]))
    return str(
        draw(
            st.sampled_from(
                [
                    f"pypi:{good}{name}=={version}#sha256={sha256}&file={file}",
                    f"npm:{good}{name}=={version}#sha256={sha256}&file={file}&file={name}",
                    f"hf:{good}{name}=={version}#file={file}",
                    f"hf:datasets/{good}{name}=={version}#file={file}",
                    f"kaggle:{good}{name}=={version}#file={file}",
                    f"https://{name}/{file}#sha256={sha256}&file={file}",
                    f"http://host/{name}#sha256={sha256}",
                    f"http://host/{file}#sha256={SHA256} https://host/{name}#sha256={sha256}",
                    f"data:{file}#sha256={sha256}",
                    f"file:{name}#sha256={sha256}",
                ]
            )
        )
    )


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "secret").write_bytes(b"not below")
        (root / "data" / "a").mkdir(parents=True)
        for inner in ("model.bin", "a/b.json"):
            (root / "data" / inner).write_bytes(b"below")
        yield root


def check(source: Any, data: Path) -> None:
    """What a source would touch is below its folders, what it would say to a client no option."""
    if isinstance(source, Several):
        for one in source.sources:
            check(one, data)
        return
    work = data.parent / "building" / "key" / "files"
    for name in getattr(source, "files", ()) or filter(None, [getattr(source, "file", None)]):
        assert (work / name).resolve().is_relative_to(work)
        assert "\0" not in name
    if isinstance(source, Download):
        assert source._partial(work).parent == work.parents[1]  # noqa: SLF001 - what it writes
        assert (work / source._name).resolve().parent == work  # noqa: SLF001 - as above
    if isinstance(source, PyPI | NPM | HuggingFace | Kaggle):
        said = [getattr(source, field.name) for field in fields(source)][:2]
        assert not any(set(word) & set("\0\n\r\t \\:;|$`&#?*~") - {"~"} for word in said)
        assert not any(word.startswith("-") or ".." in word for word in said)


@FUZZ
@given(texts())
def test_sources_stay_inside(folder: Path, text: str) -> None:
    data = folder / "data"
    try:
        source = parse_source(text, data)
        check(source, data)
        source.ingredients()
    except QuantbenchError:
        return
    if isinstance(source, File) and text.startswith("data:"):
        assert source.path.resolve().is_relative_to(data)


@FUZZ
@given(st.lists(FILE, max_size=3))
def test_files_of_a_hub_stay_inside(folder: Path, files: list[str]) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as name:
        into = Path(name) / "into"
        into.mkdir()
        with suppress(IntegrityError):
            _copy(folder / "data", tuple(files), "pin", into)
        found = {path.read_bytes() for path in Path(name).rglob("*") if path.is_file()}
        assert found <= {b"below"}


@pytest.mark.parametrize(
    "text",
    [
        f"https://host/model.bin#sha256={'../' * 20}x",
        f"https://host/..#sha256={SHA256}",
        f"https://host/#sha256={SHA256}",
        f"https://#sha256={SHA256}",
        f"pypi:--index-url=http://evil==1#sha256={SHA256}&file=a",
        f"pypi:name==1#sha256={SHA256}&file=../../../etc/passwd",
        f"pypi:name==1#sha256={SHA256}&file=/etc/passwd",
        f"pypi:name==1%20--hash\n#sha256={SHA256}&file=a",
        f"npm:--registry==1#sha256={SHA256}&file=a",
        f"npm:git+ssh://evil/x==1#sha256={SHA256}&file=a",
        f"npm:../local==1#sha256={SHA256}&file=a",
        f"npm:name==file:..#sha256={SHA256}&file=a",
        "hf:../..==main#file=a",
        "hf:owner/name==../../x#file=a",
        "hf:owner/name==main#file=../../token",
        "hf:owner/name==main#file=/etc/passwd",
        "kaggle:../../../..==1",
        "kaggle:o/m/f/v==../1",
        "data:../secret",
        "data:/etc/passwd",
        "data:a/../../secret",
        "data:a\0b",
    ],
)
def test_a_name_that_is_more_than_a_name_is_refused(folder: Path, text: str) -> None:
    with pytest.raises(UsageError):
        parse_source(text, folder / "data")


@pytest.mark.parametrize("locator", ["x" * 5000, "a\0b", "\udc80", "~nobody/x"])
def test_a_name_that_no_file_has_is_not_there(locator: str) -> None:
    with pytest.raises(UsageError, match="no such file or folder"):
        File(Path(locator)).ingredients()
