"""What tests of llama.cpp stand on: a checkpoint written as GGUF, and prompts in its tokens."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from quantbench.backends.llamacpp.importers.checkpoint import CheckpointImporter
from quantbench.core.requirements import lacking
from quantbench.data.prompts import Prompt
from quantbench.study import Model
from tests.conftest import sentence

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@pytest.fixture(scope="session", autouse=True)
def _llama_cpp() -> None:
    """Skip where the extra is not installed; fail where extras are required."""
    if lacks := lacking("llamacpp"):
        said = f'{"; ".join(lacks)}: pip install "quantbench[llamacpp]"'
        if "extras" in os.environ.get("QUANTBENCH_REQUIRE", ""):
            pytest.fail(said)
        pytest.skip(said)


def described(name: str = "tiny") -> Model:
    """A model whose source the tests bring."""
    return Model(name, "file:x", reference="gguf_f32", schemes=("gguf_f32",), datasets=())


def prompts_of(checkpoint: Path, texts: Sequence[str], targets: int = 2) -> list[Prompt]:
    """Texts in a checkpoint's tokens; the last ones are to be predicted."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    found = []
    for text in texts:
        tokens = tokenizer(text)["input_ids"]
        found.append(Prompt(tuple(tokens), len(tokens) - targets, text))
    return found


@pytest.fixture(scope="session")
def gguf(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory, _llama_cpp: Any) -> Path:
    """The folder of the tiny checkpoint in float32 GGUF."""
    folder = tmp_path_factory.mktemp("gguf")
    CheckpointImporter().build(described(), tiny_checkpoint, folder)
    return folder


@pytest.fixture(scope="session")
def prompts(tiny_checkpoint: Path) -> list[Prompt]:
    """Forty sentences of 4 to 43 words, "home again" to be predicted in some."""
    texts = [sentence(i, 4 + i) + " home again" for i in range(40)]
    return prompts_of(tiny_checkpoint, texts)
