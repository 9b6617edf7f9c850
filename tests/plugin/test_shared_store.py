"""A team's store in a run: a cold machine builds nothing, and a broken store breaks nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from quantbench.store.objects import Objects, Patience
from tests.store.s3 import ACCESS, SECRET, TOKEN, Fault

if TYPE_CHECKING:
    from tests.plugin.conftest import Study
    from tests.store.s3 import Team


def records(study: Study) -> dict[str, dict[str, Any]]:
    document = json.loads((study.path / "out.json").read_text())
    return {each["case"]: each for each in document["quantbench"]["records"]}


def run(study: Study, machine: str, team: Team) -> pytest.RunResult:
    return study.run(
        *("-k", "accuracy", "--benchmark-json", "out.json"),
        *("--quant-cache", f"{study.path / machine},{team.url}"),
    )


def leaked(study: Study, result: pytest.RunResult, *more: bytes) -> list[str]:
    """Secrets in what a run printed, in any file that it wrote, or in `more`."""
    said = "\n".join([*result.outlines, *result.errlines]).encode()
    written = [path.read_bytes() for path in study.path.rglob("*") if path.is_file()]
    return [
        secret
        for secret in (ACCESS, SECRET, TOKEN)
        if any(secret.encode() in content for content in (said, *written, *more))
    ]


def told(result: pytest.RunResult) -> list[str]:
    return [line for line in result.outlines if "RemoteStoreWarning: " in line]


def test_a_cold_machine_takes_everything_from_the_team(study: Study, team: Team) -> None:
    study.write("same", "near")
    result = run(study, "one", team)
    result.assert_outcomes(passed=3)
    built, first = study.builds(), records(study)
    assert sorted(built) == ["float", "near", "same"]
    objects = Objects(team.url, Patience())
    shared = [objects.get(each.path) or b"" for each in objects.list()]
    assert len(shared) > len(built)
    assert leaked(study, result, *shared) == []
    run(study, "two", team).assert_outcomes(passed=3)
    assert study.builds() == built
    for name, record in records(study).items():
        assert set(record["cache"].values()) == {"hit"}, name
        for part in ("artifact", "evidence"):
            assert record[part]["sha256"] == first[name][part]["sha256"]
        assert record["verdicts"] == first[name]["verdicts"]


def test_a_team_that_refuses_leaves_the_run_green_with_one_warning_and_no_secret(
    study: Study, team: Team
) -> None:
    study.write("same")
    team.proxy.faults.append(Fault(status=403, code="AccessDenied"))
    result = run(study, "one", team)
    result.assert_outcomes(passed=2)
    (warning,) = told(result)
    assert f"the team's store {team.url} cannot be used: access is denied (403" in warning
    assert len(team.proxy.asked) == 1
    assert leaked(study, result) == []


@pytest.mark.slow
def test_workers_of_xdist_warn_once_between_them(study: Study, team: Team) -> None:
    study.write("same")
    team.proxy.faults.append(Fault(status=404, code="NoSuchBucket"))
    result = study.run(
        "-k", "accuracy", "-n", "2", "--quant-cache", f"{study.path / 'one'},{team.url}"
    )
    result.assert_outcomes(passed=2)
    assert len(told(result)) == 1
