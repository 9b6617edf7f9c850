"""Checkpoints written as GGUF answer as transformers does, family by family."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from quantbench.backends.llamacpp.files import MODEL
from quantbench.backends.llamacpp.importers.architectures import rope_factors
from quantbench.backends.llamacpp.importers.checkpoint import CheckpointImporter
from quantbench.backends.llamacpp.model import Model
from quantbench.backends.llamacpp.runner import LlamaCppRunner
from quantbench.core.settings import Machine
from quantbench.errors import BuildError
from quantbench.formats.gguf_header import read_header
from tests.conftest import sentence

from .conftest import described, prompts_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SMALL = {
    "vocab_size": 400,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "bos_token_id": None,
    "eos_token_id": 0,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 5e5,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 1e4,
    "factor": 4.0,
    "original_max_position_embeddings": 64,
}
LINEAR = {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0}


def llama(**more: Any) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(LlamaConfig(**SMALL | more))


def qwen2(**more: Any) -> Any:
    from transformers import Qwen2Config, Qwen2ForCausalLM

    return biased(Qwen2ForCausalLM(Qwen2Config(**SMALL | more)))


def biased(model: Any) -> Any:
    """Biases begin at zero."""
    for name, values in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(values, std=0.5)
    return model


def qwen3(**more: Any) -> Any:
    from transformers import Qwen3Config, Qwen3ForCausalLM

    model = Qwen3ForCausalLM(Qwen3Config(**SMALL | more))
    for name, values in model.named_parameters():
        if "_norm" in name:
            torch.nn.init.uniform_(values, 0.5, 1.5)
    return model


def mistral(**more: Any) -> Any:
    from transformers import MistralConfig, MistralForCausalLM

    return MistralForCausalLM(MistralConfig(**SMALL | {"sliding_window": None} | more))


FAMILIES: dict[str, Callable[[], Any]] = {
    "llama, tied": lambda: llama(tie_word_embeddings=True),
    "llama, own head": lambda: llama(tie_word_embeddings=False),
    "llama, every head its keys": lambda: llama(num_key_value_heads=4),
    "llama, wide heads": lambda: llama(head_dim=32),
    "llama 3 positions": lambda: llama(rope_parameters=LLAMA3, max_position_embeddings=512),
    "llama, biases": lambda: biased(llama(attention_bias=True)),
    "llama, YaRN positions": lambda: llama(rope_parameters=YARN, max_position_embeddings=256),
    "llama, linear positions": lambda: llama(rope_parameters=LINEAR),
    "llama in bfloat16": lambda: llama().bfloat16(),
    "mistral": mistral,
    "qwen2, biases": qwen2,
    "qwen3, normed heads": lambda: qwen3(head_dim=16),
}


def saved(model: Any, tokenizer: Path, folder: Path) -> Path:
    """A checkpoint of these weights, large enough to tell answers apart."""
    with torch.no_grad():
        for values in model.parameters():
            if values.ndim > 1:
                values.mul_(8)
    model.save_pretrained(folder)
    for path in tokenizer.glob("tokenizer*"):
        shutil.copyfile(path, folder / path.name)
    return folder


@pytest.mark.parametrize("family", FAMILIES)
def test_answers_are_those_of_transformers(
    family: str, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    checkpoint = saved(FAMILIES[family](), tiny_checkpoint, tmp_path / "checkpoint")
    folder = tmp_path / "gguf"
    folder.mkdir()
    importer = CheckpointImporter()
    importer.build(described(), checkpoint, folder)
    prompts = prompts_of(checkpoint, [sentence(i, 30 + i) for i in range(6)], targets=12)
    meant = [np.array(each["logprobs"]) for each in importer.answers(checkpoint, prompts)]
    with closing(LlamaCppRunner(folder, Machine(1))) as runner:
        said = [np.array(each["logprobs"]) for each in runner.predict_all(prompts)]
    assert np.std(np.concatenate(meant)) > 0.5  # answers differ, so that a wrong one shows
    assert max(np.abs(a - b).max() for a, b in zip(said, meant, strict=True)) < 5e-5


def test_the_published_factors_of_llama_3_are_written() -> None:
    """By hand, from the frequencies' wavelengths: kept, blended, or divided."""
    config = llama(rope_parameters=LLAMA3, head_dim=16).config
    factors = rope_factors(config)
    assert factors is not None
    for place, factor in enumerate(factors.tolist()):
        wave = 2 * np.pi * 5e5 ** (2 * place / 16)
        blend = (64 / wave - 1) / (4 - 1)
        meant = 1.0 if wave < 64 / 4 else 8.0 if wave > 64 / 1 else 1 / ((1 - blend) / 8 + blend)
        assert factor == pytest.approx(meant, rel=1e-5)


def test_every_weight_is_kept_to_the_bit(gguf: Path, tiny_checkpoint: Path) -> None:
    from gguf import GGUFReader
    from safetensors.numpy import load_file

    written = {tensor.name: tensor.data for tensor in GGUFReader(gguf / MODEL).tensors}
    held = load_file(tiny_checkpoint / "model.safetensors")
    np.testing.assert_array_equal(written["token_embd.weight"], held["model.embed_tokens.weight"])
    down = "model.layers.1.mlp.down_proj.weight"
    np.testing.assert_array_equal(written["blk.1.ffn_down.weight"], held[down])
    total = sum(values.size for name, values in held.items() if name != "lm_head.weight")
    assert sum(values.size for values in written.values()) == total


def test_context_and_tokenizer_are_told(gguf: Path) -> None:
    values = read_header(gguf / MODEL).values
    assert values["llama.context_length"] == 2048
    assert values["tokenizer.ggml.eos_token_id"] == 0
    assert values["tokenizer.ggml.add_bos_token"] is False
    assert (gguf / "tokenizer.json").is_file()


@pytest.mark.parametrize("splitter", ["gpt-2", "smollm"])
def test_splitting_rules_are_found_by_what_they_do(
    splitter: str, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    from tokenizers import Tokenizer, pre_tokenizers

    checkpoint = tmp_path / "checkpoint"
    shutil.copytree(tiny_checkpoint, checkpoint)
    if splitter == "smollm":
        tokenizer = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), tokenizer.pre_tokenizer]
        )
        tokenizer.save(str(checkpoint / "tokenizer.json"))
        # So that rules show: a token of two digits, which only they keep apart.
        whole = json.loads((checkpoint / "tokenizer.json").read_text())
        whole["model"]["vocab"]["12"] = 399
        whole["model"]["vocab"] = {
            text: number
            for text, number in whole["model"]["vocab"].items()
            if number != 399 or text == "12"
        }
        whole["model"]["merges"] = [["1", "2"]] + [
            pair for pair in whole["model"]["merges"] if "".join(pair) in whole["model"]["vocab"]
        ]
        (checkpoint / "tokenizer.json").write_text(json.dumps(whole))
    folder = tmp_path / "gguf"
    folder.mkdir()
    CheckpointImporter().build(described(), checkpoint, folder)
    assert read_header(folder / MODEL).values["tokenizer.ggml.pre"] == splitter
    with Model(folder / MODEL, vocabulary_only=True) as model:
        (prompt,) = prompts_of(checkpoint, ["the house of 1213 cats"])
        assert model.tokens(prompt.text) == list(prompt.tokens)


def test_a_start_of_text_is_added_where_the_tokenizer_adds_one(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    from tokenizers import Tokenizer, processors

    checkpoint = tmp_path / "checkpoint"
    shutil.copytree(tiny_checkpoint, checkpoint)
    tokenizer = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<end> $A", special_tokens=[("<end>", 0)]
    )
    tokenizer.save(str(checkpoint / "tokenizer.json"))
    told = json.loads((checkpoint / "tokenizer_config.json").read_text())
    (checkpoint / "tokenizer_config.json").write_text(json.dumps(told | {"bos_token": "<end>"}))
    folder = tmp_path / "gguf"
    folder.mkdir()
    CheckpointImporter().build(described(), checkpoint, folder)
    (prompt,) = prompts_of(checkpoint, ["the dog sat"])
    assert prompt.tokens[0] == 0
    with Model(folder / MODEL, vocabulary_only=True) as model:
        assert model.tokens("the dog sat") == list(prompt.tokens)


def changed(tiny_checkpoint: Path, tmp_path: Path, **config: Any) -> Path:
    folder = tmp_path / "changed"
    shutil.copytree(tiny_checkpoint, folder)
    told = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(told | config))
    return folder


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"architectures": ["GPT2LMHeadModel"]}, "no way from this architecture"),
        ({"mlp_bias": True}, "biases of the feed-forward part"),
        (
            {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}},
            "scaled positions 'dynamic'",
        ),
        ({"hidden_act": "gelu"}, "activation 'gelu'"),
        (
            {"rope_parameters": YARN | {"beta_fast": 64.0, "attention_factor": 1.0}},
            "positions with attention_factor, beta_fast",
        ),
        ({"num_hidden_layers": 3}, r"lacks weights of its model[\s\S]*model\.layers\.2\."),
        ({"tie_word_embeddings": False}, r"lacks weights of its model[\s\S]*lm_head"),
        ({"num_hidden_layers": 1}, "no name in GGUF"),
        ({"vocab_size": 300}, "more tokens than the model"),
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, "quantized weights"),
    ],
    ids=[
        "architecture",
        "biases",
        "positions",
        "activation",
        "YaRN",
        "more layers",
        "head",
        "layers",
        "vocabulary",
        "quantized",
    ],
)
def test_what_cannot_be_written_is_refused(
    config: dict[str, Any], said: str, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "gguf"
    folder.mkdir()
    with pytest.raises(BuildError, match=said):
        CheckpointImporter().build(
            described(), changed(tiny_checkpoint, tmp_path, **config), folder
        )


def test_weights_that_are_there_twice_are_read_once(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """Mistral's publisher puts its own names beside transformers'."""
    from safetensors.torch import load_file, save_file

    checkpoint = changed(tiny_checkpoint, tmp_path)
    tensors = load_file(checkpoint / "model.safetensors")
    own = {"layers.0.attention.wq.weight": tensors["model.layers.0.self_attn.q_proj.weight"] * 2}
    save_file(own, checkpoint / "consolidated.safetensors")
    for name in ("whole", "sharded"):
        folder = tmp_path / name
        folder.mkdir()
        CheckpointImporter().build(described(), checkpoint, folder)
        (checkpoint / "model.safetensors").unlink(missing_ok=True)
        half = len(tensors) // 2
        for i, part in enumerate((list(tensors)[:half], list(tensors)[half:]), start=1):
            path = checkpoint / f"model-0000{i}-of-00002.safetensors"
            save_file({key: tensors[key] for key in part}, path, metadata={"format": "pt"})
    assert (tmp_path / "whole" / MODEL).read_bytes() == (tmp_path / "sharded" / MODEL).read_bytes()


def test_weights_that_are_not_finite_are_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    checkpoint = changed(tiny_checkpoint, tmp_path)
    tensors = load_file(checkpoint / "model.safetensors")
    tensors["model.norm.weight"][3] = float("nan")
    save_file(tensors, checkpoint / "model.safetensors", metadata={"format": "pt"})
    folder = tmp_path / "gguf"
    folder.mkdir()
    with pytest.raises(BuildError, match=r"NaN or infinite"):
        CheckpointImporter().build(described(), checkpoint, folder)


def test_a_checkpoint_without_weights_is_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    checkpoint = changed(tiny_checkpoint, tmp_path)
    (checkpoint / "model.safetensors").unlink()
    folder = tmp_path / "gguf"
    folder.mkdir()
    with pytest.raises(BuildError, match="no weights"):
        CheckpointImporter().build(described(), checkpoint, folder)
