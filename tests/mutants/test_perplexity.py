"""Mistakes in cutting a text into windows: the float model's anchor must be missed.

The anchor is worked out here, by transformers alone, in float32.
"""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from quantbench import Anchor, Documents, Model, cases
from quantbench.core.settings import Settings
from quantbench.errors import AnchorError
from quantbench.run.session import Session
from quantbench.tasks.perplexity import windows as cutting
from quantbench.tasks.perplexity.task import Perplexity
from tests.conftest import sentence

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

N, CONTEXT = 24, 32
TEXTS = [sentence(i, 40) for i in range(40)]


@pytest.fixture(scope="module")
def known_score(tiny_checkpoint: Path) -> float:
    """Mean log-probability of a scored token, in nats."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    ids = AutoTokenizer.from_pretrained(tiny_checkpoint)("\n\n".join(TEXTS))["input_ids"]
    model = AutoModelForCausalLM.from_pretrained(tiny_checkpoint, dtype=torch.float32)
    total = 0.0
    for begin in range(0, N * CONTEXT, CONTEXT):
        tokens = torch.tensor([ids[begin : begin + CONTEXT]])
        labels = tokens.clone()
        labels[:, : CONTEXT // 2 + 1] = -100
        with torch.inference_mode():
            total -= float(model(tokens, labels=labels).loss)
    return total / N


def study(tmp_path: Path, checkpoint: Path, score: float) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(f"{json.dumps({'text': text})}\n" for text in TEXTS))
    described = Model(
        name="tiny",
        source=f"file:{checkpoint}",
        reference="reference_float32",
        schemes=("reference_float32",),
        datasets=(Documents("mine", f"file:{path}", context=CONTEXT, default_n=N),),
        anchors=(Anchor("logprob", score, 1e-4, "mine", N, "transformers"),),
    )
    with closing(Session(Settings(cache=tmp_path / "cache"))) as bench:
        bench.reference(cases(described)[0])


def test_without_a_mistake_the_anchor_holds(
    tmp_path: Path, tiny_checkpoint: Path, known_score: float
) -> None:
    study(tmp_path, tiny_checkpoint, known_score)


def one_token_late(window: Any) -> Any:
    return replace(window, target_start=window.target_start + 1)


def one_token_early(window: Any) -> Any:
    return replace(window, target_start=window.target_start - 1)


def all_of_it_scored(window: Any) -> Any:
    return replace(window, target_start=1)


def without_its_context(window: Any) -> Any:
    """Scored tokens alone, as a cache that is cleared too soon has it."""
    return replace(window, tokens=window.tokens[window.target_start - 1 :], target_start=1)


def special_token_in_front(window: Any) -> Any:
    """Of a tokenizer that adds none."""
    return replace(window, tokens=(0, *window.tokens[1:]))


@pytest.mark.parametrize(
    "wrong",
    [
        one_token_late,
        one_token_early,
        all_of_it_scored,
        without_its_context,
        special_token_in_front,
    ],
)
def test_a_window_taken_wrongly_misses_it(
    wrong: Callable[[Any], Any],
    tmp_path: Path,
    tiny_checkpoint: Path,
    known_score: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    right = Perplexity.divided

    def divided(self: Perplexity, samples: Any, n: int | None) -> Any:
        return [wrong(window) for window in right(self, samples, n)]

    monkeypatch.setattr(Perplexity, "divided", divided)
    with pytest.raises(AnchorError, match="does not reproduce its known score"):
        study(tmp_path, tiny_checkpoint, known_score)


def test_texts_run_together_miss_it(
    tmp_path: Path, tiny_checkpoint: Path, known_score: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = cutting.in_a_row

    def wrong(documents: Any) -> Any:
        whole, starts = right(documents)
        return whole.replace("\n\n", " "), [start - i for i, start in enumerate(starts)]

    monkeypatch.setattr(cutting, "in_a_row", wrong)
    with pytest.raises(AnchorError, match="does not reproduce"):
        study(tmp_path, tiny_checkpoint, known_score)


def test_documents_tokenized_one_by_one_miss_it(
    tmp_path: Path, tiny_checkpoint: Path, known_score: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies behind the last full window of each text is never scored."""
    right = Perplexity.divided

    def divided(self: Perplexity, samples: Any, n: int | None) -> Any:
        found = [window for each in samples for window in right(self, [each], None)]
        return [replace(window, id=f"mine-{i:05d}") for i, window in enumerate(found)][:n]

    monkeypatch.setattr(Perplexity, "divided", divided)
    with pytest.raises(AnchorError, match="does not reproduce"):
        study(tmp_path, tiny_checkpoint, known_score)
