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
from quantbench.backends.litert.graph import CARRIES, WEIGHTED, Graph
from quantbench.backends.litert.interpreter import LiteRTModel
from quantbench.backends.litert.mending.hard_swish import gates
from quantbench.backends.litert.mending.ranges import observe, visible
from quantbench.backends.litert.mending.recipes import Recipe, repair_graph
from quantbench.backends.litert.mending.repaired import Repaired, rounded_alone
from quantbench.cli import main
from quantbench.core.settings import Settings
from quantbench.diagnosis.mending.judge import Judge, Loss
from quantbench.diagnosis.mending.search import search
from quantbench.diagnosis.ranges import RULES
from quantbench.diagnosis.recipe_files import RECIPE
from quantbench.diagnosis.wiring import tail
from quantbench.errors import BuildError, UsageError
from quantbench.record.recording import record_of
from quantbench.run.session import Session
from tests.backends.litert.conftest import op_named, silent

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from quantbench.diagnosis.ranges import Range


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


def searched(path: Path, samples: list[NDArray[Any]], judge: Judge, margin: float) -> Recipe:
    model = Repaired(path.read_bytes(), samples, silent)
    return model.recipe(search(model, judge, margin, silent))


class FirstIsBest(ErrorJudge):
    """Agrees less with each candidate: the first rule is the best, but not of every tensor."""

    def agreement(self, content: bytes, samples: int) -> float:
        super().agreement(content, samples)
        return -float(len(self.seen))


def test_what_needs_nothing_in_float_gets_nothing(
    float_path: Path, samples: list[NDArray[Any]], tmp_path: Path
) -> None:
    found = searched(float_path, samples, ErrorJudge(float_path, samples, tmp_path), 0.2)
    assert found.notes["passed"] is True
    assert found.float_ops == {}


def test_a_narrower_margin_costs_ops_and_is_kept(
    float_path: Path, samples: list[NDArray[Any]], tmp_path: Path
) -> None:
    judge = ErrorJudge(float_path, samples, tmp_path)
    plain = searched(float_path, samples, judge, 0.2)
    margin = -0.9 * plain.notes["difference"]
    found = searched(float_path, samples, judge, margin)
    assert found.notes["passed"] is True
    assert 0 < len(found.float_ops) <= found.notes["ops"]
    assert found.notes["low"] > -margin
    assert all(why for why in found.float_ops.values())


def test_what_cannot_be_had_says_what_came_closest(
    float_path: Path, samples: list[NDArray[Any]], tmp_path: Path
) -> None:
    judge = ErrorJudge(float_path, samples, tmp_path)
    found = searched(float_path, samples, judge, 1e-9)
    assert found.notes["passed"] is False
    judged = [each["low"] for each in found.notes["tried"] if each["low"] is not None]
    assert found.notes["low"] == max(judged)


def test_a_tensor_has_a_range_of_its_own_where_it_then_costs_less(
    float_path: Path, samples: list[NDArray[Any]], tmp_path: Path
) -> None:
    samples = [*samples[:-1], 5 * samples[-1]]  # of which the judge sees nothing
    judge = FirstIsBest(float_path, samples, tmp_path)
    found = searched(float_path, samples, judge, 1e-9)
    assert found.notes["rule"] == "tensor by tensor"
    graph, _ = repair_graph(float_path.read_bytes(), found.ranges, found.exponents)
    inside = {graph.name(t): t for op in graph.ops for t in op.outputs if graph.readers(t)}
    fused = tmp_path / "fused.tflite"
    fused.write_bytes(graph.content())
    seen = observe(fused, samples)
    (first, *_) = RULES.values()
    best = visible(graph, {name: first(each) for name, each in seen.items()})
    heads = {op.name for op in tail(graph, CARRIES)}  # these keep minimum and maximum
    heads |= {graph.name(gate.outputs[0]) for gate, _ in gates(graph)}
    own = {name for name in inside if found.ranges[name] != best[name] and name not in heads}
    assert own

    def cost(name: str, within: Range) -> float:
        return judge.moved(rounded_alone(graph, inside[name], within), 6)[0]

    assert all(cost(name, found.ranges[name]) < cost(name, best[name]) for name in own)


def test_tensors_start_from_the_mildest_rule_that_clips_and_gates_from_none(
    float_path: Path, samples: list[NDArray[Any]], tmp_path: Path
) -> None:
    samples = [*samples[:-1], 5 * samples[-1]]  # what each rule makes something else of
    asked = []

    class Noted(Repaired):
        def rounded_alone(self, ranges: Mapping[str, Range], tensor: int) -> bytes:
            asked.append(ranges)
            return super().rounded_alone(ranges, tensor)

    model = Noted(float_path.read_bytes(), samples, silent)
    ((gate, _),) = gates(model.wiring)
    name = model.wiring.name(gate.outputs[0])
    whole = RULES["minimum and maximum"]
    path = tmp_path / "repaired.tflite"
    path.write_bytes(model.wiring.content())
    seen = observe(path, samples)[name]
    assert {ranges[name] for ranges in model.settings.values()} == {whole(seen)}
    mildest = model.settings["99.99 %"]
    assert mildest not in [each for rule, each in model.settings.items() if rule != "99.99 %"]
    search(model, FirstIsBest(float_path, samples, tmp_path), 1e-9, silent)
    assert all(ranges is mildest for ranges in asked[: len(model.tensors)])


@pytest.mark.parametrize("most", [1, 2, 3, 4])
def test_no_more_ops_and_weights_stay_in_float_than_are_allowed(
    float_path: Path,
    samples: list[NDArray[Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    most: int,
) -> None:
    judge = ErrorJudge(float_path, samples, tmp_path)
    monkeypatch.setattr("quantbench.diagnosis.mending.search._MOST_FLOAT", most)
    found = searched(float_path, samples, judge, 1e-9)
    assert max(each["float_ops"] for each in found.notes["tried"]) <= most
    monkeypatch.setattr("quantbench.diagnosis.mending.search._EXTRA", 0)
    monkeypatch.setattr("quantbench.diagnosis.mending.search._LITTLE", 0)
    light = searched(float_path, samples, judge, 1e-9)
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
    found = searched(path, samples, ErrorJudge(path, samples, tmp_path), 0.2)
    assert (found.notes["passed"], found.notes["found_by"]) == (True, "the scan alone")
    assert [repair.kind for repair in found.repairs].count("finite padding") == 1
    assert max(abs(end) for ends in found.ranges.values() for end in ends) < 100


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
def test_the_command_says_why_a_case_is_as_fast_as_it_is(bench: Session, tmp_path: Path) -> None:
    output, cache = tmp_path / "speed.json", ["--quant-cache", str(bench.settings.cache)]
    asked = ["diagnose", str(STATIC), "--speed", "-o", str(output), *cache]
    said = CliRunner().invoke(main, asked)
    assert said.exit_code == 0, said.output
    assert "one inference: " in said.output
    assert "DEPTHWISE_CONV_2D" in said.output
    found = json.loads(output.read_text())
    assert found["beside"] == str(STATIC.reference)
    (inference,) = found["inferences"]
    for side in ("float", "quantized"):
        taken = sum(op["ms"] for op in inference[side]["ops"])
        assert taken == pytest.approx(inference[side]["covered"] * inference[side]["ms"], rel=0.05)


@pytest.mark.slow
def test_mend_for_latency_chooses_among_recipes_that_pass(bench: Session, tmp_path: Path) -> None:
    output, cache = tmp_path / "fast.json", ["--quant-cache", str(bench.settings.cache)]
    asked = ["mend", str(STATIC), "--for", "latency", "-o", str(output), *cache]
    said = CliRunner().invoke(main, asked)
    assert said.exit_code == 0, said.output
    assert "found by the time of candidates" in said.output
    notes = Recipe.parse(output).notes
    assert notes["passed"]
    safe = [t for t in notes["tried"] if t["low"] is not None and t["low"] > -0.01]
    assert notes["ms"] == min(each["ms"] for each in safe)
    other = ["mend", "smollm2_135m_instruct-gptq_int4_g64-kjv", "--for", "latency", *cache]
    refused = CliRunner().invoke(main, other)
    assert refused.exit_code == 2
    assert "nothing searches a recipe of gptq_mixed_g64 for speed" in refused.output


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
