"""Every scheme's file: what it stores, what it answers, and that importance does what it says."""

from __future__ import annotations

import re
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from quantbench.backends.llamacpp.backend import BACKEND
from quantbench.backends.llamacpp.files import MODEL
from quantbench.backends.llamacpp.importance import importance_of
from quantbench.backends.llamacpp.importers.checkpoint import CheckpointImporter
from quantbench.backends.llamacpp.quantizers.rounded import quantize
from quantbench.backends.llamacpp.runner import LlamaCppRunner
from quantbench.backends.llamacpp.schemes import FILE_TYPES, ROUNDED, file_type
from quantbench.core.plugins import resolve
from quantbench.core.settings import Machine
from quantbench.errors import BuildError, PredictionError, UsageError
from quantbench.study import Scheme
from quantbench.study.calibration import calibrates
from quantbench.study.registry import find_quantizer

from .conftest import described, prompts_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from quantbench.data.prompts import Prompt

MADE = [name for name in BACKEND.schemes.names if name != "gguf_as_shipped"]


def built(
    name: str, float_model: Path, prompts: Sequence[Prompt], folder: Path
) -> tuple[Path, dict[str, Any]]:
    scheme = Scheme.parse(name)
    folder.mkdir(exist_ok=True)
    quantizer = resolve(BACKEND.quantizers[scheme.quantizer])()
    return folder, dict(quantizer.build(float_model, scheme, prompts, folder))


def logprobs(folder: Path, prompts: Sequence[Prompt]) -> Any:
    with closing(LlamaCppRunner(folder, Machine(1))) as runner:
        return np.concatenate([each["logprobs"] for each in runner.predict_all(prompts)])


@pytest.mark.parametrize("name", MADE)
def test_every_scheme_builds_answers_and_says_what_it_stores(
    name: str, gguf: Path, prompts: list[Prompt], tmp_path: Path
) -> None:
    from gguf import GGUFReader

    folder, facts = built(name, gguf, prompts[:20], tmp_path / "built")
    assert np.isfinite(logprobs(folder, prompts)).all()
    tensors = [t for t in GGUFReader(folder / MODEL).tensors if t.name.endswith("weight")]
    weights = [tensor for tensor in tensors if "norm" not in tensor.name]
    bits = 8 * sum(int(t.n_bytes) for t in weights) / sum(int(t.n_elements) for t in weights)
    assert facts["bits_per_weight"] == pytest.approx(bits, abs=1e-3)
    told: Counter[str] = Counter()
    for kinds in facts["stored"].values():
        told.update(kinds)
    assert told == Counter(tensor.tensor_type.name for tensor in weights)


def test_fewer_bits_take_fewer_bytes_and_lose_more(
    gguf: Path, prompts: list[Prompt], tmp_path: Path
) -> None:
    meant = logprobs(gguf, prompts)
    names = ("gguf_f16", "gguf_q8_0", "gguf_q5_0", "gguf_q4_0")
    bits, moved = [], []
    for name in names:
        folder, facts = built(name, gguf, [], tmp_path / name)
        bits.append(facts["bits_per_weight"])
        moved.append(float(np.abs(logprobs(folder, prompts) - meant).mean()))
    assert bits[:2] == [16.0, 8.5]  # below, llama.cpp stores a tied head in more
    assert 4.5 < bits[3] < bits[2] < 6
    assert moved == sorted(moved)
    assert moved[0] < 1e-3 < moved[-1]


def test_rounding_is_ggmls_own_to_the_bit(gguf: Path, tmp_path: Path) -> None:
    """Against the package `gguf`'s arithmetic, which is written in NumPy."""
    from gguf import GGMLQuantizationType, GGUFReader
    from gguf.quants import quantize as by_numpy

    quantize(gguf / MODEL, tmp_path / MODEL, FILE_TYPES["q8_0"])
    name = "blk.1.ffn_down.weight"
    held, made = (
        next(t.data for t in GGUFReader(path / MODEL).tensors if t.name == name)
        for path in (gguf, tmp_path)
    )
    np.testing.assert_array_equal(made, by_numpy(held, GGMLQuantizationType.Q8_0))


def test_importance_is_the_mean_square_of_each_input(
    gguf: Path, tiny_checkpoint: Path, prompts: list[Prompt]
) -> None:
    """Against hooks on transformers' own layers."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_checkpoint, dtype=torch.float32).eval()
    sums: dict[str, Any] = {}
    names = {
        "q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output",
        "gate_proj": "ffn_gate", "up_proj": "ffn_up", "down_proj": "ffn_down",
    }  # fmt: skip
    for path, module in model.named_modules():
        if not isinstance(module, torch.nn.Linear):
            continue
        found = re.search(r"layers\.(\d+)\..*\.(\w+)$", path)
        if not found:  # the head has none, as in llama.cpp's tool
            continue
        name = f"blk.{found[1]}.{names[found[2]]}.weight"

        def keep(_: Any, inputs: Any, __: Any, name: str = name) -> None:
            sums[name] = sums.get(name, 0) + inputs[0].double().square().sum(dim=(0, 1))

        module.register_forward_hook(keep)
    with torch.inference_mode():
        for prompt in prompts[:8]:
            model(input_ids=torch.tensor([prompt.tokens]))
    fed = sum(len(prompt.tokens) for prompt in prompts[:8])
    seen = importance_of(gguf / MODEL, prompts[:8], 2)
    assert seen.keys() == sums.keys()
    for name, values in seen.items():
        np.testing.assert_allclose(values, sums[name].numpy() / fed, rtol=2e-3, atol=1e-6)


def test_importance_moves_error_to_inputs_that_matter_less(gguf: Path, tmp_path: Path) -> None:
    """Half of the inputs count a thousand times: their weights are rounded better than before."""
    from gguf import GGUFReader
    from gguf.quants import dequantize

    def error(folder: Path) -> Any:
        name = "blk.0.ffn_down.weight"  # 256 wide: a block of its own scheme
        read = {
            path: next(t for t in GGUFReader(path / MODEL).tensors if t.name == name)
            for path in (gguf, folder)
        }
        made = dequantize(read[folder].data, read[folder].tensor_type)
        return np.square(made - read[gguf].data).mean(axis=0)

    weighty = np.tile(np.array([1000.0, 1.0], np.float32), 128)
    importance = {f"blk.{i}.ffn_down.weight": weighty for i in range(2)}
    errors = []
    for name, given in (("plain", None), ("weighted", importance)):
        (tmp_path / name).mkdir()
        quantize(gguf / MODEL, tmp_path / name / MODEL, FILE_TYPES["q2_k"], given)
        errors.append(error(tmp_path / name))
    plain, weighted = errors
    assert weighted[::2].mean() < 0.8 * plain[::2].mean()
    assert weighted[1::2].mean() > plain[1::2].mean()


def test_calibrated_schemes_are_those_with_an_importance_matrix() -> None:
    for name in MADE:
        scheme = Scheme.parse(name)
        assert calibrates(find_quantizer(scheme), scheme) is name.endswith("_im")
    assert Scheme.parse("gguf_q4_k_m_im_s3").seed == 3
    with pytest.raises(UsageError, match="a seed changes nothing"):
        Scheme.parse("gguf_q4_k_m_s3")


@pytest.mark.parametrize(
    ("name", "bits"),
    [("gguf_f32", 32), ("gguf_bf16", 16), ("gguf_q8_0", 8), ("gguf_iq4_xs", 4), ("gguf_q2_k", 2)],
)
def test_names_say_their_bits(name: str, bits: int) -> None:
    assert Scheme.parse(name).bits == bits


def test_what_llama_cpp_refuses_without_importance_has_no_name_without_it() -> None:
    with pytest.raises(UsageError, match=r"without an importance matrix[\s\S]*gguf_iq2_xxs_im"):
        Scheme.parse("gguf_iq2_xxs")
    for kind in ROUNDED:
        assert file_type(Scheme.parse(f"gguf_{kind}")) == ROUNDED[kind]


def test_a_quantized_file_is_not_quantized_again(
    gguf: Path, prompts: list[Prompt], tmp_path: Path
) -> None:
    folder, _ = built("gguf_q8_0", gguf, [], tmp_path / "once")
    with pytest.raises(BuildError, match=r"starts from a float model[\s\S]*gguf_as_shipped"):
        built("gguf_q4_0", folder, [], tmp_path / "twice")
    shipped, facts = built("gguf_as_shipped", folder, prompts[:3], tmp_path / "shipped")
    assert facts["stored"]["ffn_down.weight"] == {"Q8_0": 2}
    assert (shipped / MODEL).read_bytes() == (folder / MODEL).read_bytes()


@pytest.mark.parametrize("name", ["gguf_f16", "gguf_bf16"])
def test_float32_is_refused_where_the_file_has_less(name: str, gguf: Path, tmp_path: Path) -> None:
    half, _ = built(name, gguf, [], tmp_path / "half")
    with pytest.raises(BuildError, match=rf"needs weights in float32[\s\S]*take {name} as the"):
        built("gguf_f32", half, [], tmp_path / "whole")


def test_what_llama_cpp_says_is_in_the_error(gguf: Path, tmp_path: Path) -> None:
    with pytest.raises(PredictionError, match="importance matrix"):
        quantize(gguf / MODEL, tmp_path / MODEL, FILE_TYPES["iq1_s"])


@pytest.mark.parametrize("name", ["gguf_q4_0", "gguf_q4_k_m_im"])
def test_a_model_of_which_no_weight_can_be_quantized_is_refused(
    name: str, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    """llama.cpp would leave all rows of 80 and 200 numbers in float16, and call that Q4_0."""
    import shutil

    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=400, hidden_size=80, intermediate_size=200, num_hidden_layers=1,
        num_attention_heads=4, tie_word_embeddings=True, bos_token_id=None, eos_token_id=0,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(tmp_path / "checkpoint")
    for path in tiny_checkpoint.glob("tokenizer*"):
        shutil.copyfile(path, tmp_path / "checkpoint" / path.name)
    (tmp_path / "gguf").mkdir()
    CheckpointImporter().build(described(), tmp_path / "checkpoint", tmp_path / "gguf")
    texts = prompts_of(tmp_path / "checkpoint", ["the dog sat near the old house"] * 10)
    with pytest.raises(BuildError, match=r"quantized no weight[\s\S]*F16"):
        built(name, tmp_path / "gguf", texts, tmp_path / "built")
