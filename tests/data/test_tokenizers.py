"""No passage is longer than what the model was made for."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from quantbench.catalog.models import find_model
from quantbench.data.samples import Passage
from quantbench.errors import DataError
from quantbench.tasks.last_word.task import LastWord

if TYPE_CHECKING:
    from pathlib import Path


def task(checkpoint: Path, folder: Path, tokenizer: int | None = None, **config: Any) -> LastWord:
    """The task beside a configuration of these fields, and a tokenizer that says this limit."""
    shutil.copytree(checkpoint, folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", **config}))
    path = folder / "tokenizer_config.json"
    described = json.loads(path.read_text())
    described.pop("model_max_length", None)
    described |= {} if tokenizer is None else {"model_max_length": tokenizer}
    path.write_text(json.dumps(described))
    return LastWord(find_model("smollm2_135m_instruct"), folder)


def passage(tokens: int) -> Passage:
    """Of bytes that are a token each."""
    return Passage("mine-00007", "#" * (tokens - 2) + " @")


@pytest.mark.parametrize(
    ("config", "tokenizer", "limit"),
    [
        ({"max_position_embeddings": 50}, None, 50),
        ({"n_positions": 40}, None, 40),
        ({"text_config": {"max_position_embeddings": 45}}, None, 45),
        ({"max_position_embeddings": 50}, 30, 50),
        ({}, 30, 30),
        ({}, None, 32_768),
    ],
    ids=str,
)
def test_a_passage_longer_than_the_context_is_refused(
    tiny_checkpoint: Path,
    tmp_path: Path,
    config: dict[str, Any],
    tokenizer: int | None,
    limit: int,
) -> None:
    made = task(tiny_checkpoint, tmp_path / "checkpoint", tokenizer, **config)
    assert len(made.prepare(passage(limit)).tokens) == limit
    with pytest.raises(DataError, match="longer than the model's context") as caught:
        made.prepare(passage(limit + 1))
    for said in ("mine-00007", f"at most {limit:,} tokens", f"{limit + 1:,} tokens"):
        assert said in str(caught.value)
