"""Tokenizers of files from outside: transformers reads each as llama.cpp does, or it is refused."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from quantbench.backends.llamacpp.files import MODEL
from quantbench.backends.llamacpp.importers import vocabulary
from quantbench.backends.llamacpp.importers.checkpoint import CheckpointImporter
from quantbench.backends.llamacpp.importers.gguf import GGUFImporter
from quantbench.backends.llamacpp.model import Model
from quantbench.errors import BuildError

from .conftest import described

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Path:
    """The tiny checkpoint with a tokenizer whose merges cross every border that rules have."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    folder = tmp_path_factory.mktemp("trained") / "checkpoint"
    shutil.copytree(tiny_checkpoint, folder)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<end>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    texts = ["12345 1990 33", "  two  spaces", "we'll WE'LL don't", "--?! x_1 += 42;", "\n\n\n"]
    tokenizer.train_from_iterator(texts * 50, trainer)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.save(str(folder / "tokenizer.json"))
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"bos_token": "<end>"}))
    return folder


def written(trained: Path, name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a GGUF file of the checkpoint that names these rules."""
    monkeypatch.setattr(vocabulary, "_splitter", lambda *_: name)
    source = folder / "source"
    source.mkdir()
    CheckpointImporter().build(described(), trained, source)
    for path in source.iterdir():
        if path.name != MODEL:
            path.unlink()
    return source


NAMES = ("gpt-2", "phi-2", "smollm", "starcoder", "refact", "command-r", "llama-bpe", "falcon3")


@pytest.mark.parametrize("name", [*NAMES, "lfm2", "qwen2", "deepseek-r1-qwen", "stablelm2"])
def test_a_text_has_the_tokens_that_llama_cpp_reads(
    name: str, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoTokenizer

    source = written(trained, name, tmp_path, monkeypatch)
    folder = tmp_path / "imported"
    folder.mkdir()
    GGUFImporter().build(described(), source, folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with Model(folder / MODEL, vocabulary_only=True) as model:
        assert tokenizer(vocabulary.PROBE)["input_ids"] == model.tokens(vocabulary.PROBE)


def test_rules_differ_in_what_they_make_of_the_text(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the test above could not fail."""
    found = set()
    for name in ("gpt-2", "smollm", "llama-bpe", "qwen2"):
        (tmp_path / name).mkdir()
        source = written(trained, name, tmp_path / name, monkeypatch)
        with Model(source / MODEL, vocabulary_only=True) as model:
            found.add(tuple(model.tokens(vocabulary.PROBE)))
    assert len(found) == 4


def test_rules_without_a_known_name_are_refused(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = written(trained, "tekken", tmp_path, monkeypatch)
    folder = tmp_path / "imported"
    folder.mkdir()
    with pytest.raises(BuildError, match=r"rules that are not known here[\s\S]*tekken"):
        GGUFImporter().build(described(), source, folder)
