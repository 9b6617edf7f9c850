"""Options stop bad runs before any work."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Study


def test_an_unknown_scheme_is_refused_with_what_exists(study: Study) -> None:
    study.write("same")
    result = study.run("--quant-schemes", "int3")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*unknown scheme 'int3'*", "*int8_static*", "*float, same*"])
    assert study.builds() == []


def test_schemes_select(study: Study) -> None:
    study.write("same", "worse")
    result = study.run("--quant-schemes", "same", "-k", "accuracy")
    result.assert_outcomes(passed=1, deselected=5)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--quant-samples", "-3", "a positive number, or 'all'"),
        ("--quant-samples", "many", "a positive number, or 'all'"),
        ("--quant-data", "nowhere", "--quant-data names no folder"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused(
    study: Study, option: str, value: str, message: str
) -> None:
    study.write("same")
    result = study.run(f"{option}={value}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{message}*"])


def test_the_number_of_samples_is_taken_from_ini_environment_and_option(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    study.write()
    study.pytester.makeini("[pytest]\nquant_samples = 50")
    study.run().stdout.fnmatch_lines(["*fake on numbers, 50 samples*"])
    monkeypatch.setenv("QUANTBENCH_SAMPLES", "60")
    study.run().stdout.fnmatch_lines(["*fake on numbers, 60 samples*"])
    study.run("--quant-samples=70").stdout.fnmatch_lines(["*fake on numbers, 70 samples*"])


def test_an_unknown_requirement_is_refused(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANTBENCH_REQUIRE", "warp_drive")
    study.write()
    result = study.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*unknown word in QUANTBENCH_REQUIRE*", "*gpu*", "*warp_drive*"])


def test_loading_the_plugin_imports_no_framework() -> None:
    heavy = "{'numpy', 'torch', 'tensorflow', 'transformers', 'scipy', 'numba', 'PIL'}"
    code = f"import sys, quantbench.plugin; print(sorted({heavy} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_collecting_a_study_imports_no_framework(study: Study) -> None:
    (study.path / "test_study.py").write_text(
        "import pytest\n"
        "from quantbench import cases, non_inferior\n"
        "@pytest.mark.parametrize('case', cases('smollm2_135m_instruct'), ids=str)\n"
        "def test_it(evaluation): pass\n"
    )
    (study.path / "conftest.py").write_text(
        "import sys\n"
        "def pytest_collection_finish(session):\n"
        "    heavy = {'torch', 'tensorflow', 'transformers', 'numba'} & set(sys.modules)\n"
        "    print('HEAVY', sorted(heavy))\n"
    )
    study.run("--collect-only", "-s").stdout.fnmatch_lines(["*HEAVY []*"])


def test_a_device_that_the_runner_lacks_is_refused_before_any_work(study: Study) -> None:
    fakes = study.path / "fakes.py"
    fakes.write_text(fakes.read_text().replace('    devices = ("cpu", "cuda")\n', ""))
    study.write("same")
    test = study.path / "test_fake.py"
    test.write_text(test.read_text().replace("known_errors={}", 'device="cuda"'))
    result = study.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*cannot run on cuda: its backend fake does not*", "*fakes.Runner.devices*", "*cpu*"]
    )
    assert study.builds() == []


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_schemes_that_leave_nothing_are_refused_with_what_there_is(
    study: Study, workers: tuple[str, ...]
) -> None:
    study.write("same")
    result = study.run("--quant-schemes", "int8_static", *workers)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*--quant-schemes leaves no case to run", "*collected cases: float, same", "*int8_static"]
    )
    result = study.run("--quant-schemes", "smae", *workers)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*unknown scheme 'smae'*"])
