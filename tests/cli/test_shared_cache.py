"""`quantbench cache ... --remote` and what the doctor says of a team's store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from quantbench.cli import main
from quantbench.run import doctor
from quantbench.store.artifacts import Store
from quantbench.store.opening import open_store
from quantbench.store.remote import Remote
from tests.store.s3 import ACCESS, Fault

if TYPE_CHECKING:
    from pathlib import Path

    from quantbench.run.doctor import Finding
    from tests.store.s3 import Team


def quantbench(*arguments: object) -> Any:
    return CliRunner().invoke(main, [str(each) for each in arguments])


@pytest.fixture
def place(tmp_path: Path) -> str:
    """A folder and a team's store, of which only the latter has anything."""
    (tmp_path / "shared").mkdir()

    def write(folder: Path) -> None:
        (folder / "weights").write_bytes(b"w" * 2000)

    store = Store(tmp_path / "gone", Remote(f"file://{tmp_path}/shared"))
    store.get("artifact", {"scheme": {"name": "int8_static"}}, write)
    return f"{tmp_path}/cache,file://{tmp_path}/shared"


def test_commands_look_after_the_folder_unless_they_are_told_remote(place: str) -> None:
    assert "0 entries" in quantbench("cache", "list", "--quant-cache", place).stderr
    listed = quantbench("cache", "list", "--remote", "--quant-cache", place)
    assert listed.stdout.splitlines()[0].split() == ["kind", "key", "what", "size", "written"]
    assert "int8_static" in listed.stdout
    assert f"in {place.partition(',')[2]}" in listed.stderr
    assert quantbench("cache", "clear", "--yes", "--quant-cache", place).exit_code == 0
    assert quantbench("cache", "gc", "--max-size", "0", "--quant-cache", place).exit_code == 0
    kept = quantbench("cache", "verify", "--remote", "--quant-cache", place)
    assert (kept.exit_code, kept.stderr) == (0, "0 of 1 entries are damaged\n")
    freed = quantbench("cache", "gc", "--max-size", "0", "--remote", "--quant-cache", place)
    assert freed.exit_code == 0
    assert "int8_static" in freed.stdout
    assert "0 entries" in quantbench("cache", "list", "--remote", "--quant-cache", place).stderr


def test_what_is_damaged_is_named_and_removed_when_asked(place: str, tmp_path: Path) -> None:
    (weights,) = [
        path for path in (tmp_path / "shared").rglob("*") if len(path.name) == 64 and path.is_file()
    ]
    weights.write_bytes(b"v" * 2000)
    removed = "removed: the next run that builds one uploads it"
    for option, then in (("--remote", "--remove removes them"), ("--remove", removed)):
        said = quantbench("cache", "verify", "--remote", option, "--quant-cache", place)
        assert said.exit_code == 1
        assert "int8_static" in said.stdout
        assert said.stderr == f"1 of 1 entries are damaged; {then}\n"
    assert quantbench("cache", "verify", "--remote", "--quant-cache", place).exit_code == 0


def test_remote_needs_a_store_that_is_named_and_remove_needs_remote(tmp_path: Path) -> None:
    said = quantbench("cache", "list", "--remote", "--quant-cache", tmp_path)
    assert said.exit_code == 2
    assert "name the team's store" in said.output
    said = quantbench("cache", "verify", "--remove", "--quant-cache", tmp_path)
    assert said.exit_code == 2


def test_a_place_with_credentials_is_refused_by_commands_too() -> None:
    said = quantbench("cache", "list", "--quant-cache", "s3://KEY:hush@bucket/prefix")
    assert said.exit_code == 2
    assert "hush" not in said.output
    assert "credentials are no part of it" in said.output


def team_of(store: Store, *, online: bool) -> Finding:
    return next(
        each for each in doctor.examine(store, online=online) if each.what == "team's store"
    )


def test_the_doctor_says_whether_the_team_answers(team: Team, tmp_path: Path) -> None:
    store = open_store(tmp_path, team.url)
    assert team_of(store, online=False).state == "ok"
    assert team.proxy.asked == []
    found = team_of(store, online=True)
    assert found.state == "ok"
    assert "nothing is there yet" in found.said
    assert {method for method, _ in team.proxy.asked} <= {"GET", "HEAD"}  # it writes nothing
    team.proxy.faults.append(Fault(status=403, code="InvalidAccessKeyId"))
    found = team_of(store, online=True)
    assert found.state == "missing"
    assert "access is denied (403" in found.said
    assert ACCESS not in found.said
