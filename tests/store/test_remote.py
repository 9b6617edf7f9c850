"""A team's store behind the local one: built once for everyone, and never a wrong byte."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from quantbench.errors import CorruptedArtifactWarning, RemoteStoreError, RemoteStoreWarning
from quantbench.store.artifacts import Store
from quantbench.store.objects import Objects, Patience
from quantbench.store.remote import Remote
from tests.store.s3 import ACCESS, SECRET, TOKEN, Fault, Team

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

INGREDIENTS = {"scheme": "gptq_int4_g64", "seed": 0}
WEIGHTS = hashlib.sha256(b"weights").hexdigest()
HASTY = Patience(retries=1)  # answers may take long where other tests run


def builder(content: bytes = b"weights") -> Callable[[Path], dict[str, Any]]:
    def build(folder: Path) -> dict[str, Any]:
        (folder / "weights").write_bytes(content)
        (folder / "more").mkdir()
        (folder / "more" / "config.json").write_text("{}")
        return {"tool": "1.0"}

    return build


def never(_: Path) -> None:
    pytest.fail("built twice")


class Machines:
    """Any number of them, each with a folder of its own, and the store that they share."""

    def __init__(self, root: Path, url: str, patience: Patience = HASTY) -> None:
        self.root, self.url, self.patience = root, url, patience

    def store(self, name: str, *, alone: bool = False) -> Store:
        """Of a new process on a machine."""
        return Store(self.root / name, None if alone else Remote(self.url, self.patience))


@pytest.fixture
def machines(tmp_path: Path) -> Machines:
    """They share a folder."""
    (tmp_path / "shared").mkdir()
    return Machines(tmp_path, f"file://{tmp_path}/shared")


def shared_files(machines: Machines) -> list[Path]:
    return sorted(path for path in (machines.root / "shared").rglob("*") if path.is_file())


def test_what_one_machine_built_another_fetches(machines: Machines) -> None:
    built = machines.store("one").get("artifact", INGREDIENTS, builder())
    fetched = machines.store("two").get("artifact", INGREDIENTS, never)
    assert (built.cache, fetched.cache) == ("built", "hit")
    assert (fetched.sha256, fetched.details, fetched.build_s) == (
        built.sha256,
        built.details,
        built.build_s,
    )
    assert (fetched.path / "weights").read_bytes() == b"weights"
    assert (fetched.path / "more" / "config.json").read_text() == "{}"
    texts = [made.path.with_name("manifest.json").read_bytes() for made in (built, fetched)]
    assert texts[0] == texts[1]


def test_a_memory_is_shared_within_a_process(tmp_path: Path) -> None:
    machines = Machines(tmp_path, "memory://test-of-memories")
    machines.store("one").get("artifact", INGREDIENTS, builder())
    assert machines.store("two").get("artifact", INGREDIENTS, never).cache == "hit"
    other = Store(tmp_path / "three", Remote("memory://another"))
    assert other.get("artifact", INGREDIENTS, builder()).cache == "built"


def test_files_of_any_name_and_size_arrive(tmp_path: Path, team: Team) -> None:
    """One above two parts of an upload, an empty one, and names that URLs and paths dislike."""
    large = hashlib.shake_256(b"large").digest((11 << 20) + 1)
    files = {"large": large, "empty": b"", "in/a folder/é %20#?&+.bin": b"1", "same": b"1"}

    def build(folder: Path) -> None:
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)

    machines = Machines(tmp_path, team.url, Patience())
    machines.store("one").get("artifact", INGREDIENTS, build)
    machines.store("one").get("artifact", {"nothing": 1}, lambda _: {"found": 0})
    fetched = machines.store("two").get("artifact", INGREDIENTS, never)
    found = {
        path.relative_to(fetched.path).as_posix(): path.read_bytes()
        for path in fetched.path.rglob("*")
        if path.is_file()
    }
    assert found == files
    assert machines.store("two").get("artifact", {"nothing": 1}, never).details == {"found": 0}
    assert team.asked("POST", "?uploads") == 1


def test_a_warm_machine_asks_nobody(tmp_path: Path, team: Team) -> None:
    machines = Machines(tmp_path, team.url)
    machines.store("one").get("artifact", INGREDIENTS, builder())
    machines.store("two").get("artifact", INGREDIENTS, never)
    before = len(team.proxy.asked)
    for name in ("one", "two"):
        assert machines.store(name).get("artifact", INGREDIENTS, never).cache == "hit"
    assert len(team.proxy.asked) == before


def test_an_entry_is_there_once_all_of_it_is(tmp_path: Path, team: Team) -> None:
    """The manifest is the last thing that is written, and the only one that is created once."""
    machines = Machines(tmp_path, team.url)
    machines.store("one").get("artifact", INGREDIENTS, builder())
    written = [path for method, path in team.proxy.asked if method == "PUT"]
    assert [path.endswith("manifest.json") for path in written] == [False, False, True]


def test_an_upload_that_was_killed_is_no_entry(machines: Machines) -> None:
    machines.store("one").get("artifact", INGREDIENTS, builder())
    (manifest,) = [path for path in shared_files(machines) if path.name == "manifest.json"]
    manifest.unlink()
    assert machines.store("two").find("artifact", manifest.parent.name) is None
    assert machines.store("two").get("artifact", INGREDIENTS, builder()).cache == "built"
    assert machines.store("three").get("artifact", INGREDIENTS, never).cache == "hit"


def test_what_was_built_before_there_was_a_team_is_offered_when_it_is_used(
    machines: Machines,
) -> None:
    machines.store("one", alone=True).get("artifact", INGREDIENTS, builder())
    assert shared_files(machines) == []
    machines.store("one").get("artifact", INGREDIENTS, never)
    assert machines.store("two").get("artifact", INGREDIENTS, never).cache == "hit"


def test_of_two_that_build_the_first_decides_on_the_bytes(machines: Machines) -> None:
    def slow(folder: Path) -> dict[str, Any]:
        machines.store("fast").get("artifact", INGREDIENTS, builder(b"first"))
        return builder(b"second")(folder)

    late = machines.store("slow").get("artifact", INGREDIENTS, slow)
    assert late.cache == "hit"
    assert (late.path / "weights").read_bytes() == b"first"
    assert list((machines.root / "slow" / "building").iterdir()) == []


def test_one_that_built_the_same_bytes_keeps_what_it_measured(machines: Machines) -> None:
    def slow(folder: Path) -> dict[str, Any]:
        machines.store("fast").get("artifact", INGREDIENTS, builder())
        return {**builder()(folder), "tool": "mine"}

    late = machines.store("slow").get("artifact", INGREDIENTS, slow)
    assert (late.cache, late.details) == ("built", {"tool": "mine"})
    assert machines.store("slow").get("artifact", INGREDIENTS, never).details == {"tool": "mine"}


@pytest.mark.parametrize("first", [b"first", b"landed"])
def test_what_a_node_of_a_cluster_built_is_offered_too(machines: Machines, first: bytes) -> None:
    made = machines.store("node", alone=True).get("artifact", INGREDIENTS, builder(b"landed"))
    files = {
        path.relative_to(made.path).as_posix(): path.read_bytes()
        for path in made.path.rglob("*")
        if path.is_file()
    }
    manifest = made.path.with_name("manifest.json").read_bytes()
    if first == b"first":
        machines.store("one").get("artifact", INGREDIENTS, builder(first))
    landed = machines.store("driver").land("artifact", made.key, manifest, files)
    assert (landed.path / "weights").read_bytes() == first
    found = machines.store("two").get("artifact", INGREDIENTS, never)
    assert (found.path / "weights").read_bytes() == first


def test_an_entry_of_before_gives_way_to_the_teams_bytes(machines: Machines) -> None:
    machines.store("one").get("artifact", INGREDIENTS, builder(b"first"))
    machines.store("two", alone=True).get("artifact", INGREDIENTS, builder(b"second"))
    found = machines.store("two").get("artifact", INGREDIENTS, never)
    assert (found.path / "weights").read_bytes() == b"first"


def test_an_entry_of_before_that_is_in_use_stays_until_it_is_not(machines: Machines) -> None:
    machines.store("one").get("artifact", INGREDIENTS, builder(b"first"))
    user = machines.store("two", alone=True)
    used = user.get("artifact", INGREDIENTS, builder(b"second"))
    with pytest.warns(RemoteStoreWarning, match="a running process uses it"):
        found = machines.store("two").get("artifact", INGREDIENTS, never)
    assert (found.path / "weights").read_bytes() == b"second"
    assert (used.path / "weights").read_bytes() == b"second"
    del user
    found = machines.store("two").get("artifact", INGREDIENTS, never)
    assert (found.path / "weights").read_bytes() == b"first"


def test_what_is_looked_for_by_its_key_or_ingredients_is_found_at_the_teams(
    machines: Machines,
) -> None:
    built = machines.store("one").get("evidence", INGREDIENTS, builder())
    two = machines.store("two")
    assert two.has("evidence", INGREDIENTS)
    assert not two.has("artifact", INGREDIENTS)
    found = two.find("evidence", built.key)
    assert found is not None
    assert found.sha256 == built.sha256
    assert two.find("artifact", built.key) is None


def spoil(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0x20]) + content[middle + 1 :]


@pytest.mark.parametrize("victim", ["weights", "manifest.json"])
@pytest.mark.parametrize(
    "damage",
    [
        spoil,
        lambda content: content[:-1],
        lambda _: b"",
        lambda content: content + b"x" * 5000,
        lambda _: None,
    ],
    ids=["a bit", "short", "empty", "long", "gone"],
)
def test_wrong_bytes_are_reported_and_never_used(
    machines: Machines, victim: str, damage: Callable[[bytes], bytes | None]
) -> None:
    machines.store("one").get("artifact", INGREDIENTS, builder())
    name = hashlib.sha256(b"weights").hexdigest() if victim == "weights" else victim
    (path,) = [path for path in shared_files(machines) if path.name == name]
    spoilt = damage(path.read_bytes())
    if spoilt is None:
        path.unlink()
    else:
        path.write_bytes(spoilt)
    before = [(path, path.read_bytes()) for path in shared_files(machines)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made = machines.store("two").get("artifact", INGREDIENTS, builder())
    assert made.cache == "built"
    assert (made.path / "weights").read_bytes() == b"weights"
    if victim == "manifest.json" and spoilt is None:
        assert caught == []  # it is no entry
        return
    (warning,) = caught
    assert warning.category is CorruptedArtifactWarning
    assert victim in str(warning.message)
    assert "quantbench cache verify --remote --remove" in str(warning.message)
    assert [(path, path.read_bytes()) for path in shared_files(machines)] == before


def other_key(manifest: dict[str, Any]) -> None:
    manifest["ingredients"]["seed"] = 1


def leads_out(manifest: dict[str, Any]) -> None:
    manifest["files"]["../../../weights"] = manifest["files"].pop("weights")


def absolute(manifest: dict[str, Any]) -> None:
    manifest["files"]["/weights"] = manifest["files"].pop("weights")


def no_digest(manifest: dict[str, Any]) -> None:
    manifest["files"]["weights"] = "../" * 8


def no_size(manifest: dict[str, Any]) -> None:
    manifest["size_bytes"] = "many"


def no_files(manifest: dict[str, Any]) -> None:
    manifest["files"] = ["weights"]


@pytest.mark.parametrize("forge", [other_key, leads_out, absolute, no_digest, no_size, no_files])
def test_a_manifest_that_does_not_fit_is_refused_though_its_digest_is_right(
    machines: Machines, forge: Callable[[dict[str, Any]], None]
) -> None:
    from quantbench.core.digests import digest_of

    machines.store("one").get("artifact", INGREDIENTS, builder())
    (path,) = [path for path in shared_files(machines) if path.name == "manifest.json"]
    manifest = json.loads(path.read_text())
    before = manifest.pop("sha256")
    forge(manifest)
    manifest["sha256"] = digest_of(manifest)
    path.write_text(json.dumps(manifest))
    (path.parent / before).rename(path.parent / manifest["sha256"])
    with pytest.warns(CorruptedArtifactWarning, match=r"manifest\.json is damaged"):
        made = machines.store("two").get("artifact", INGREDIENTS, builder())
    assert made.cache == "built"
    assert sorted(path.name for path in machines.root.iterdir()) == ["one", "shared", "two"]


def only(*methods: str) -> Callable[[str, str], bool]:
    return lambda method, _: method in methods


FAILURES = {
    "403": (Fault(status=403, code="AccessDenied"), "access is denied (403 AccessDenied)"),
    "401": (Fault(status=401), "access is denied (401)"),
    "no bucket": (Fault(status=404, code="NoSuchBucket"), "there is no such place (NoSuchBucket)"),
    "500": (Fault(status=500), "the server answers 500"),
    "503": (Fault(status=503, code="SlowDown"), "the server answers 503 SlowDown"),
    "slow": (Fault(only("GET"), wait_s=0.2), "no answer within 1 s"),
    "cut": (Fault(only("GET", "PUT"), cut=0), "no connection, or one that was cut"),
    "another region": (Fault(only("PUT"), status=301), "the server redirects"),
}


@pytest.mark.parametrize(("fault", "said"), FAILURES.values(), ids=FAILURES)
def test_a_store_that_fails_costs_one_warning_and_no_more(
    tmp_path: Path, team: Team, fault: Fault, said: str
) -> None:
    machines = Machines(tmp_path, team.url)
    machines.store("one").get("artifact", INGREDIENTS, builder())
    team.proxy.faults.append(fault)
    machines.patience = Patience(answer_s=1, retries=1)
    store = machines.store("two")
    with pytest.warns(RemoteStoreWarning) as caught:
        made = [store.get("artifact", {"seed": 0}, builder())]
    asked = len(team.proxy.asked)
    made += [store.get("artifact", {"seed": seed}, builder()) for seed in range(1, 5)]
    assert not store.has("artifact", {"seed": 7})
    assert [each.cache for each in made] == ["built"] * 5
    assert len(team.proxy.asked) == asked
    (warning,) = caught
    message = str(warning.message)
    assert said in message
    assert team.url in message
    assert "goes on with the local store alone" in message
    assert "Next: " in message
    for secret in (ACCESS, SECRET, TOKEN):
        assert secret not in message
    # The next process tries again, and the team gets what it missed.
    team.proxy.faults.clear()
    machines.patience = HASTY
    machines.store("two").get("artifact", {"seed": 3}, never)
    assert machines.store("three").get("artifact", {"seed": 3}, never).cache == "hit"


def test_a_server_that_is_not_there_costs_one_warning(
    tmp_path: Path, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    store = Machines(tmp_path, team.url).store("one")
    with pytest.warns(RemoteStoreWarning, match="no connection"):
        store.get("artifact", INGREDIENTS, builder())
    store.get("artifact", {"seed": 1}, builder())  # a second warning would be an error


def test_a_shared_folder_that_is_not_mounted_is_not_made(tmp_path: Path) -> None:
    machines = Machines(tmp_path, f"file://{tmp_path}/not-mounted")
    with pytest.warns(RemoteStoreWarning, match="no such folder"):
        machines.store("one").get("artifact", INGREDIENTS, builder())
    assert not (tmp_path / "not-mounted").exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [("AWS_ACCESS_KEY_ID", "no credentials"), ("AWS_SECRET_ACCESS_KEY", "no credentials")],
)
def test_missing_credentials_are_told(
    tmp_path: Path, team: Team, monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    monkeypatch.delenv(name)
    with pytest.warns(RemoteStoreWarning, match=said):
        Machines(tmp_path, team.url).store("one").get("artifact", INGREDIENTS, builder())


@pytest.mark.parametrize(
    "fault",
    [
        Fault(times=1, status=503, code="SlowDown"),
        Fault(only("GET"), times=1, cut=10),
        Fault(only("GET"), times=1, cut=0),
        Fault(lambda method, path: method == "GET" and path.endswith(WEIGHTS), times=1, cut=3),
    ],
    ids=["503", "cut", "silence", "file cut"],
)
def test_a_fault_that_passes_is_not_even_told(tmp_path: Path, team: Team, fault: Fault) -> None:
    machines = Machines(tmp_path, team.url)
    machines.store("one").get("artifact", INGREDIENTS, builder())
    team.proxy.faults.append(fault)
    assert machines.store("two").get("artifact", INGREDIENTS, never).cache == "hit"
    assert fault.times == 0


@pytest.mark.slow
def test_an_answer_that_hangs_once_is_asked_for_again(tmp_path: Path, team: Team) -> None:
    machines = Machines(tmp_path, team.url)
    machines.store("one").get("artifact", INGREDIENTS, builder())
    team.proxy.faults.append(Fault(only("GET"), times=1, wait_s=0.1))
    machines.patience = Patience(answer_s=3, retries=2)
    assert machines.store("two").get("artifact", INGREDIENTS, never).cache == "hit"


def test_an_upload_that_is_cut_once_ends_well(tmp_path: Path, team: Team) -> None:
    """The server has it, and the client never heard: what is there is its own."""
    machines = Machines(tmp_path, team.url)
    fault = Fault(lambda method, path: method == "PUT" and "manifest" in path, times=1, cut=0)
    team.proxy.faults.append(Fault(only("PUT"), times=1, cut=0))
    team.proxy.faults.append(fault)
    assert machines.store("one").get("artifact", INGREDIENTS, builder()).cache == "built"
    assert fault.times == 0
    assert machines.store("two").get("artifact", INGREDIENTS, never).cache == "hit"


def test_a_bit_that_turns_on_the_way_is_reported(tmp_path: Path, team: Team) -> None:
    machines = Machines(tmp_path, team.url)
    machines.store("one").get("artifact", INGREDIENTS, builder())
    team.proxy.faults.append(Fault(lambda _, path: path.endswith(WEIGHTS), flip=True))
    with pytest.warns(CorruptedArtifactWarning, match="weights is damaged"):
        made = machines.store("two").get("artifact", INGREDIENTS, builder())
    assert (made.cache, (made.path / "weights").read_bytes()) == ("built", b"weights")


def test_a_store_that_may_only_be_read_is_read_on(tmp_path: Path, team: Team) -> None:
    machines = Machines(tmp_path, team.url)
    for seed in range(2):
        machines.store("one").get("artifact", {"seed": seed}, builder())
    denied = Fault(only("PUT", "POST", "DELETE"), status=403, code="AccessDenied")
    team.proxy.faults.append(denied)
    store = machines.store("two")
    store.get("artifact", {"seed": 0}, never)
    with pytest.warns(RemoteStoreWarning, match="what is built here stays here"):
        store.get("artifact", {"seed": 7}, builder())
    store.get("artifact", {"seed": 8}, builder())  # a second warning would be an error
    store.get("artifact", {"seed": 1}, never)
    assert denied.times == -2  # one was refused, and no other tried


RACE = """
import sys, time
from pathlib import Path
from quantbench.store.artifacts import Store
from quantbench.store.remote import Remote

root, url, name = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
store = Store(root / name, Remote(url))
while not (root / "go").exists():
    time.sleep(0.001)
for key in range(12):
    def build(folder):
        (folder / "weights").write_text(f"{name} {key}" if key % 3 else "same")
        time.sleep(0.002)
    made = store.get("artifact", {"key": key}, build)
    print(key, made.cache, made.sha256, (made.path / "weights").read_text(), flush=True)
"""


@pytest.mark.parametrize("kind", ["s3", "file"])
def test_two_processes_that_race_end_with_the_same_bytes(
    tmp_path: Path, team: Team, kind: str
) -> None:
    (tmp_path / "shared").mkdir()
    url = team.url if kind == "s3" else f"file://{tmp_path}/shared"
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, tmp_path, url, name], stdout=subprocess.PIPE, text=True
        )
        for name in ("one", "two")
    ]
    (tmp_path / "go").touch()
    said = [racer.communicate(timeout=60)[0].splitlines() for racer in racers]
    assert [len(lines) for lines in said] == [12, 12]
    for one, two in zip(*said, strict=True):
        assert one.split()[2:] == two.split()[2:]
    third = Store(tmp_path / "three", Remote(url))
    for key, line in enumerate(said[0]):
        assert third.get("artifact", {"key": key}, never).sha256 == line.split()[2]


def test_exclusive_create_has_one_winner(team: Team, machines: Machines) -> None:
    for url in (team.url, machines.url, "memory://exclusive"):
        objects = Objects(url, HASTY)
        assert [objects.create("one/thing", word) for word in (b"1", b"2")] == [True, False]
        assert objects.get("one/thing") == b"1"
        objects.delete("one/thing")
        objects.delete("one/thing")
        assert objects.get("one/thing") is None


def test_what_cannot_be_opened_is_an_error_of_the_tree(team: Team) -> None:
    del team
    with pytest.raises(RemoteStoreError, match="cannot be used"):
        Objects("s3://", HASTY)
