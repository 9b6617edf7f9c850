"""The fastest recipe that passes is chosen: by measured time, by a loss that is judged apart."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantbench.diagnosis.mending import fastest
from quantbench.diagnosis.mending.candidates import Candidate, Found
from quantbench.diagnosis.mending.fastest import search_fastest
from quantbench.diagnosis.mending.judge import Loss

if TYPE_CHECKING:
    from collections.abc import Mapping

MARGIN = 0.03


def op(place: int) -> Any:
    return SimpleNamespace(
        index=place, kind="CONV", name=f"op{place}", inputs=[place], outputs=[place + 1]
    )


class Chain:
    """Ten ops in a row."""

    ops = tuple(map(op, range(10)))
    inputs, outputs = (0,), (10,)

    def writer(self, tensor: int) -> Any:
        return self.ops[tensor - 1] if tensor else None

    def readers(self, tensor: int) -> list[Any]:
        return [self.ops[tensor]] if tensor < len(self.ops) else []

    def is_constant(self, tensor: int) -> bool:
        del tensor
        return False


class Model:
    """Its content names the ops in float; `built` has all that were asked for."""

    wiring = Chain()

    def __init__(self) -> None:
        self.built: list[bytes] = []

    def build(self, setting: None, kept: Mapping[str, str]) -> bytes:
        del setting
        content = " ".join(sorted(kept)).encode()
        self.built.append(content)
        return content


class Judge:
    """What is left in float saves its own loss."""

    def __init__(self, losses: Mapping[str, float]) -> None:
        self.losses, self.judged = losses, list[bytes]()

    def agreement(self, content: bytes, samples: int) -> float:
        del samples
        return 1 - self._lost(content)

    def loss(self, content: bytes) -> Loss:
        self.judged.append(content)
        return Loss(-self._lost(content), -self._lost(content) - 0.001, 1 - self._lost(content))

    def moved(self, content: bytes, samples: int) -> tuple[float, float]:
        raise AssertionError((content, samples))

    def _lost(self, content: bytes) -> float:
        kept = content.decode().split()
        return sum(loss for name, loss in self.losses.items() if name not in kept)


class Clock:
    """A time for each op, in integers and in float."""

    def __init__(self, integers: Mapping[str, float], floats: Mapping[str, float]) -> None:
        self.integers, self.floats = integers, floats

    def seconds(self, contents: Any) -> list[float]:
        return [
            sum(
                (self.floats if each.name in content.decode().split() else self.integers)[each.name]
                for each in Chain.ops
            )
            for content in contents
        ]

    def lost(self, content: bytes) -> dict[str, float]:
        whole = self.seconds([content])[0]
        return {name: (self.integers[name] - self.floats[name]) / whole for name in self.integers}


def searched(
    monkeypatch: pytest.MonkeyPatch, judge: Judge, clock: Clock, model: Model, *kept: str
) -> Found[None]:
    """From a start that the search for few float ops would have found: these ops in float."""
    names = dict.fromkeys(kept, "noisy")
    content = model.build(None, names)
    start = Candidate(names, None, content, judge.agreement(content, 0), "a rule",
                      *judge.loss(content)[:2])  # fmt: skip
    judge.judged.clear()
    monkeypatch.setattr(
        fastest, "search", lambda *_: Found(start, "one tensor alone", MARGIN, [start])
    )
    return search_fastest(model, judge, clock, MARGIN, lambda *_: lambda _: None)  # type: ignore[arg-type]


ONE = dict.fromkeys((each.name for each in Chain.ops), 1.0)


def test_ops_that_are_slower_in_integers_go_back_to_float(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(ONE | {"op5": 5.0, "op8": 3.0}, ONE)
    found = searched(monkeypatch, Judge({"op2": 0.5}), clock, Model(), "op2")
    assert set(found.chosen.kept) == {"op2", "op5", "op8"}
    assert found.chosen.seconds == 10.0
    assert (found.by, found.as_notes()["passed"]) == ("the time of candidates", True)
    assert found.as_notes()["ms"] == 10_000


def test_speed_never_buys_a_loss_beyond_the_margin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without op2 in float it would be faster: that set is tried, judged and left."""
    clock = Clock(ONE | {"op5": 5.0}, ONE | {"op2": 4.0})
    judge = Judge({"op2": 0.5})
    found = searched(monkeypatch, judge, clock, Model(), "op2")
    assert judge.judged[0] == b"op5"
    assert set(found.chosen.kept) == {"op2", "op5"}


def test_what_cannot_be_had_says_what_came_closest(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(ONE | {"op5": 5.0}, ONE)
    found = searched(monkeypatch, Judge({"op2": 0.5, "op9": 0.2}), clock, Model(), "op2")
    assert not found.as_notes()["passed"]
    assert "op2" in found.chosen.kept


def test_what_was_judged_before_takes_no_place_from_what_was_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Eleven fast ones that lose too much, then a safe one, then a slower one with fewer ops."""
    clock, judge, model = Clock(ONE, ONE), Judge({}), Model()
    lost = {f"fast{i}": i for i in range(11)}
    tried = [Candidate({name: ""}, None, name.encode(), 0.5, "a rule", -0.5, -0.5) for name in lost]
    tried += [
        Candidate(dict.fromkeys("abc", ""), None, b"safe", 0.9, "a rule", 0.0, -0.001),
        Candidate({}, None, b"slow", 0.9, "a rule", 0.0, -0.001),
    ]
    seconds = {**{name.encode(): 1.0 + i for name, i in lost.items()}, b"safe": 20.0, b"slow": 30.0}
    monkeypatch.setattr(clock, "seconds", lambda contents: [seconds.get(c, 99.0) for c in contents])
    monkeypatch.setattr(clock, "lost", lambda _: {})
    monkeypatch.setattr(fastest, "search", lambda *_: Found(tried[-1], "a rule", MARGIN, tried))
    chosen: Any = search_fastest(model, judge, clock, MARGIN, lambda *_: lambda _: None)  # type: ignore[arg-type]
    assert chosen.chosen.content == b"safe"


times = st.fixed_dictionaries({each.name: st.floats(0.5, 5) for each in Chain.ops})
losses = st.dictionaries(st.sampled_from([each.name for each in Chain.ops]), st.floats(0, 0.1))


@given(integers=times, floats=times, lost=losses)
def test_of_what_was_tried_nothing_that_passes_is_faster(
    integers: dict[str, float], floats: dict[str, float], lost: dict[str, float]
) -> None:
    judge, clock = Judge(lost), Clock(integers, floats)
    with pytest.MonkeyPatch.context() as patch:
        found = searched(patch, judge, clock, Model(), "op0", "op5")
    tried = {each.content for each in found.tried}
    safe = [c for c in tried if judge._lost(c) + 0.001 < MARGIN * 2 / 3]  # noqa: SLF001
    if safe and found.chosen.content in safe:
        assert found.chosen.seconds == min(clock.seconds(safe))
    elif safe:
        pytest.fail("a recipe passed and was not chosen")
