"""The search for a recipe, judged by a stand-in on the small graph and by the task on digits."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from click.testing import CliRunner

from quantbench import cases, non_inferior
from quantbench.backends.litert.diagnosis.alone import tail
from quantbench.backends.litert.graph import WEIGHTED, Graph
from quantbench.backends.litert.interpreter import LiteRTModel
from quantbench.backends.litert.mending.hard_swish import gates
from quantbench.backends.litert.mending.judge import TaskJudge
from quantbench.backends.litert.mending.ranges import RULES, observe, visible
from quantbench.backends.litert.mending.recipes import Recipe, repair_graph
from quantbench.backends.litert.mending.rounding import regions, rounded_alone
from quantbench.backends.litert.mending.search import (
    Candidate,
    Loss,
    _Search,
    chosen_of,
    closed,
    search,
)
from quantbench.cli import main
from quantbench.core.settings import Settings
from quantbench.diagnosis.recipe_files import RECIPE
from quantbench.errors import BuildError, UsageError
from quantbench.record.recording import record_of
from quantbench.run.session import Session
from quantbench.tasks.detection.task import Detection
from tests.backends.litert.conftest import op_named, silent

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from quantbench.backends.litert.mending.ranges import Range


class ErrorJudge:
    """Judges by the root mean square error of the sides, in shares of their own."""

    def __init__(self, path: Path, samples: list[NDArray[Any]], folder: Path) -> None:
        self._samples, self._path = samples[:6], folder / "candidate.tflite"
        self._meant = self._answers(path.read_bytes())
        self.seen: list[int] = []

    def _answers(self, content: bytes) -> NDArray[Any]:
        self._path.write_bytes(content)
        model = LiteRTModel(self._path, 1)
        said = [model(sample) for sample in self._samples]
        return np.stack([each[min(each, key=lambda n: each[n].min())] for each in said])

    def _error(self, content: bytes) -> float:
        self.seen.append(len(content))
        off = self._answers(content) - self._meant
        return float(np.sqrt((off**2).mean() / (self._meant**2).mean()))

    def agreement(self, content: bytes, samples: int) -> float:
        del samples
        return 1 - self._error(content)

    def loss(self, content: bytes) -> Loss:
        error = self._error(content)
        return Loss(-error, -error, 1 - error)

    def moved(self, content: bytes, samples: int) -> tuple[float, float]:
        del samples
        return self._error(content) ** 2, 0.0


class FirstIsBest(ErrorJudge):
    """Agrees less with each candidate: the first rule is the best, but not of every tensor."""

    def agreement(self, content: bytes, samples: int) -> float:
        super().agreement(content, samples)
        return -float(len(self.seen))


def test_what_needs_nothing_in_float_gets_nothing(
    float_path: Path, samples: list[NDArray[Any]], tmp_path: Path
) -> None:
    found = search(float_path, samples, ErrorJudge(float_path, samples, tmp_path), 0.2, silent)
    assert found.notes["passed"] is True
    assert found.float_ops == {}


def test_a_narrower_margin_costs_ops_and_is_kept(
    float_path: Path, samples: list[NDArray[Any]], tmp_path: Path
) -> None:
    judge = ErrorJudge(float_path, samples, tmp_path)
    plain = search(float_path, samples, judge, 0.2, silent)
    margin = -0.9 * plain.notes["difference"]
    found = search(float_path, samples, judge, margin, silent)
    assert found.notes["passed"] is True
    assert 0 < len(found.float_ops) <= found.notes["ops"]
    assert found.notes["low"] > -margin
    assert all(why for why in found.float_ops.values())


def test_what_cannot_be_had_says_what_came_closest(
    float_path: Path, samples: list[NDArray[Any]], tmp_path: Path
) -> None:
    judge = ErrorJudge(float_path, samples, tmp_path)
    found = search(float_path, samples, judge, 1e-9, silent)
    assert found.notes["passed"] is False
    judged = [each["low"] for each in found.notes["tried"] if each["low"] is not None]
    assert found.notes["low"] == max(judged)


def test_a_tensor_has_a_range_of_its_own_where_it_then_costs_less(
    float_path: Path, samples: list[NDArray[Any]], tmp_path: Path
) -> None:
    samples = [*samples[:-1], 5 * samples[-1]]  # of which the judge sees nothing
    judge = FirstIsBest(float_path, samples, tmp_path)
    found = search(float_path, samples, judge, 1e-9, silent)
    assert found.notes["rule"] == "tensor by tensor"
    graph, _ = repair_graph(float_path.read_bytes(), found.ranges, found.exponents)
    inside = {graph.name(t): t for op in graph.ops for t in op.outputs if graph.readers(t)}
    fused = tmp_path / "fused.tflite"
    fused.write_bytes(graph.content())
    seen = observe(fused, samples)
    (first, *_) = RULES.values()
    best = visible(graph, {name: first(each) for name, each in seen.items()})
    heads = {op.name for op in tail(graph)}  # these keep minimum and maximum
    heads |= {graph.name(gate.outputs[0]) for gate, _ in gates(graph)}
    own = {name for name in inside if found.ranges[name] != best[name] and name not in heads}
    assert own

    def cost(name: str, within: Range) -> float:
        return judge.moved(rounded_alone(graph, inside[name], within), 6)[0]

    assert all(cost(name, found.ranges[name]) < cost(name, best[name]) for name in own)


def test_tensors_start_from_the_mildest_rule_that_clips_and_gates_from_none(
    float_path: Path,
    samples: list[NDArray[Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    samples = [*samples[:-1], 5 * samples[-1]]  # what each rule makes something else of
    judge = FirstIsBest(float_path, samples, tmp_path)
    searched = _Search(float_path, samples, judge, 1e-9, silent)
    ((gate, _),) = gates(searched._graph)  # noqa: SLF001
    name = searched._graph.name(gate.outputs[0])  # noqa: SLF001
    for rule in RULES:
        assert searched._ranges(rule)[name] == searched._seen[name].whole  # noqa: SLF001
    mildest = searched._ranges("99.99 %")  # noqa: SLF001
    others = [searched._ranges(rule) for rule in RULES if rule != "99.99 %"]  # noqa: SLF001
    assert mildest not in others
    started, by_tensor = [], _Search._tensor_by_tensor  # noqa: SLF001

    def noted(self: _Search, graph: Graph, ranges: Mapping[str, Range]) -> Any:
        started.append(ranges)
        return by_tensor(self, graph, ranges)

    monkeypatch.setattr(_Search, "_tensor_by_tensor", noted)
    searched.run()
    assert started == [mildest]


@pytest.mark.parametrize("most", [1, 2, 3, 4])
def test_no_more_ops_and_weights_stay_in_float_than_are_allowed(
    float_path: Path,
    samples: list[NDArray[Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    most: int,
) -> None:
    judge = ErrorJudge(float_path, samples, tmp_path)
    monkeypatch.setattr("quantbench.backends.litert.mending.search._MOST_FLOAT", most)
    found = search(float_path, samples, judge, 1e-9, silent)
    assert max(each["float_ops"] for each in found.notes["tried"]) <= most
    monkeypatch.setattr("quantbench.backends.litert.mending.search._EXTRA", 0)
    monkeypatch.setattr("quantbench.backends.litert.mending.search._LITTLE", 0)
    light = search(float_path, samples, judge, 1e-9, silent)
    kinds = {op.name: op.kind for op in Graph.read(float_path).ops}
    assert not {kinds.get(name) for name in light.float_ops} & set(WEIGHTED)


def test_an_infinite_padding_is_mended_by_the_scan_alone(
    float_path: Path, samples: list[NDArray[Any]], tmp_path: Path
) -> None:
    graph = Graph.read(float_path)
    pad = op_named(graph, "padding", "PADV2")
    graph.set_input(pad, 2, graph.add_constant("infinite", np.array(-3.4e38, np.float32)))
    path = tmp_path / "infinite.tflite"
    path.write_bytes(graph.content())
    found = search(path, samples, ErrorJudge(path, samples, tmp_path), 0.2, silent)
    assert (found.notes["passed"], found.notes["found_by"]) == (True, "the scan alone")
    assert [repair.kind for repair in found.repairs].count("finite padding") == 1
    assert max(abs(end) for ends in found.ranges.values() for end in ends) < 100


def test_an_op_between_ops_in_float_stays_in_float_too(float_path: Path) -> None:
    graph = Graph.read(float_path)
    padding = op_named(graph, "padding", "PADV2")
    around = {graph.ops[padding.index + step].name: "chosen" for step in (-1, 1)}
    assert closed(graph, around) == around | {padding.name: "between ops in float"}
    assert closed(graph, {}) == {}


def test_ops_are_left_in_float_for_the_tensor_between_them(float_path: Path) -> None:
    graph = Graph.read(float_path)
    padding = op_named(graph, "padding", "PADV2")
    between = padding.outputs[0]
    (pool,) = graph.readers(between)
    cost = dict.fromkeys((tensor for op in graph.ops for tensor in op.outputs), 0.01)
    cost |= {between: 1.0}
    first, *_ = regions(graph, cost, set(), 12)
    assert set(first) == {padding.name, pool.name}
    assert all("of the rounding noise" in why for why in first.values())
    # What is saved already draws nothing on.
    assert not any(set(after) & set(first) for after in regions(graph, cost, set(first), 12))
    assert all(len(region) <= 2 for region in regions(graph, cost, set(), 2))


def test_a_tensor_that_two_ops_read_needs_both_in_float(float_path: Path) -> None:
    graph = Graph.read(float_path)
    body = op_named(graph, "body", "CONV_2D")
    heads = graph.readers(body.outputs[0])
    assert len(heads) == 2
    first, *_ = regions(graph, {body.outputs[0]: 1.0}, set(), 12)
    assert set(first) == {body.name, *(head.name for head in heads)}


def candidate(ops: int, agreement: float, low: float) -> Candidate:
    return Candidate(dict.fromkeys(map(str, range(ops)), "why"), {}, b"", agreement, "", low, low)


def test_the_smallest_that_passes_with_room_and_agrees_as_well_is_chosen() -> None:
    bare, small, good, large = (
        candidate(0, 0.9, -0.014),  # within the margin, without a third of it to spare
        candidate(2, 0.7, -0.001),  # less agreement than chance explains
        candidate(4, 0.855, -0.009),
        candidate(6, 0.86, -0.002),
    )
    assert chosen_of([large, good, small, bare], 0.015) is good
    assert chosen_of([small, bare], 0.015) is small
    worse = candidate(1, 0.9, -0.2)
    assert chosen_of([worse, bare], 0.015) is bare  # none is safe: the one that came closest


class Rows:
    """A task whose evidence is which samples it was asked of."""

    lower_is_better = frozenset[str]()
    agreement = "agreement_AP"
    moved = staticmethod(Detection.moved)

    def __init__(self) -> None:
        self.asked: list[int] = []

    def evidence(self, sample: int, prediction: object) -> dict[str, Any]:
        del prediction
        self.asked.append(sample)
        box = {"bbox": [0.0, 0.0, 9.0, 9.0], "score": 0.9, "category_id": 1}
        return {"id": sample, "detections": [box], "truths": []}

    @staticmethod
    def per_sample(rows: list[Any], reference: Any = None) -> dict[str, NDArray[Any]]:
        del rows, reference
        return {}

    def summarise(self, rows: list[Any], weights: NDArray[Any]) -> dict[str, NDArray[Any]]:
        del rows
        return {"AP": np.zeros(len(weights))}

    def agree(self, rows: list[Any], reference: Any, weights: Any) -> dict[str, NDArray[Any]]:
        assert len(rows) == len(reference) == weights.shape[1]
        assert [row["id"] for row in rows] == [row["id"] for row in reference]
        assert [row["id"] for row in rows] == list(range(4, 4 + len(rows)))
        return {"agreement_AP": np.ones(len(weights))}


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_what_chooses_does_not_judge(
    float_path: Path,
    samples: list[NDArray[Any]],
    threads: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "quantbench.backends.litert.mending.judge.usable_threads", lambda _: threads
    )
    task: Any = Rows()
    content = float_path.read_bytes()
    judge = TaskJudge(task, range(9), samples[:9], 4, content, "AP")
    for asks, asked in (
        (lambda: judge.moved(content, 3), [0, 1, 2]),
        (lambda: judge.agreement(content, 2), [4, 5]),
        (lambda: judge.agreement(content, 99), [4, 5, 6, 7, 8]),
        (lambda: judge.loss(content), [4, 5, 6, 7, 8]),
    ):
        task.asked.clear()
        asks()
        assert sorted(task.asked) == asked


def test_a_metric_that_is_none_is_refused(float_path: Path, samples: list[NDArray[Any]]) -> None:
    task: Any = Rows()
    with pytest.raises(UsageError, match=r"(?s)no metric 'nothing'.*AP, agreement_AP"):
        TaskJudge(task, range(9), samples[:9], 4, float_path.read_bytes(), "nothing")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Session:
    root = tmp_path_factory.getbasetemp()
    # One search for all workers of a run.
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    return Session(Settings(cache=root / "mended", samples=150, threads=2))


STATIC, MENDED = cases("digits_centernet", schemes=["int8_static", "int8_mended"])


@pytest.mark.slow
def test_a_mended_case_is_judged_like_any_other_and_rebuilds_to_the_same_bytes(
    bench: Session,
) -> None:
    evaluation = bench.evaluate(MENDED)
    assert non_inferior(evaluation, bench.reference(MENDED), "AP", margin=0.03)
    path = evaluation.artifact.path / RECIPE
    recipe = Recipe.parse(path)
    assert recipe.notes["passed"]
    left = set(evaluation.artifact.details["float_ops"])
    assert set(recipe.float_ops) <= left
    # The tool has no integer form of TILE.
    assert all("Tile" in name for name in left - set(recipe.float_ops))
    assert len(left - set(recipe.float_ops)) == recipe.notes["no_integer_form"]
    scheme = replace(MENDED.scheme, recipe=str(path))
    again = Session(replace(bench.settings, cache=bench.settings.cache / "other"))  # type: ignore[operator]
    assert again.artifact(replace(MENDED, scheme=scheme)).sha256 == evaluation.artifact.sha256


@pytest.mark.slow
def test_a_recipe_of_another_model_is_refused(bench: Session, tmp_path: Path) -> None:
    recipe = Recipe.parse(bench.artifact(MENDED).path / RECIPE)
    path = tmp_path / "other.json"
    path.write_text(replace(recipe, float_sha256="0" * 64).as_json())
    scheme = replace(MENDED.scheme, recipe=str(path))
    with pytest.raises(BuildError, match="made for another float model"):
        Session(bench.settings).artifact(replace(MENDED, scheme=scheme))


@pytest.mark.slow
def test_a_case_is_looked_into_once(bench: Session) -> None:
    found = bench.diagnose(STATIC, alone=False)
    assert {"scan", "side by side"} == set(found["seconds"])
    assert len(found["profile"]) > 50
    assert record_of(bench, STATIC)["diagnosis"] == found
    assert Session(bench.settings).diagnose(STATIC, alone=False) == found
    with pytest.raises(UsageError, match="nothing to explain"):
        bench.diagnose(STATIC.reference)


@pytest.mark.slow
def test_the_commands(bench: Session, tmp_path: Path) -> None:
    name, cache = str(STATIC), ["--quant-cache", str(bench.settings.cache)]
    output = tmp_path / "why.json"
    said = CliRunner().invoke(main, ["diagnose", name, "--quick", "-o", str(output), *cache])
    assert said.exit_code == 0, said.output
    assert "looked for scan" in said.output
    assert json.loads(output.read_text()) == bench.diagnose(STATIC, alone=False)
    wrong = CliRunner().invoke(main, ["diagnose", "digits_centernet", *cache])
    assert wrong.exit_code == 2
    assert "no name of a case" in wrong.output


@pytest.mark.slow
def test_mend_writes_a_recipe_and_says_what_it_bought(bench: Session, tmp_path: Path) -> None:
    output, cache = tmp_path / "recipe.json", ["--quant-cache", str(bench.settings.cache)]
    said = CliRunner().invoke(main, ["mend", str(STATIC), "-o", str(output), *cache])
    assert said.exit_code == 0, said.output
    assert "on the calibration split it passes" in said.output
    assert "digits_centernet-int8_mended-digit_scenes" in said.output
    assert "ms against" in said.output
    assert Recipe.parse(output).notes["margin"] == 0.015
    impossible = CliRunner().invoke(main, ["mend", str(STATIC), "--metric", "nothing", *cache])
    assert impossible.exit_code == 2
    assert "no metric 'nothing'" in impossible.output
