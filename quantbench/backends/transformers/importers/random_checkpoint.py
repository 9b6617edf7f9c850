"""From the name of an architecture to a Hugging Face checkpoint with random weights."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from quantbench.backends.transformers.architectures import ARCHITECTURES
from quantbench.errors import BuildError
from quantbench.sources.random_weights import RandomWeights

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from quantbench.backends.transformers.architectures import Llama
    from quantbench.study import Model

_FIRST_BYTE = 3  # ids before it are those of special tokens in some vocabularies
_INDEX = "model.safetensors.index.json"


class RandomCheckpointImporter:
    """A checkpoint in bfloat16 as transformers would have initialised it, and a tokenizer of bytes.

    The model is made part by part (the embedding, each layer, the head), each a file: memory holds
    one of them. The tokenizer knows the 256 bytes alone; the embedding has all its published rows,
    so sizes are the model's own, and a text has about four times as many tokens as it would have.
    """

    tools = ("safetensors", "tokenizers", "torch", "transformers")
    version = 1

    def build(self, model: Model, source: Path, folder: Path) -> None:
        """Write `config.json`, tokenizer, and weights that the seed alone decides.

        Raises:
            BuildError: no such architecture, or transformers' has not as many weights as were
                published.
        """
        del model
        wanted = RandomWeights.read(source)
        write_checkpoint(wanted.known(ARCHITECTURES), wanted.seed, folder)


def write_checkpoint(shape: Llama, seed: int, folder: Path) -> None:
    """Write a checkpoint of this shape.

    Raises:
        BuildError: transformers' model has not as many weights as the shape says.
    """
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    config = LlamaConfig(**shape.config(), architectures=["LlamaForCausalLM"])
    with torch.device("meta"):  # nothing is allocated
        made = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    if made.num_parameters() != shape.parameters:
        raise BuildError(
            "the architecture has not as many weights as were published",
            expected=f"{shape.parameters:,}",
            got=f"{made.num_parameters():,}",
            remedy="report it: the hyper-parameters here are wrong, or transformers changed",
        )
    _write_weights(made, seed, folder)
    config.dtype = "bfloat16"
    config.save_pretrained(folder)
    tokenizer_of(shape).save_pretrained(folder)


def _write_weights(made: Any, seed: int, folder: Path) -> None:
    """A file for each part of the model, with the index that says where a tensor is."""
    import torch
    from safetensors.torch import save_file

    parts = list(_parts(made))
    places: dict[str, str] = {}
    size = 0
    with torch.random.fork_rng(devices=[]):
        for number, (name, module) in enumerate(parts, start=1):
            # Each part has a seed of its own: one layer can be made without those before it.
            torch.manual_seed(seed * 1_000_003 + number)
            module.to_empty(device="cpu")
            for each in module.modules():
                made._init_weights(each)  # noqa: SLF001 - how transformers initialises a part
            tensors = {f"{name}.{key}": value for key, value in module.state_dict().items()}
            file = f"model-{number:05d}-of-{len(parts):05d}.safetensors"
            save_file(tensors, folder / file, {"format": "pt"})
            places |= dict.fromkeys(tensors, file)
            size += sum(tensor.nbytes for tensor in tensors.values())
            module.to(device="meta")
    index = {"metadata": {"total_size": size}, "weight_map": places}
    (folder / _INDEX).write_text(json.dumps(index, indent=1, sort_keys=True) + "\n")


def _parts(made: Any) -> Iterator[tuple[str, Any]]:
    """The model's modules that are made one at a time, by their names in a checkpoint."""
    yield "model.embed_tokens", made.model.embed_tokens
    for number, layer in enumerate(made.model.layers):
        yield f"model.layers.{number}", layer
    yield "model.norm", made.model.norm
    if not made.config.tie_word_embeddings:
        yield "lm_head", made.lm_head


def tokenizer_of(shape: Llama) -> Any:
    """Bytes and the special tokens; the one merge is there because llama.cpp wants some."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    known = {letter: _FIRST_BYTE + place for place, letter in enumerate(letters)}
    known["ĠĠ"] = _FIRST_BYTE + len(letters)
    special = {"<s>": shape.bos, "</s>": shape.eos}
    if shape.bos == shape.eos:
        special = {"<|endoftext|>": shape.eos}
    tokenizer = Tokenizer(models.BPE(vocab=known | special, merges=[("Ġ", "Ġ")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(special))
    first, last = next(iter(special)), list(special)[-1]
    if shape.adds_bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{first} $A", special_tokens=[(first, shape.bos)]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=first,
        eos_token=last,
        model_max_length=shape.context,
    )
