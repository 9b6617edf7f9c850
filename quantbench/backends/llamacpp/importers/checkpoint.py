"""From a Hugging Face checkpoint to a GGUF file in float32."""

from __future__ import annotations

import logging
import shutil
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.backends.llamacpp.files import MODEL
from quantbench.backends.llamacpp.importers.architectures import (
    family_of,
    reordered,
    rope_factors,
    write_keys,
)
from quantbench.backends.llamacpp.importers.vocabulary import write_tokenizer
from quantbench.backends.llamacpp.scoring import answer
from quantbench.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from torch import Tensor

    from quantbench.backends.llamacpp.importers.architectures import Family
    from quantbench.backends.llamacpp.scoring import Answer
    from quantbench.data.prompts import Prompt
    from quantbench.study import Model

_KEPT = ("config.json", "tokenizer*", "special_tokens_map.json", "vocab.json", "merges.txt")
_DROPPED = ("rotary_emb.inv_freq", "attn.bias", "masked_bias")  # buffers of old checkpoints


class CheckpointImporter:
    """A checkpoint of the Llama or Qwen family becomes a GGUF file in float32: nothing is lost."""

    tools = ("gguf", "llama-cpp-python", "safetensors", "torch", "transformers")
    version = 1
    compared = ("logprobs",)  # what else is answered turns over at the smallest difference

    def build(self, model: Model, source: Path, folder: Path) -> None:
        """Write `model.gguf`, with configuration and tokenizer beside it.

        Raises:
            BuildError: the architecture or the tokenizer has no way to GGUF here, or weights are
                missing, quantized or not finite.
        """
        from gguf import GGUFWriter
        from transformers import AutoConfig, AutoTokenizer

        logging.getLogger("gguf").setLevel(logging.ERROR)
        config = AutoConfig.from_pretrained(source, trust_remote_code=False)
        family = family_of(config)
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
        writer = GGUFWriter(folder / MODEL, family.architecture)
        writer.add_name(model.name)
        writer.add_file_type(0)
        write_keys(writer, config)
        write_tokenizer(writer, source, tokenizer, config.vocab_size)
        _write_tensors(writer, source, family, config)
        for pattern in _KEPT:
            for path in source.glob(pattern):
                shutil.copyfile(path, folder / path.name)

    def answers(self, source: Path, samples: Sequence[Prompt]) -> Iterator[Answer]:
        """What transformers in float32 answers to each prompt, as `scoring.score`."""
        import torch
        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained(
            source, dtype=torch.float32, use_safetensors=True, trust_remote_code=False
        )
        model.eval()
        for prompt in samples:
            with torch.inference_mode():
                logits = model(input_ids=torch.tensor([prompt.tokens])).logits[0]
            before = logits[prompt.target_start - 1 : -1].numpy()
            yield answer(before, prompt.tokens[prompt.target_start :])


def _write_tensors(writer: Any, source: Path, family: Family, config: Any) -> None:
    """One tensor in memory at a time: the file may be larger than it."""
    names = _names(source, family, config)
    with closing(writer):
        factors = rope_factors(config)
        if factors is not None:
            writer.add_tensor_info(
                "rope_freqs.weight", factors.shape, np.dtype("f4"), 4 * len(factors)
            )
        for name, shape, _ in names.values():
            writer.add_tensor_info(name, shape, np.dtype("f4"), int(4 * np.prod(shape)))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        if factors is not None:
            writer.write_tensor_data(factors.numpy())
        for original, (_, _, path) in names.items():
            weight = reordered(original, _read(path, original), family, config)
            writer.write_tensor_data(np.ascontiguousarray(weight.numpy()))


def _names(
    source: Path, family: Family, config: Any
) -> dict[str, tuple[str, tuple[int, ...], Path]]:
    """Name in GGUF, shape and file of each of a checkpoint's tensors.

    Raises:
        BuildError: GGUF has no name for one, there are none, or the model has more.
    """
    from gguf import MODEL_ARCH, MODEL_ARCH_NAMES, get_tensor_name_map
    from safetensors import safe_open

    kinds = {name: number for number, name in MODEL_ARCH_NAMES.items()}
    architecture: MODEL_ARCH = kinds[family.architecture]
    known = get_tensor_name_map(architecture, config.num_hidden_layers)
    found: dict[str, tuple[str, tuple[int, ...], Path]] = {}
    for path in _weight_files(source):
        with safe_open(path, framework="pt") as tensors:
            for original in sorted(tensors.keys()):
                if original.endswith(_DROPPED):
                    continue
                if original == "lm_head.weight" and config.tie_word_embeddings:
                    continue
                name = known.get_name(original, try_suffixes=(".weight", ".bias"))
                if name is None:
                    raise BuildError(
                        "a tensor of the checkpoint has no name in GGUF",
                        where=f"{path.name}, {original}",
                        expected=f"tensors of {family.architecture}",
                        remedy="the checkpoint is quantized, or has parts that llama.cpp lacks",
                    )
                found[original] = name, tuple(tensors.get_slice(original).get_shape()), path
    if not found:
        raise BuildError(
            "the checkpoint has no weights",
            where=source,
            expected="*.safetensors",
            got=sorted(path.name for path in source.iterdir()),
        )
    if missing := sorted(_meant(config) - found.keys()):
        raise BuildError(
            "the checkpoint lacks weights of its model",
            where=source,
            got=f"no {', '.join(missing[:5])}{', ...' if missing[5:] else ''}",
            remedy="fetch it again: files may be missing",
        )
    return found


def _weight_files(source: Path) -> list[Path]:
    """Those that transformers reads: some publishers put the same weights there twice."""
    whole = source / "model.safetensors"
    if whole.is_file():
        return [whole]
    parts = sorted(source.glob("model-*-of-*.safetensors"))
    return parts or sorted(source.glob("*.safetensors"))


def _meant(config: Any) -> set[str]:
    """Names of the tensors that transformers' model of this configuration has."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):  # nothing is allocated
        names = set(AutoModelForCausalLM.from_config(config).state_dict())
    return names - {"lm_head.weight"} if config.tie_word_embeddings else names


def _read(path: Path, name: str) -> Tensor:
    """A tensor in float32.

    Raises:
        BuildError: it is stored in integers, or not finite.
    """
    from safetensors import safe_open

    with safe_open(path, framework="pt") as tensors:
        weight: Tensor = tensors.get_tensor(name)
    if not weight.is_floating_point():
        raise BuildError(
            "a weight is stored in integers",
            where=f"{path.name}, {name}",
            got=str(weight.dtype),
            remedy="start from the float checkpoint",
        )
    whole = weight.float()
    if not whole.isfinite().all():
        raise BuildError("a weight is NaN or infinite", where=f"{path.name}, {name}")
    return whole
