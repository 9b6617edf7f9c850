"""A tokenizer that begins every text with a token of its own, and documents of known words."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from quantbench.data.documents import Cut, Document
from tests.conftest import sentence

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="session")
def checkpoint_with_bos(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny checkpoint, its tokenizer with a template as Llama's has."""
    from tokenizers import Tokenizer
    from tokenizers.processors import TemplateProcessing

    folder = tmp_path_factory.mktemp("with_bos") / "checkpoint"
    shutil.copytree(tiny_checkpoint, folder)
    path = str(folder / "tokenizer.json")
    tokenizer = Tokenizer.from_file(path)
    tokenizer.post_processor = TemplateProcessing(
        single="<end> $A", special_tokens=[("<end>", tokenizer.token_to_id("<end>"))]
    )
    tokenizer.save(path)
    return folder


@pytest.fixture
def documents() -> Callable[..., list[Document]]:
    """So many documents of so many words each, to be cut as one says."""

    def made(n: int, words: int, context: int, stride: int, scored: int) -> list[Document]:
        cut = Cut("mine", context, stride, scored)
        return [Document(f"d{i}", sentence(i, words), cut, f"d{i}") for i in range(n)]

    return made
