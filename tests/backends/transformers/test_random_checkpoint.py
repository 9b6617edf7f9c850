"""Checkpoints with random weights: published sizes, a seed, transformers' own classes."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from quantbench.backends.transformers.architectures import ARCHITECTURES
from quantbench.backends.transformers.importers.random_checkpoint import RandomCheckpointImporter
from quantbench.catalog.language_models import LANGUAGE_MODELS
from quantbench.catalog.models import find_model
from quantbench.errors import BuildError
from quantbench.sources.random_weights import RandomWeights

if TYPE_CHECKING:
    from pathlib import Path

# As their authors' model cards and checkpoints' indices give them.
PUBLISHED = {
    "llama_3.2_3b": 3_212_749_824,
    "llama_2_7b": 6_738_415_616,
    "smollm_135m": 134_515_008,
    "smollm2_135m": 134_515_008,
}


def made(folder: Path, seed: int = 0, architecture: str = "smollm_tiny") -> Path:
    source, into = folder / "source", folder / "made"
    source.mkdir(parents=True)
    into.mkdir()
    RandomWeights(architecture, seed).fetch(source)
    RandomCheckpointImporter().build(find_model("smollm_135m"), source, into)
    return into


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_number_of_weights_by_their_own_sizes(name: str) -> None:
    """Counted by hand: nothing of transformers', which the importer asks."""
    shape = ARCHITECTURES[name]
    head = shape.hidden // shape.heads
    attention = 2 * shape.hidden * head * (shape.heads + shape.kv_heads)
    block = attention + 3 * shape.hidden * shape.intermediate + 2 * shape.hidden
    embeddings = (1 if shape.tied else 2) * shape.vocabulary * shape.hidden
    counted = shape.layers * block + embeddings + shape.hidden
    assert counted == shape.parameters == PUBLISHED[name]


def test_the_catalog_names_architectures_that_are_known() -> None:
    named = {model.architecture for model in LANGUAGE_MODELS if model.architecture}
    assert named == set(PUBLISHED)


def test_transformers_takes_all_of_it_and_nothing_is_missing(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    folder = made(tmp_path)
    model, said = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not said["missing_keys"]
    assert not said["unexpected_keys"]
    assert model.dtype == torch.bfloat16
    assert model.num_parameters() == ARCHITECTURES["smollm_tiny"].parameters
    drawn = model.model.layers[0].mlp.up_proj.weight.detach().float()
    assert float(drawn.std()) == pytest.approx(model.config.initializer_range, rel=0.05)
    assert abs(float(drawn.mean())) < 1e-3
    assert bool((model.model.norm.weight == 1).all())
    first, second = (layer.mlp.up_proj.weight for layer in model.model.layers)
    assert not torch.equal(first, second)


def test_the_seed_alone_decides_the_weights(tmp_path: Path) -> None:
    first = digests(made(tmp_path / "a"))
    assert digests(made(tmp_path / "b")) == first
    other = digests(made(tmp_path / "c", seed=1))
    changed = {name for name in first if other[name] != first[name]}
    assert changed == {f"model-0000{part}-of-00004.safetensors" for part in (1, 2, 3)}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_texts_become_bytes_and_come_back(tmp_path: Path, name: str) -> None:
    from transformers import AutoTokenizer

    from quantbench.backends.transformers.importers.random_checkpoint import tokenizer_of

    shape = ARCHITECTURES[name]
    tokenizer_of(shape).save_pretrained(tmp_path)
    read = AutoTokenizer.from_pretrained(tmp_path)
    text = "It was  late;\n\nhe said: naïve 日本 🙂"
    tokens = read(text)["input_ids"]
    assert (tokens[0] == shape.bos) is shape.adds_bos
    assert read.decode(tokens, skip_special_tokens=True) == text
    assert len(tokens) == len(text.encode()) + shape.adds_bos
    assert max(read.get_vocab().values()) < shape.vocabulary
    assert (read.bos_token_id, read.eos_token_id) == (shape.bos, shape.eos)
    assert read.model_max_length == shape.context


def test_sizes_that_are_not_the_published_ones_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    tiny = ARCHITECTURES["smollm_tiny"]
    monkeypatch.setitem(ARCHITECTURES, "smollm_tiny", replace(tiny, intermediate=191))
    with pytest.raises(BuildError, match=r"(?s)not as many weights as were published.*123,200"):
        made(tmp_path)


def test_an_architecture_of_another_importer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"(?s)unknown architecture 'gpt_5'.*llama_2_7b"):
        made(tmp_path, architecture="gpt_5")
