"""A case that this machine has no room for is skipped before anything is fetched for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Study

LIMIT = """
import resource

resource.setrlimit(resource.RLIMIT_AS, (8_000_000_000, resource.RLIM_INFINITY))
"""
TESTS = """
import pytest
from quantbench import cases


@pytest.mark.parametrize("case", cases("llama_2_7b", schemes=["gptq_int4_g64"]), ids=str)
def test_large(evaluation):
    raise AssertionError("it was reached")
"""


@pytest.fixture
def small(study: Study) -> Study:
    conftest = study.path / "conftest.py"
    conftest.write_text((conftest.read_text() if conftest.exists() else "") + LIMIT)
    (study.path / "test_large.py").write_text(TESTS)
    return study


def test_it_is_said_before_the_tests_and_skipped(small: Study) -> None:
    done = small.run("test_large.py", "-rs")
    done.assert_outcomes(skipped=1)
    done.stdout.fnmatch_lines(["llama_2_7b under gptq_int4_g64 will not fit: needs * of memory*"])
    done.stdout.fnmatch_lines(["*SKIPPED*llama_2_7b under gptq_int4_g64 will not fit*"])


def test_it_is_an_error_where_room_is_required(
    small: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUANTBENCH_REQUIRE", "room")
    done = small.run("test_large.py")
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["*MissingRoomError: llama_2_7b under gptq_int4_g64 will not fit*"])


def test_a_backend_that_cannot_say_what_it_needs_costs_no_test(study: Study) -> None:
    """A run goes on as if it had said nothing; `quantbench plan` says what is wrong."""
    study.write("same")
    fakes = study.path / "fakes.py"
    broken = (
        "\n\nclass Broken:\n"
        "    def weights(self, architecture):\n        return None\n\n"
        "    def artifact_bytes(self, scheme, weights):\n        return None\n\n"
        "    def rate(self, step, scheme):\n        return {}[step]\n"
    )
    text = fakes.read_text().replace(
        'name="fake", schemes', 'name="fake", needs="fakes:Broken", schemes'
    )
    fakes.write_text(text + broken)
    study.run().assert_outcomes(passed=4)
    said = study.command("plan", "test_fake.py", "--quant-cache", str(study.path / "none"))
    assert said.ret == 2
    said.stderr.fnmatch_lines(["*planning fake-*"])
    assert "Traceback" not in said.stderr.str()
