"""Scores against transformers' plain forward pass, whatever the batch."""

from __future__ import annotations

import contextlib
import gc
import json
import re
import shutil
from typing import TYPE_CHECKING, Any
from urllib.error import URLError

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantbench.backends.transformers import runner as causal_lm
from quantbench.backends.transformers.dense import check_same, dense_model
from quantbench.backends.transformers.quantizers.bitsandbytes import BitsAndBytesQuantizer
from quantbench.backends.transformers.quantizers.gptq import GPTQQuantizer
from quantbench.backends.transformers.runner import CausalLMRunner
from quantbench.catalog.language_models import LANGUAGE_SCHEMES
from quantbench.core.settings import Machine
from quantbench.data.prompts import Prompt
from quantbench.data.samples import Passage
from quantbench.errors import PredictionError
from quantbench.study import Scheme
from quantbench.study.registry import find_quantizer
from quantbench.tasks.last_word.task import LastWord
from tests.conftest import sentence

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@pytest.fixture(scope="module")
def prompts(tiny_checkpoint: Path) -> list[Prompt]:
    task = LastWord(None, tiny_checkpoint)  # type: ignore[arg-type]
    return [task.prepare(Passage(str(i), sentence(i, 5 + 7 * i % 60))) for i in range(24)]


@pytest.fixture(scope="module")
def runner(tiny_checkpoint: Path) -> CausalLMRunner:
    """In float32 whatever the CPU has, so that rounding cannot hide a mistake."""
    opened = CausalLMRunner(tiny_checkpoint, Machine())
    opened._model.float()  # noqa: SLF001
    return opened


def plainly(folder: Path, prompt: Prompt) -> dict[str, list[float]]:
    """One prompt alone, all logits, the library's own attention mask.

    The weights take the runner's way through bfloat16 first; the arithmetic is float32 in both.
    """
    import torch
    from transformers import AutoModelForCausalLM

    loaded = CausalLMRunner(folder, Machine())._model.dtype  # noqa: SLF001
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=loaded).to(torch.float32)
    tokens = torch.tensor([prompt.tokens])
    with torch.no_grad():
        logits = model(input_ids=tokens, attention_mask=torch.ones_like(tokens)).logits[0]
    said = logits.log_softmax(-1)
    answer: dict[str, list[float]] = {"logprobs": [], "ranks": [], "greedy": []}
    for position in range(prompt.target_start, len(prompt.tokens)):
        token = prompt.tokens[position]
        answer["logprobs"].append(float(said[position - 1, token]))
        order = torch.argsort(said[position - 1], descending=True, stable=True).tolist()
        answer["ranks"].append(order.index(token))
        answer["greedy"].append(order[0])
    return answer


def assert_same(one: dict[str, list[float]], other: dict[str, list[float]]) -> None:
    assert one["ranks"] == other["ranks"]
    assert one["greedy"] == other["greedy"]
    assert one["logprobs"] == pytest.approx(other["logprobs"], abs=1e-4)


def test_scores_are_those_of_a_plain_forward_pass(
    runner: CausalLMRunner, prompts: list[Prompt], tiny_checkpoint: Path
) -> None:
    for prompt, scored in zip(prompts[:6], runner.predict_all(prompts), strict=False):
        assert_same(scored, plainly(tiny_checkpoint, prompt))
        assert_same(scored, runner.predict(prompt))


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(order=st.permutations(range(24)), size=st.integers(1, 24))
def test_order_and_batch_do_not_matter(
    runner: CausalLMRunner, prompts: list[Prompt], order: list[int], size: int
) -> None:
    shuffled = [prompts[i] for i in order[:size]]
    for index, scored in zip(order, runner.predict_all(shuffled), strict=False):
        assert_same(scored, runner.predict(prompts[index]))


def test_tied_weights_are_counted_once(runner: CausalLMRunner) -> None:
    embedding, attention, mlp, norms = 400 * 128, 128 * 128 * 3, 3 * 128 * 256, 2 * 128
    parameters = embedding + 2 * (attention + mlp + norms) + 128
    assert runner.facts().as_json()["weights_bytes"] == 4 * parameters
    assert runner.facts().as_json()["kernel"] == "15 x Linear"


def test_a_folder_without_weights_is_explained(tmp_path: Path, tiny_checkpoint: Path) -> None:
    shutil.copy(tiny_checkpoint / "config.json", tmp_path)
    with pytest.raises(PredictionError, match="cannot load the language model"):
        CausalLMRunner(tmp_path, Machine())


def test_an_empty_folder_is_explained(tmp_path: Path) -> None:
    with pytest.raises(PredictionError, match=r"checkpoint folder with config\.json"):
        CausalLMRunner(tmp_path, Machine())


@pytest.fixture(scope="module")
def packed(
    tiny_checkpoint: Path, prompts: list[Prompt], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("packed")
    long = [Prompt(prompt.tokens * 4, prompt.target_start) for prompt in prompts]
    GPTQQuantizer().build(tiny_checkpoint, Scheme.parse("gptq_int4_g64"), long, folder)
    return folder


@pytest.mark.slow
def test_a_gptq_checkpoint_is_packed_and_answers_nearly_the_same(
    packed: Path, tiny_checkpoint: Path, prompts: list[Prompt]
) -> None:
    config = json.loads((packed / "config.json").read_text())["quantization_config"]
    assert (config["bits"], config["group_size"]) == (4, 64)
    opened = CausalLMRunner(packed, Machine())
    floats = CausalLMRunner(tiny_checkpoint, Machine())
    # Four bits and group overhead against sixteen; the tied embedding stays in float.
    assert (
        opened.facts().as_json()["weights_bytes"] < 0.6 * floats.facts().as_json()["weights_bytes"]
    )
    assert "14 x " in opened.facts().as_json()["kernel"]
    answers: list[list[float]] = [
        [answer["logprobs"][0] for answer in runner.predict_all(prompts)]
        for runner in (opened, floats)
    ]
    assert answers[0] == pytest.approx(answers[1], abs=0.5)


@pytest.mark.parametrize(
    ("name", "kind", "share"), [("bnb_int8", "Linear8bitLt", 0.65), ("bnb_nf4", "Linear4bit", 0.45)]
)
def test_bitsandbytes_packs_and_answers_nearly_the_same(
    name: str,
    kind: str,
    share: float,
    tiny_checkpoint: Path,
    prompts: list[Prompt],
    tmp_path: Path,
) -> None:
    BitsAndBytesQuantizer().build(tiny_checkpoint, Scheme.parse(name), [], tmp_path)
    opened = CausalLMRunner(tmp_path, Machine())
    floats = CausalLMRunner(tiny_checkpoint, Machine())
    assert f"14 x {kind}" in opened.facts().as_json()["kernel"]
    assert opened.facts().as_json()["evaluated_as"] == "stored"
    # Of the 16 bits of the float weights; the embedding keeps them.
    assert opened.facts().as_json()["weights_bytes"] < share * _two_bytes_each(floats)
    answers: list[list[float]] = [
        [answer["logprobs"][0] for answer in runner.predict_all(prompts)]
        for runner in (opened, floats)
    ]
    assert answers[0] == pytest.approx(answers[1], abs=0.5)


def _two_bytes_each(runner: CausalLMRunner) -> int:
    return int(2 * sum(p.numel() for p in runner._model.parameters()))  # noqa: SLF001


@pytest.mark.slow
def test_unpacked_weights_are_checked_against_the_packed_kernel(packed: Path) -> None:
    opened = CausalLMRunner(packed, Machine())
    dense = dense_model(packed, opened._model.dtype)  # noqa: SLF001
    check_same(opened._model, dense, packed)  # noqa: SLF001
    dense.model.layers[1].mlp.up_proj.weight.data[:, :64] += 0.01  # one group's zero point
    with pytest.raises(PredictionError, match=r"(?s)disagree.*layers\.1\.mlp\.up_proj"):
        check_same(opened._model, dense, packed)  # noqa: SLF001


@pytest.mark.parametrize("name", ["torchao_int8", "hqq_int4_g64"])
def test_alternatives_pack_and_answer_nearly_the_same(
    name: str, tiny_checkpoint: Path, prompts: list[Prompt], tmp_path: Path
) -> None:
    scheme = Scheme.parse(name)
    find_quantizer(scheme).build(tiny_checkpoint, scheme, [], tmp_path)
    opened = CausalLMRunner(tmp_path, Machine())
    floats = CausalLMRunner(tiny_checkpoint, Machine())
    kind, bits = {"torchao": ("Int8Tensor", 8), "hqq": ("HQQLinear", 4)}[scheme.quantizer]
    assert f"14 x {kind}" in opened.facts().as_json()["kernel"]
    # A scale, and where there are groups a zero point, for so many weights.
    assert bits < opened.facts().as_json()["kernel_bits_per_weight"][kind] < bits + 1
    assert opened.facts().as_json()["weights_bytes"] < 0.75 * _two_bytes_each(floats)
    answers: list[list[float]] = [
        [answer["logprobs"][0] for answer in runner.predict_all(prompts)]
        for runner in (opened, floats)
    ]
    assert answers[0] == pytest.approx(answers[1], abs=0.5)


def test_a_checkpoint_that_lacks_layers_is_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """transformers fills them with random numbers and goes on."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(tiny_checkpoint, tmp_path, dirs_exist_ok=True)
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(PredictionError, match=r"no weights for 1 of its tensors.*up_proj"):
        CausalLMRunner(tmp_path, Machine())


def test_packed_weights_that_lack_layers_are_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    find_quantizer(Scheme.parse("hqq_int4_g64")).build(
        tiny_checkpoint, Scheme.parse("hqq_int4_g64"), [], tmp_path
    )
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors["model.layers.0.mlp.up_proj.W_q"]
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(PredictionError, match="cannot load the language model"):
        CausalLMRunner(tmp_path, Machine())


def test_a_tokenizer_of_another_model_is_explained(runner: CausalLMRunner) -> None:
    with pytest.raises(PredictionError, match=r"(?s)another model's.*below 400.*id 50000"):
        list(runner.predict_all([Prompt((1, 50_000, 3), 1)]))


def test_broken_weights_are_an_error_when_the_model_is_opened(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copytree(tiny_checkpoint, tmp_path, dirs_exist_ok=True)
    tensors = load_file(tmp_path / "model.safetensors")
    tensors["model.layers.0.mlp.up_proj.weight"][:] = float("nan")
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(PredictionError, match="answers NaN"):
        CausalLMRunner(tmp_path, Machine())


def test_an_architecture_that_lies_about_itself_is_not_scored(
    tiny_checkpoint: Path, prompts: list[Prompt]
) -> None:
    opened = CausalLMRunner(tiny_checkpoint, Machine())
    for layer in opened._model.model.layers:  # noqa: SLF001
        layer.mlp.act_fn = torch.nn.ReLU()  # the configuration still says silu
    with pytest.raises(PredictionError, match="scoring computes other layers"):
        list(opened.predict_all(prompts))


def test_decoding_says_what_generation_says_however_often(
    runner: CausalLMRunner, prompts: list[Prompt]
) -> None:
    tokens = torch.tensor([prompts[0].tokens])
    said: list[int] = []
    forward = runner._model.forward  # noqa: SLF001

    def listening(*arguments: Any, **named: Any) -> Any:
        said.append(int(named["input_ids"][0, -1]))
        return forward(*arguments, **named)

    decode = runner.decoder(prompts[0])
    expected = runner._model.generate(  # noqa: SLF001
        tokens, max_new_tokens=16, do_sample=False, eos_token_id=None, pad_token_id=0
    )[0, tokens.shape[1] :]
    runner._model.forward = listening  # noqa: SLF001
    try:
        for _ in range(2):
            said.clear()
            decode()
            assert said == expected.tolist()
    finally:
        runner._model.forward = forward  # noqa: SLF001


def test_a_build_leaves_no_weights_behind(
    tiny_checkpoint: Path, prompts: list[Prompt], tmp_path: Path
) -> None:
    """They would count as memory of what is opened next."""
    before = _bytes_of_tensors()
    GPTQQuantizer().build(tiny_checkpoint, Scheme.parse("gptq_int4_g64"), prompts, tmp_path)
    weights = (tmp_path / "model.safetensors").stat().st_size
    assert _bytes_of_tensors() - before < weights / 100


def _bytes_of_tensors() -> int:
    gc.collect()
    held: dict[int, int] = {}
    for each in gc.get_objects():
        if type(each) in {torch.Tensor, torch.nn.Parameter} and each.device.type != "meta":
            # What other tests of this process traced may still be about, and has no storage.
            with contextlib.suppress(RuntimeError):
                held[each.data_ptr()] = each.untyped_storage().nbytes()
    return sum(held.values())


class TestKernelsThatCannotBeHad:
    """Of which gptqmodel's first choice on a GPU may be one; no GPU is needed to see it."""

    def opened(
        self, packed: Path, failing: Mapping[str, Exception], monkeypatch: pytest.MonkeyPatch
    ) -> CausalLMRunner:
        from gptqmodel import GPTQModel

        load = GPTQModel.load

        def choosy(*arguments: Any, backend: Any, **named: Any) -> Any:
            if error := failing.get(backend.name):
                raise error
            return load(*arguments, **named)

        monkeypatch.setattr(GPTQModel, "load", choosy)
        monkeypatch.setitem(causal_lm._KERNELS, "cpu", causal_lm._KERNELS["cuda"])  # noqa: SLF001
        return CausalLMRunner(packed, Machine())

    def test_others_stand_in_and_it_is_said(
        self, packed: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        failing = {"AUTO": URLError("no such host"), "GPTQ_TRITON": ValueError("5 bits")}
        ours = r"AUTO.*no such host|TRITON.*5 bits"
        with pytest.warns(UserWarning, match=ours) as said:
            opened = self.opened(packed, failing, monkeypatch)
        assert sum(bool(re.search(ours, str(warning.message))) for warning in said) == 2
        assert "14 x " in opened.facts().as_json()["kernel"]

    def test_the_last_ones_failure_is_the_models(
        self, packed: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        failing = dict.fromkeys(causal_lm._KERNELS["cuda"], RuntimeError("no compiler"))  # noqa: SLF001
        with (
            pytest.warns(UserWarning, match="no compiler"),
            pytest.raises(PredictionError, match="no compiler"),
        ):
            self.opened(packed, failing, monkeypatch)

    def test_too_little_memory_is_not_tried_again(
        self, packed: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        failing = {"AUTO": RuntimeError("CUDA out of memory")}
        with pytest.raises(PredictionError, match="close other programs"):
            self.opened(packed, failing, monkeypatch)


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.filterwarnings("default:.*kernels .* cannot be had")  # without compiler or network
@pytest.mark.parametrize("name", LANGUAGE_SCHEMES)
def test_what_is_built_beside_a_gpu_answers_alike_on_both(
    name: str, tiny_checkpoint: Path, prompts: list[Prompt], tmp_path: Path
) -> None:
    scheme = Scheme.parse(name)
    long = [Prompt(prompt.tokens * 4, prompt.target_start) for prompt in prompts]
    quantizer = find_quantizer(scheme)
    quantizer.build(tiny_checkpoint, scheme, long, tmp_path)
    answers = []
    for device in ("cuda", "cpu"):
        opened = CausalLMRunner(tmp_path, Machine(1, device))
        answers.append([answer["logprobs"][0] for answer in opened.predict_all(prompts)])
        opened.decoder(prompts[0])()
        assert opened.predict(prompts[0])["logprobs"][0] == pytest.approx(answers[-1][0], abs=0.1)
    assert answers[0] == pytest.approx(answers[1], abs=0.1)


@pytest.mark.gpu
def test_a_gpu_scores_as_the_processor_does(
    tiny_checkpoint: Path, prompts: list[Prompt], tmp_path: Path
) -> None:
    shutil.copytree(tiny_checkpoint, tmp_path, dirs_exist_ok=True)
    (tmp_path / "runner.json").write_text('{"dtype": "float32"}')
    runners = [CausalLMRunner(tmp_path, Machine(1, device)) for device in ("cuda", "cpu")]
    for one, other in zip(*(opened.predict_all(prompts) for opened in runners), strict=True):
        assert one["ranks"] == other["ranks"]
        assert one["logprobs"] == pytest.approx(other["logprobs"], abs=1e-3)
