"""What the runner answers, however prompts are batched, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax

from quantbench.backends.llamacpp import kernels, library
from quantbench.backends.llamacpp.files import MODEL
from quantbench.backends.llamacpp.importers.gguf import GGUFImporter
from quantbench.backends.llamacpp.model import Context, Model, memory_bytes
from quantbench.backends.llamacpp.quantizers.rounded import quantize
from quantbench.backends.llamacpp.runner import LlamaCppRunner
from quantbench.backends.llamacpp.schemes import FILE_TYPES
from quantbench.backends.llamacpp.scoring import answer, batches
from quantbench.backends.llamacpp.tokens import check_tokens
from quantbench.core.settings import Machine
from quantbench.data.prompts import Prompt
from quantbench.errors import BuildError, MissingDeviceError, MissingExtraError, PredictionError

from .conftest import described


@given(
    st.lists(st.integers(2, 300), min_size=1, max_size=40), st.integers(1, 600), st.integers(1, 9)
)
def test_batches_hold_every_prompt_once_within_their_room(
    lengths: list[int], tokens: int, sequences: int
) -> None:
    prompts = [Prompt((0,) * length, 1) for length in lengths]
    found = list(batches(prompts, tokens, sequences))
    assert sorted(i for batch in found for i in batch) == list(range(len(prompts)))
    for batch in found:
        fed = sum(lengths[i] - 1 for i in batch)
        assert len(batch) == 1 or (fed <= tokens and len(batch) <= sequences)


@given(st.integers(0, 2**32 - 1), st.integers(3, 200))
def test_answers_are_those_of_scipy(seed: int, size: int) -> None:
    random = np.random.default_rng(seed)
    logits = np.round(random.normal(scale=3, size=(4, size)), 1).astype(np.float32)  # with ties
    tokens = random.integers(size, size=4).tolist()
    said = answer(logits, tokens)
    whole = log_softmax(logits.astype(np.float64), axis=1)
    for i, token in enumerate(tokens):
        assert said["logprobs"][i] == pytest.approx(whole[i, token], abs=1e-5)
        order = np.lexsort((np.arange(size), -logits[i]))
        assert said["ranks"][i] == order.tolist().index(token)
        assert said["greedy"][i] == order[0]
        kept = min(64, size)
        assert said["top_logprobs"][i] == pytest.approx(sorted(whole[i])[::-1][:kept], abs=1e-5)
        assert whole[i, said["top_ids"][i]] == pytest.approx(said["top_logprobs"][i], abs=1e-5)


@pytest.mark.parametrize("kind", ["f32", "bf16", "q8_0", "q4_0"])
def test_batching_changes_no_more_than_rounding(
    kind: str, gguf: Path, prompts: list[Prompt], tmp_path: Path
) -> None:
    """In float32 next to nothing; elsewhere what float16 keys, values and kernels round."""
    if kind == "f32":
        folder, most = gguf, 1e-5
    else:
        folder, most = tmp_path, 0.05
        quantize(gguf / MODEL, tmp_path / MODEL, FILE_TYPES[kind])
    with closing(LlamaCppRunner(folder, Machine(2))) as runner:
        together = list(runner.predict_all(prompts))
        alone = [runner.predict(prompt) for prompt in prompts]
        backwards = list(runner.predict_all(prompts[::-1]))[::-1]
    for other in (alone, backwards):
        for one, two in zip(together, other, strict=True):
            assert one["logprobs"] == pytest.approx(two["logprobs"], abs=most)


def test_generation_continues_greedily(
    gguf: Path, prompts: list[Prompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call says the same 16 tokens, which are the likeliest in the whole text too."""
    prompt, fed, decoded = prompts[12], [], Context.decode

    def listening(context: Context, tokens: Any, *others: Any) -> Any:
        fed.extend(tokens.tolist())
        return decoded(context, tokens, *others)

    with closing(LlamaCppRunner(gguf, Machine(1))) as runner:
        decode = runner.decoder(prompt)
        monkeypatch.setattr(Context, "decode", listening)
        decode()
        decode()
    monkeypatch.undo()
    assert fed[:16] == fed[16:]
    assert decode.tokens == 16  # type: ignore[attr-defined]
    whole = (*prompt.tokens, *fed[:16])
    with (
        Model(gguf / MODEL) as model,
        closing(model.context(256, threads=1, outputs=256, exact=True)) as context,
    ):
        likeliest = context.continue_with(whole, all_logits=True).argmax(axis=1)
    assert likeliest[len(prompt.tokens) - 1 : -1].tolist() == fed[:16]


def test_scoring_between_two_generations_does_not_disturb_them(
    gguf: Path, prompts: list[Prompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A longer prompt exchanges the context that scores; another one generates from its own."""
    fed, decoded = [], Context.decode

    def listening(context: Context, tokens: Any, *others: Any) -> Any:
        fed.extend(tokens.tolist())
        return decoded(context, tokens, *others)

    many = replace(prompts[39], target_start=1)
    with closing(LlamaCppRunner(gguf, Machine(1))) as runner:
        decode = runner.decoder(prompts[12])
        for between in (lambda: None, lambda: runner.predict(many), runner.decoder(prompts[3])):
            between()
            with monkeypatch.context() as patched:
                patched.setattr(Context, "decode", listening)
                decode()
    assert fed[:16] == fed[16:32] == fed[32:]
    with pytest.raises(PredictionError, match="the context is closed"):
        decode()


def test_a_runner_goes_on_after_a_prompt_that_has_no_room(
    gguf: Path, prompts: list[Prompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    many = replace(prompts[39], target_start=1)
    with closing(LlamaCppRunner(gguf, Machine(1))) as runner:
        said = runner.predict(replace(prompts[3], target_start=len(prompts[3].tokens) - 1))
        with monkeypatch.context() as patched:
            patched.setattr(Model, "context", no_memory)
            with pytest.raises(PredictionError, match="no memory"):
                runner.predict(many)
        again = runner.predict(replace(prompts[3], target_start=len(prompts[3].tokens) - 1))
    assert again == said


def no_memory(*_: Any, **__: Any) -> Context:
    raise PredictionError("llama.cpp has no memory for the context")


def test_a_prompt_longer_than_the_context_gets_a_longer_one(
    gguf: Path, prompts: list[Prompt], tiny_checkpoint: Path
) -> None:
    from .conftest import prompts_of

    (long,) = prompts_of(tiny_checkpoint, ["the dog sat near the old house " * 150])
    assert 600 < len(long.tokens) < 2048
    with closing(LlamaCppRunner(gguf, Machine(1))) as runner:
        (together,) = runner.predict_all([long])
        assert runner.predict(long)["logprobs"] == pytest.approx(together["logprobs"], abs=1e-4)
        assert len(list(runner.predict_all([long, *prompts[:3]]))) == 4


BESIDE_TORCH = """
import json, sys
from pathlib import Path

import torch

from quantbench.backends.llamacpp.runner import LlamaCppRunner
from quantbench.core.settings import Machine
from quantbench.data.prompts import Prompt

tokens, target_start, text = json.loads(sys.argv[2])
prompt = Prompt(tuple(tokens), target_start, text)
runner = LlamaCppRunner(Path(sys.argv[1]), Machine(2))
before = runner.predict(prompt)
for _ in range(3):
    torch.mm(*torch.randn(2, 512, 512).bfloat16())
assert runner.predict(prompt) == before
runner.decoder(prompt)()
runner.close()
"""


def test_products_of_torchs_in_between_change_nothing(
    gguf: Path, prompts: list[Prompt], tmp_path: Path
) -> None:
    """Both use AMX where the processor has it; in one thread that ended the process (SIGILL)."""
    quantize(gguf / MODEL, tmp_path / MODEL, FILE_TYPES["q8_0"])
    prompt = prompts[30]
    told = json.dumps([prompt.tokens, prompt.target_start, prompt.text])
    command = [sys.executable, "-P", "-c", BESIDE_TORCH, str(tmp_path), told]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_no_prompts_no_answers(gguf: Path) -> None:
    with closing(LlamaCppRunner(gguf, Machine(1))) as runner:
        assert list(runner.predict_all([])) == []


def test_facts_tell_memory_as_llama_cpp_reports_it(gguf: Path) -> None:
    with closing(LlamaCppRunner(gguf, Machine(1))) as runner:
        facts = runner.facts().as_json()
    assert facts["weights_bytes"] == sum(p.stat().st_size for p in [gguf / MODEL]) - _header(gguf)
    # Two layers of two heads of 32 numbers, keys and values, 2,048 places, four bytes each.
    assert facts["memory_bytes"]["kv"] == 2 * 2 * 2 * 32 * 2048 * 4
    assert facts["memory_bytes"]["compute"] > 0
    assert facts["cache_dtype"] == "float32"
    assert isinstance(facts["packed_kernels"], bool)


def _header(folder: Path) -> int:
    from gguf import GGUFReader

    return min(int(tensor.data_offset) for tensor in GGUFReader(folder / MODEL).tensors)


def test_memory_is_read_from_the_log() -> None:
    said = [
        "llama_context:        CPU  output buffer size =     0.19 MiB",
        "llama_kv_cache:        CPU KV buffer size =    45.00 MiB",
        "llama_kv_cache:      CUDA0 KV buffer size =    15.00 MiB",
        "llama_kv_cache: size =   45.00 MiB (  2048 cells,  30 layers,  1/1 seqs)",
        "sched_reserve:        CPU compute buffer size =    62.05 MiB",
    ]
    mib = 2**20
    assert memory_bytes(said) == {
        "output": round(0.19 * mib), "kv": 60 * mib, "compute": round(62.05 * mib),
    }  # fmt: skip


def test_other_tokens_than_llama_cpps_are_an_error_that_shows_them(
    gguf: Path, prompts: list[Prompt]
) -> None:
    prompt = prompts[5]
    tokens = [*prompt.tokens]
    tokens[3] += 1
    with (
        closing(LlamaCppRunner(gguf, Machine(1))) as runner,
        pytest.raises(PredictionError, match="reads a text differently") as caught,
    ):
        list(runner.predict_all([*prompts[:3], replace(prompt, tokens=tuple(tokens))]))
    assert "token 3 of" in str(caught.value.where)
    assert f"{tokens[3]}:" in str(caught.value.expected)
    assert f"{prompt.tokens[3]}:" in str(caught.value.got)


def test_a_window_is_compared_with_its_place_in_the_text(gguf: Path, prompts: list[Prompt]) -> None:
    whole = prompts[30]
    inside = Prompt(whole.tokens[7:25], 6, whole.text, first=7)
    started = replace(inside, tokens=(0, *inside.tokens[1:]))
    with closing(LlamaCppRunner(gguf, Machine(1))) as runner:
        assert len(list(runner.predict_all([inside]))) == 1
        with pytest.raises(PredictionError, match="token 8 of"):
            runner.predict(replace(inside, first=8))
        with pytest.raises(PredictionError, match="token 7 of"):  # it adds no start of text
            runner.predict(started)


def test_a_text_is_read_once_for_all_of_its_windows(
    gguf: Path, prompts: list[Prompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A window's text may be a whole book, and `predict` is timed."""
    whole, texts, tokens = prompts[30], [], Model.tokens

    def listening(model: Model, text: str) -> list[int]:
        texts.append(text)
        return tokens(model, text)

    monkeypatch.setattr(Model, "tokens", listening)
    with closing(LlamaCppRunner(gguf, Machine(1))) as runner:
        for first in (3, 7, 9):
            window = Prompt(whole.tokens[first : first + 12], 6, whole.text, first)
            runner.predict(window)
            assert len(list(runner.predict_all([window]))) == 1
        assert texts == [whole.text]
        with pytest.raises(PredictionError, match="token 8 of"):
            runner.predict(Prompt(whole.tokens[7:25], 6, whole.text, 8))
        runner.predict(prompts[2])
        assert texts == [whole.text, prompts[2].text]


def test_a_window_may_begin_with_the_start_that_the_tokenizer_adds() -> None:
    class Starting:
        path, start = Path("x.gguf"), 0

        def tokens(self, text: str) -> list[int]:
            return [0, *map(ord, text)]

        def text(self, token: int) -> str:
            return chr(token)

    window = Prompt((0, *map(ord, "efgh")), 2, "abcdefgh", first=4)
    check_tokens(Starting(), [window])  # type: ignore[arg-type]
    with pytest.raises(PredictionError, match="token 4 of"):
        check_tokens(Starting(), [replace(window, tokens=(1, *window.tokens[1:]))])  # type: ignore[arg-type]


def test_a_gpu_that_is_not_there_is_named(gguf: Path) -> None:
    from quantbench.backends.llamacpp.library import llama

    if llama().llama_supports_gpu_offload():
        pytest.skip("llama.cpp was compiled with a GPU")
    with pytest.raises(MissingDeviceError, match="compiled for the processor alone"):
        LlamaCppRunner(gguf, Machine(1, "cuda"))


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for the runner's variant, which is what a run asks first."""
    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    monkeypatch.delitem(sys.modules, "llama_cpp.llama_cpp", raising=False)
    library.llama.cache_clear()
    kernels.packed_kernels_work.cache_clear()
    try:
        with pytest.raises(MissingExtraError, match=r"quantbench\[llamacpp\]"):
            LlamaCppRunner.variant(Machine(1))
    finally:
        library.llama.cache_clear()
        kernels.packed_kernels_work.cache_clear()


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(PredictionError, match="no GGUF model"):
        LlamaCppRunner(tmp_path, Machine(1))


def test_kernels_that_end_the_process_are_left_out(
    gguf: Path, prompts: list[Prompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library compiled wrongly for AMX: the probe's process dies as it does by SIGILL."""
    monkeypatch.setattr(kernels, "_PROBE", f"{__name__}:die_by_illegal_instruction")
    monkeypatch.setattr(kernels, "_RISKY", b"")  # in every library's description
    kernels.packed_kernels_work.cache_clear()
    try:
        with pytest.warns(UserWarning, match=r"SIGILL[\s\S]*fno-tree-dse"):
            runner = LlamaCppRunner(gguf, Machine(1))
        with closing(runner):
            assert runner.facts().as_json()["packed_kernels"] is False
            assert len(list(runner.predict_all(prompts[:3]))) == 3
            assert "plain" in LlamaCppRunner.variant(Machine(1))
    finally:
        kernels.packed_kernels_work.cache_clear()


def die_by_illegal_instruction(path: Path) -> None:
    import os
    import signal

    assert path.stat().st_size > 0
    os.kill(os.getpid(), signal.SIGILL)


def test_the_probe_runs_where_kernels_are_right(tmp_path: Path) -> None:
    kernels.write_probe(tmp_path / "probe.gguf")
    with Model(tmp_path / "probe.gguf", packed=False) as model:
        assert model.weights_bytes > 0
    kernels.run_packed(tmp_path / "probe.gguf")


class TestForeignFiles:
    def test_a_file_comes_with_its_tokenizer(
        self, gguf: Path, prompts: list[Prompt], tmp_path: Path
    ) -> None:
        source = tmp_path / "source"
        source.mkdir()
        quantize(gguf / MODEL, source / "mine-Q8_0.gguf", FILE_TYPES["q8_0"])
        folder = tmp_path / "float"
        folder.mkdir()
        GGUFImporter().build(described(), source, folder)
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(folder)
        for prompt in prompts:
            assert tuple(tokenizer(prompt.text)["input_ids"]) == prompt.tokens
        assert (folder / MODEL).read_bytes() == (source / "mine-Q8_0.gguf").read_bytes()

    @pytest.mark.parametrize("files", [[], ["a.gguf", "b.gguf"]], ids=["none", "two"])
    def test_there_must_be_one_file(self, files: list[str], tmp_path: Path) -> None:
        for name in files:
            (tmp_path / name).write_bytes(b"GGUF")
        with pytest.raises(BuildError, match="expected one GGUF file"):
            GGUFImporter().build(described(), tmp_path, tmp_path)

    def test_a_broken_header_is_refused_before_llama_cpp_sees_it(
        self, gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = (gguf / MODEL).read_bytes()
        (tmp_path / "cut.gguf").write_bytes(whole[: len(whole) // 2])
        monkeypatch.setattr(
            "quantbench.backends.llamacpp.importers.gguf.run_isolated",
            lambda *_: pytest.fail("llama.cpp was asked"),
        )
        with pytest.raises(BuildError, match="not a valid GGUF file"):
            GGUFImporter().build(described(), tmp_path, tmp_path / "out")

    def test_what_llama_cpp_cannot_load_is_told_in_its_words(
        self, gguf: Path, tmp_path: Path
    ) -> None:
        whole = (gguf / MODEL).read_bytes()
        place = whole.index(b"llama", whole.index(b"general.architecture"))
        (tmp_path / "odd.gguf").write_bytes(whole[:place] + b"lxama" + whole[place + 5 :])
        with pytest.raises(PredictionError, match="unknown model architecture"):
            GGUFImporter().build(described(), tmp_path, tmp_path / "out")

    def test_weights_that_answer_nan_are_refused(self, gguf: Path, tmp_path: Path) -> None:
        from gguf import GGUFReader

        whole = bytearray((gguf / MODEL).read_bytes())
        place = next(
            int(t.data_offset) for t in GGUFReader(gguf / MODEL).tensors if "output_norm" in t.name
        )
        whole[place : place + 4] = np.float32(np.nan).tobytes()
        (tmp_path / "nan.gguf").write_bytes(bytes(whole))
        with pytest.raises(PredictionError, match="NaN or infinity"):
            GGUFImporter().build(described(), tmp_path, tmp_path / "out")
