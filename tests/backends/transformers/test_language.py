"""Planted faults of a small language model are named, and its bits go where they are needed."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from quantbench import Passages, cases
from quantbench.backends.transformers.diagnosis.language import (
    Cost,
    each_alone,
    language_looks,
    stand_out,
)
from quantbench.backends.transformers.diagnosis.layers import FloatModel, divergence, packed_weights
from quantbench.backends.transformers.mending.bits import BUDGET, Candidate, allocated, mixed, under
from quantbench.backends.transformers.quantizers.gptq import GPTQQuantizer
from quantbench.backends.transformers.quantizers.gptq_mixed import (
    BitRecipe,
    MixedGPTQQuantizer,
    stored_layers,
)
from quantbench.backends.transformers.runner import CausalLMRunner
from quantbench.core.progress import Silent
from quantbench.core.settings import Machine, Settings
from quantbench.data.samples import Passage
from quantbench.diagnosis.recipe_files import RECIPE
from quantbench.errors import BuildError, DataError, PredictionError, UsageError
from quantbench.record.recording import record_of
from quantbench.run.session import Session
from quantbench.study import Gate, Model, Scheme
from quantbench.study.calibration import calibrates
from quantbench.study.registry import find_quantizer
from quantbench.tasks.last_word.task import LastWord
from tests.backends.litert.conftest import silent
from tests.conftest import sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from quantbench.data.prompts import Prompt
    from quantbench.diagnosis.findings import Diagnosis
    from quantbench.study import Case

GUILTY = "model.layers.0.mlp.down_proj"
OTHER = "model.layers.0.self_attn.v_proj"
LATE = "model.layers.1.mlp.up_proj"  # in the second block
MIXED = Scheme.parse("gptq_mixed_g64")


def passages(n: int) -> list[Passage]:
    return [Passage(str(i), sentence(i, 12 + i % 9) + " home again") for i in range(n)]


@pytest.fixture(scope="module")
def task(tiny_checkpoint: Path) -> Any:
    return LastWord(None, tiny_checkpoint)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def prompts(task: Any) -> list[Prompt]:
    return [task.prepare(passage) for passage in passages(24)]


@pytest.fixture(scope="module")
def uniform(
    tiny_checkpoint: Path, prompts: list[Prompt], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """The float checkpoint and what GPTQ makes of it in 4 and in 8 bits."""
    folders = {"float": tiny_checkpoint}
    for bits in ("4", "8"):
        folders[bits] = tmp_path_factory.mktemp(f"int{bits}")
        scheme = Scheme.parse(f"gptq_int{bits}_g64")
        GPTQQuantizer().build(tiny_checkpoint, scheme, prompts, folders[bits])
    return folders


@pytest.fixture(scope="module")
def narrow(uniform: dict[str, Path]) -> dict[str, Any]:
    return packed_weights(uniform["4"])


@pytest.fixture(scope="module")
def wide(uniform: dict[str, Path]) -> dict[str, Any]:
    return packed_weights(uniform["8"])


@pytest.fixture
def model(tiny_checkpoint: Path, narrow: dict[str, Any]) -> FloatModel:
    return FloatModel.load(tiny_checkpoint, list(narrow))


def ruined(weights: Mapping[str, Any], layer: str) -> dict[str, Any]:
    """The same with one layer's outputs in another order."""
    return {**weights, layer: weights[layer].roll(17, dims=0)}


def changed(checkpoint: Path, folder: Path, layer: str, change: Callable[[Any], Any]) -> Path:
    """A copy of a checkpoint with one tensor changed."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(checkpoint, folder)
    tensors = load_file(folder / "model.safetensors")
    tensors[layer] = change(tensors[layer].clone()).contiguous()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def causes(diagnosis: Diagnosis) -> dict[str, tuple[str, ...]]:
    return {found.cause: found.ops for found in diagnosis.findings}


class TestLooks:
    def test_a_sound_model_has_no_cause(
        self, uniform: dict[str, Path], prompts: list[Prompt]
    ) -> None:
        found = language_looks(uniform["float"], uniform["8"], prompts[:8], silent, alone=True)
        assert found.findings == () and found.flagged == ()
        assert [each["place"] for each in found.profile] == list(range(14))
        assert all(each["snr_db"] > 30 for each in found.profile)
        assert {each["kind"] for each in found.profile} >= {"q_proj", "down_proj"}
        assert set(found.seconds) == {"scan", "side by side", "one layer alone"}
        json.dumps(found.as_json(), allow_nan=False)

    def test_four_bits_are_noisier_than_eight(
        self, uniform: dict[str, Path], prompts: list[Prompt]
    ) -> None:
        four, eight = (
            language_looks(uniform["float"], uniform[bits], prompts[:4], silent, alone=False)
            for bits in ("4", "8")
        )
        assert [few["op"] for few in four.profile] == [many["op"] for many in eight.profile]
        gains = [
            many["snr_db"] - few["snr_db"]
            for few, many in zip(four.profile, eight.profile, strict=True)
        ]
        assert sum(gains) / len(gains) > 3

    def test_a_planted_outlier_channel_is_named(
        self, uniform: dict[str, Path], prompts: list[Prompt], tmp_path: Path
    ) -> None:
        def loud(weight: Any) -> Any:
            weight[5] *= 1000
            return weight

        norm = "model.layers.1.post_attention_layernorm.weight"
        folder = changed(uniform["float"], tmp_path / "loud", norm, loud)
        found = language_looks(folder, uniform["8"], prompts[:4], silent, alone=False)
        (outlier,) = [each for each in found.findings if each.cause == "outlier channel"]
        assert set(outlier.ops) == {f"model.layers.1.mlp.{kind}_proj" for kind in ("gate", "up")}
        assert outlier.numbers["channel"] == 5
        assert "channel 5 of its input" in outlier.text

    def test_outlier_weights_are_named(
        self, uniform: dict[str, Path], prompts: list[Prompt], tmp_path: Path
    ) -> None:
        def steep(weight: Any) -> Any:
            weight[:, 70] *= 200
            return weight

        folder = changed(uniform["float"], tmp_path / "steep", f"{GUILTY}.weight", steep)
        found = language_looks(folder, uniform["8"], prompts[:4], silent, alone=False)
        assert causes(found)["outlier weights"] == (GUILTY,)

    def test_a_ruined_layer_is_convicted_in_both_looks(
        self, uniform: dict[str, Path], prompts: list[Prompt], tmp_path: Path
    ) -> None:
        def ruin(scales: Any) -> Any:
            return scales.roll(17, dims=1) * -1

        folder = changed(uniform["8"], tmp_path / "ruined", f"{GUILTY}.scales", ruin)
        found = language_looks(uniform["float"], folder, prompts[:8], silent, alone=True)
        assert causes(found)["noisy layer"] == (GUILTY,)
        assert causes(found)["sensitive layer"] == (GUILTY,)
        assert found.flagged == (GUILTY,)

    def test_a_checkpoint_without_packed_layers_is_explained(
        self, uniform: dict[str, Path]
    ) -> None:
        with pytest.raises(PredictionError, match="no packed layer"):
            packed_weights(uniform["float"])


class TestOneLayerAlone:
    def test_blocks_said_again_are_blocks_run_again(
        self, model: FloatModel, narrow: dict[str, Any], prompts: list[Prompt]
    ) -> None:
        with model.remembering():
            model.logprobs(prompts)
        for layer in (OTHER, LATE):
            with model.put({layer: narrow[layer]}):
                quick, whole = model.logprobs(prompts, changed=layer), model.logprobs(prompts)
            assert all(torch.equal(a, b) for a, b in zip(quick, whole, strict=True))

    def test_the_float_weights_come_back(
        self, model: FloatModel, narrow: dict[str, Any], prompts: list[Prompt]
    ) -> None:
        before = model.nats(prompts)
        with model.put(narrow):
            assert model.nats(prompts) != before
        assert model.nats(prompts) == before

    def test_nats_are_those_of_the_library(self, model: FloatModel, prompts: list[Prompt]) -> None:
        meant, tokens = 0.0, 0
        for prompt in prompts:
            ids = torch.tensor([prompt.tokens])
            count = len(prompt.tokens) - 1
            with torch.no_grad():
                meant += count * float(model.model(input_ids=ids, labels=ids).loss)
            tokens += count
        assert model.nats(prompts) == pytest.approx(meant / tokens, rel=1e-5)

    def test_a_layer_of_nan_costs_without_end(
        self, model: FloatModel, wide: dict[str, Any], prompts: list[Prompt]
    ) -> None:
        broken = {GUILTY: wide[GUILTY] * float("nan"), OTHER: wide[OTHER]}
        cost = each_alone(model, broken, prompts)
        assert cost[OTHER].divergence < 0.01 and abs(cost[OTHER].nats) < 0.01
        assert stand_out(cost) == [GUILTY]

    def test_the_divergence_is_torchs(
        self, model: FloatModel, narrow: dict[str, Any], prompts: list[Prompt]
    ) -> None:
        meant = model.logprobs(prompts)
        with model.put(narrow):
            said = model.logprobs(prompts)
        expected = torch.nn.functional.kl_div(
            torch.cat(said), torch.cat(meant), log_target=True, reduction="batchmean"
        )
        assert divergence(meant, said) == pytest.approx(float(expected), rel=1e-4)
        assert divergence(meant, meant) == 0

    def test_without_a_gap_none_is_convicted(self) -> None:
        assert stand_out({str(i): Cost(0.01 * 1.2**i, 0.0) for i in range(20)}) == []


def kept(folder: Path, recipe: BitRecipe) -> Path:
    path = folder / RECIPE
    path.write_text(recipe.as_json())
    return path


class TestRecipe:
    def test_it_comes_back_as_it_was(self, tmp_path: Path) -> None:
        recipe = BitRecipe({GUILTY: 8, OTHER: 5}, 4, {"sym": False, "mse": 2.4}, {"why": "so"})
        assert BitRecipe.parse(kept(tmp_path, recipe)) == recipe

    @pytest.mark.parametrize(
        "wrong",
        [
            {"schema": 2},
            {"default": 7},
            {"default": True},
            {"bits": {GUILTY: 16}},
            {"bits": [GUILTY]},
            {"bits": {GUILTY: "8"}},
            {"options": {"group_size": 32}},
            {"options": {"sym": 1}},
            {"options": {"mse": True}},
            {"more": 1},
            {"notes": None},
        ],
        ids=str,
    )
    def test_what_cannot_be_meant_is_refused(self, tmp_path: Path, wrong: dict[str, Any]) -> None:
        told = {**json.loads(BitRecipe({GUILTY: 8}).as_json()), **wrong}
        (tmp_path / RECIPE).write_text(json.dumps(told))
        with pytest.raises(BuildError, match=r"(?s)no recipe of bits.*schema 1"):
            BitRecipe.parse(tmp_path / RECIPE)

    def test_a_detectors_recipe_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / RECIPE).write_text('{"schema": 1, "float_ops": {}, "ranges": {}, "notes": {}}')
        with pytest.raises(BuildError, match="no recipe of bits"):
            BitRecipe.parse(tmp_path / RECIPE)

    def test_bits_are_counted_by_weight(self) -> None:
        recipe, sizes = BitRecipe({"a": 8}), {"a": 100, "b": 300}
        assert recipe.average(sizes) == 5.0
        assert recipe.average_stored(sizes, 64) == 5.0 + (16 + 5.0) / 64

    def test_a_name_is_no_expression(self) -> None:
        (pattern,) = BitRecipe({"model.layers.1": 8}).dynamic()
        import re

        assert re.match(pattern, "model.layers.1")
        assert not re.match(pattern, "model.layers.11")
        assert not re.match(pattern, "modelxlayersx1")

    def test_the_scheme_is_named(self) -> None:
        assert (MIXED.quantizer, MIXED.bits, MIXED.group_size) == ("gptq_mixed", 4, 64)
        assert calibrates(find_quantizer(MIXED), MIXED)
        assert Scheme.parse("gptq_mixed_g64_s3").seed == 3


@pytest.fixture(scope="module")
def built(
    tiny_checkpoint: Path, prompts: list[Prompt], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Mapping[str, Any]]:
    """A checkpoint of two widths, and the facts about its build."""
    folder = tmp_path_factory.mktemp("mixed")
    path = kept(tmp_path_factory.mktemp("recipe"), BitRecipe({GUILTY: 8, OTHER: 8}))
    scheme = replace(MIXED, recipe=str(path))
    return folder, MixedGPTQQuantizer().build(tiny_checkpoint, scheme, prompts, folder)


class TestBuild:
    def test_each_layer_is_stored_at_its_width(self, built: tuple[Path, Mapping[str, Any]]) -> None:
        stored = {layer: bits for layer, (bits, _) in stored_layers(built[0]).items()}
        assert len(stored) == 14
        assert {layer for layer, bits in stored.items() if bits == 8} == {GUILTY, OTHER}
        assert set(stored.values()) == {4, 8}

    def test_the_average_is_told(self, built: tuple[Path, Mapping[str, Any]]) -> None:
        facts = built[1]
        weights = 2 * (128 * 128 * 3 + 3 * 128 * 256)
        wide = 128 * 256 + 64 * 128
        average = 4 + 4 * wide / weights
        assert facts["bits_per_weight"] == pytest.approx(average, abs=1e-4)
        assert facts["bits_per_weight_with_scales"] > average + 0.3
        assert facts["layers_at_bits"] == {"4": 12, "8": 2}

    def test_its_recipe_rebuilds_it(
        self,
        built: tuple[Path, Mapping[str, Any]],
        tiny_checkpoint: Path,
        prompts: list[Prompt],
        tmp_path: Path,
    ) -> None:
        from safetensors.torch import load_file

        scheme = replace(MIXED, recipe=str(built[0] / RECIPE))
        MixedGPTQQuantizer().build(tiny_checkpoint, scheme, prompts, tmp_path)
        one, other = (load_file(f / "model.safetensors") for f in (built[0], tmp_path))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)

    def test_it_is_evaluated_by_its_unpacked_weights(
        self, built: tuple[Path, Mapping[str, Any]], prompts: list[Prompt]
    ) -> None:
        """Every packed layer shows first that it computes what its unpacked twin does."""
        runner = CausalLMRunner(built[0], Machine())
        assert len(list(runner.predict_all(prompts[:3]))) == 3
        assert runner.facts().as_json()["evaluated_as"] == "unpacked weights"
        runner.close()

    def test_wide_layers_are_nearer_to_the_float_ones(
        self, built: tuple[Path, Mapping[str, Any]], model: FloatModel, narrow: dict[str, Any]
    ) -> None:
        mixed_weights = packed_weights(built[0])
        for layer in (GUILTY, OTHER):
            meant = model.weight(layer)
            near, far = mixed_weights[layer] - meant, narrow[layer] - meant
            assert near.norm() < far.norm() / 4

    @pytest.mark.parametrize("bits", [5, pytest.param(6, marks=pytest.mark.slow)])
    def test_widths_between_are_stored_and_run(
        self, bits: int, tiny_checkpoint: Path, prompts: list[Prompt], tmp_path: Path
    ) -> None:
        path = kept(tmp_path, BitRecipe({GUILTY: bits}, options={"sym": False}))
        (tmp_path / "built").mkdir()
        MixedGPTQQuantizer().build(
            tiny_checkpoint, replace(MIXED, recipe=str(path)), prompts, tmp_path / "built"
        )
        assert stored_layers(tmp_path / "built")[GUILTY][0] == bits
        runner = CausalLMRunner(tmp_path / "built", Machine())
        assert len(list(runner.predict_all(prompts[:3]))) == 3
        runner.close()

    def test_a_layer_that_is_not_there_is_refused(
        self, tiny_checkpoint: Path, prompts: list[Prompt], tmp_path: Path
    ) -> None:
        path = kept(tmp_path, BitRecipe({"model.layers.7.mlp.down_proj": 8}))
        (tmp_path / "built").mkdir()
        with pytest.raises(BuildError, match=r"layers that the model does not have"):
            MixedGPTQQuantizer().build(
                tiny_checkpoint, replace(MIXED, recipe=str(path)), prompts, tmp_path / "built"
            )

    def test_without_a_recipe_nothing_is_built(self, tiny_checkpoint: Path, tmp_path: Path) -> None:
        with pytest.raises(BuildError, match="needs a recipe"):
            MixedGPTQQuantizer().build(tiny_checkpoint, MIXED, [], tmp_path)


class Told:
    """A judge that one layer matters to alone, and that remembers how often it was asked."""

    def __init__(self, narrow: Mapping[str, Any], layer: str) -> None:
        self._narrow, self._layer = narrow, layer
        self.asked = 0

    def loss(self, weights: Mapping[str, Any]) -> tuple[float, float, float]:
        self.asked += 1
        bad = weights[self._layer] is self._narrow[self._layer]
        return (-0.2, -0.25, -1.0) if bad else (0.0, -0.01, -0.001)


class TestSearch:
    def test_the_budget_is_kept(self) -> None:
        cost = {str(i): Cost(0.01 * i, 0.0) for i in range(20)}
        sizes = {str(i): 1000 + 10 * i for i in range(20)}
        for budget in (4.0, 4.1, 4.6, 8.0):
            assert BitRecipe(under(budget, cost, sizes)).average(sizes) <= budget
        assert under(4.0, cost, sizes) == {}
        assert under(8.0, cost, sizes) == dict.fromkeys(sizes, 8)

    def test_bits_go_where_they_save_most(self) -> None:
        cost = {"worst": Cost(1.0, 0.0), "bad": Cost(0.1, 0.0), "good": Cost(0.001, 0.0)}
        assert under(4.4, cost, dict.fromkeys(cost, 100)) == {"worst": 5}
        assert under(5.0, cost, dict.fromkeys(cost, 100)) == {"worst": 6, "bad": 5}
        large = {"worst": 100_000, "bad": 100, "good": 100}
        assert "worst" not in under(4.5, cost, large)

    def test_the_planted_layer_is_found(
        self,
        model: FloatModel,
        narrow: dict[str, Any],
        wide: dict[str, Any],
        prompts: list[Prompt],
    ) -> None:
        planted = ruined(narrow, OTHER)
        cost = each_alone(model, planted, prompts)
        judge = Told(planted, OTHER)
        weights = {4: planted, 8: wide}
        found = allocated(cost, weights, judge, Gate("accuracy", 0.02), silent)
        assert found.notes["passed"] is True
        assert found.bits[OTHER] == 8 and OTHER in found.notes["why"]
        assert found.notes["average_bits"] <= BUDGET
        assert len(found.notes["tried"]) == judge.asked

    def test_what_came_closest_is_told(self, narrow: dict[str, Any], wide: dict[str, Any]) -> None:
        cost = dict.fromkeys(narrow, Cost(0.001, 0.0))
        cost[OTHER] = Cost(0.0, 0.0)  # the look missed it
        weights = {4: narrow, 8: wide}
        found = allocated(cost, weights, Told(narrow, OTHER), Gate("accuracy", 0.02), silent)
        assert found.notes["passed"] is False
        assert (found.notes["difference"], found.notes["low"]) == (-0.2, -0.25)
        assert len(found.notes["tried"]) == 2

    def test_it_searches_a_checkpoint(self, tiny_checkpoint: Path, task: Any) -> None:
        found = mixed(tiny_checkpoint, task, passages(200), Gate("accuracy", 0.3), Silent(), "")
        assert found.notes["passed"] is True
        assert found.notes["metric"] == "accuracy"
        assert set(found.bits.values()) <= {5, 6, 8}

    def test_too_few_passages_are_refused(self, tiny_checkpoint: Path, task: Any) -> None:
        with pytest.raises(UsageError, match="too few calibration passages"):
            mixed(tiny_checkpoint, task, passages(150), Gate("accuracy", 0.02), Silent(), "")

    def test_a_share_is_no_margin_here(self, tiny_checkpoint: Path, task: Any) -> None:
        with pytest.raises(UsageError, match="in the metric's own unit"):
            mixed(
                tiny_checkpoint,
                task,
                passages(200),
                Gate("accuracy", 0.1, relative=True),
                Silent(),
                "",
            )

    def test_a_metric_that_is_none_is_refused(self, tiny_checkpoint: Path, task: Any) -> None:
        with pytest.raises(UsageError, match="no metric 'AP'"):
            mixed(tiny_checkpoint, task, passages(200), Gate("AP", 0.02), Silent(), "")


def test_a_candidate_tells_its_numbers() -> None:
    assert Candidate({GUILTY: 8}, 4.25, -0.01, -0.02, -0.1).as_notes() == {
        "wider_layers": 1,
        "average_bits": 4.25,
        "difference": -0.01,
        "low": -0.02,
        "logprob": -0.1,
    }


@dataclass(frozen=True)
class Leaking(Passages):
    """Calibrates on what it evaluates."""

    def samples(self, files: Mapping[str, Path], split: str, n: int | None) -> Sequence[Passage]:
        del split
        return super().samples(files, "evaluation", n)


class TestWorkshop:
    @pytest.fixture
    def bench(self, tmp_path: Path) -> Session:
        return Session(Settings(cache=tmp_path / "cache", threads=2))

    @pytest.fixture
    def case(self, tmp_path: Path, tiny_checkpoint: Path) -> Case:
        path = tmp_path / "passages.jsonl"
        path.write_text("".join(json.dumps({"text": p.text}) + "\n" for p in passages(240)))
        described = Model(
            name="tiny",
            source=f"file:{tiny_checkpoint}",
            reference="reference",
            schemes=("reference", "gptq_mixed_g64", "gptq_int8_g64"),
            datasets=(Passages("mine", f"file:{path}", default_n=40, calibration_n=200),),
        )
        return next(c for c in cases(described) if c.scheme.quantizer == "gptq_mixed")

    @pytest.mark.slow
    def test_a_recipe_is_searched_kept_and_built(self, bench: Session, case: Case) -> None:
        found = bench.recipe(case, Gate("accuracy", 0.3))
        assert found.details["passed"] is True
        assert bench.recipe(case, Gate("accuracy", 0.3)).key == found.key
        given = replace(case, scheme=replace(case.scheme, recipe=str(found.path / RECIPE)))
        built = bench.artifact(given)
        assert (built.path / RECIPE).read_bytes() == (found.path / RECIPE).read_bytes()
        assert built.details["bits_per_weight"] == pytest.approx(
            found.details["average_bits"], abs=1e-3
        )
        assert bench.evaluate(given).value("accuracy") >= 0

    def test_passages_that_judge_are_never_evaluated(self, bench: Session, case: Case) -> None:
        leaking = Leaking("mine", case.dataset.source or "", default_n=40, calibration_n=40)
        with pytest.raises(DataError, match="calibrated on samples that it is evaluated on"):
            bench.recipe(replace(case, dataset=leaking))

    def test_a_case_is_diagnosed(self, bench: Session, case: Case) -> None:
        eight = replace(case, scheme=Scheme.parse("gptq_int8_g64"))
        found = bench.diagnose(eight)
        assert len(found["profile"]) == 14
        assert record_of(bench, eight)["diagnosis"] == found
