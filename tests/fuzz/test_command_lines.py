"""Configuration files and command lines: settings, a result, or an error that explains itself."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.config import Config, PytestPluginManager
from _pytest.config.findpaths import load_config_dict_from_file
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from quantbench import plugin
from quantbench.cli import main
from quantbench.core.settings import OPTIONS, Settings, parse_settings
from quantbench.errors import QuantbenchError
from tests.fuzz.conftest import FUZZ, SLOW_FUZZ, as_text, cut
from tests.fuzz.test_documents import BASELINE, RECORDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

INI = b"""[pytest]
quant_samples = 50
quant_schemes = float32, int8_static
quant_inconclusive = pass
quant_cache = cache
quant_examples = 3
"""
FILES = {
    "pytest.ini": INI,
    "tox.ini": INI,
    "pytest.toml": INI.replace(b"= ", b'= "').replace(b"\n", b'"\n').replace(b']"', b"]"),
    "pyproject.toml": b'[tool.pytest.ini_options]\nquant_samples = "all"\nquant_schemes = "a,b"\n',
}
VALUES = [
    "5",
    "-1",
    "1e9",
    "true",
    "[1, 2]",
    "2026-01-01",
    "''",
    '"all"',
    "{a = 1}",
    "nan",
    "9" * 5000,
]


@st.composite
def configured(draw: Callable[..., Any]) -> tuple[str, bytes]:
    """A file's name, and its content with values or bytes bent."""
    name = draw(st.sampled_from(sorted(FILES)))
    content = FILES[name]
    if draw(st.booleans()):
        option = draw(st.sampled_from(sorted(OPTIONS)))
        value = draw(st.sampled_from(VALUES) | st.text(max_size=12))
        content += f"quant_{option} = {value}\n".encode(errors="surrogatepass")
    return name, draw(st.just(content) | cut(content))


def read(found: Any) -> Settings:
    """As pytest does it, with this plugin alone: a whole configuration takes 80 ms."""
    config = Config(PytestPluginManager())
    plugin.pytest_addoption(config._parser)  # noqa: SLF001 - pytest has no public way
    config._inipath = None  # noqa: SLF001 - as below
    config._inicfg = found or {}  # noqa: SLF001 - as above
    ini = {name: config.getini(f"quant_{name}") for name in OPTIONS}
    return parse_settings({}, ini, {})


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "good.json").write_text(as_text(RECORDS))
        (root / "baseline.json").write_text(as_text(BASELINE))
        (root / "cut.json").write_text(as_text(RECORDS)[:500])
        (root / "empty.json").touch()
        (root / "bytes.json").write_bytes(bytes(range(256)))
        yield root


@pytest.mark.filterwarnings("ignore::pytest.PytestRemovedIn10Warning")  # of a list
@FUZZ
@given(configured())
def test_configuration_files(folder: Path, given_: tuple[str, bytes]) -> None:
    name, content = given_
    path = folder / name
    path.write_bytes(content)
    try:
        found = load_config_dict_from_file(path)
    except Exception:  # noqa: BLE001 - a file that is no TOML is pytest's to explain
        return
    with contextlib.suppress(QuantbenchError, pytest.UsageError):  # of a value's type, pytest's
        assert isinstance(read(found), Settings)


def test_a_whole_configuration_file_is_read(folder: Path) -> None:
    for name in ("pytest.ini", "tox.ini", "pytest.toml"):
        (folder / name).write_bytes(FILES[name])
        settings = read(load_config_dict_from_file(folder / name))
        assert (settings.samples, settings.examples) == (50, 3)
        assert settings.schemes == frozenset({"float32", "int8_static"})


COMMANDS = st.sampled_from(
    [
        *(
            ["accept"],
            ["report", "--format", "csv"],
            ["compare"],
            ["cases", "nanodet_416"],
            ["cache", "list"],
            ["cache", "verify"],
        ),
        *(["cache", "gc"], ["cache"], [], ["nothing"], ["fetch"]),
    ]
)
WORDS = st.sampled_from(
    [
        *("good.json", "baseline.json", "cut.json", "empty.json", "bytes.json", "none.json", "."),
        *("--format", "markdown", "csv", "json", "table", "html", "-o", "out", "a/b/c", "x" * 300),
        *("--times", "--max-size", "1GB", "-1", "9" * 400, "1e99TB", "--quant-cache", "store"),
        *("--quant-data", "nowhere", "--", "-", "--help", "digits_centernet", "\udc80", ""),
        "../../../../nowhere/x",
    ]
) | st.text(max_size=8).map(
    lambda text: text.replace("/", "").replace("\0", "")  # no command line holds NUL
)


@SLOW_FUZZ
@given(COMMANDS, st.lists(WORDS, max_size=5))
def test_command_lines(folder: Path, command: list[str], words: list[str]) -> None:
    if command == ["fetch"]:
        words = [word for word in words if word != "digits_centernet"]  # nothing is fetched here
    before = Path.cwd()
    os.chdir(folder)
    try:
        environment = {"QUANTBENCH_CACHE": str(folder / "store")}
        result = CliRunner().invoke(main, [*command, *words], env=environment)
    finally:
        os.chdir(before)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code in {0, 1, 2}
