"""Where the target begins, and what counts as predicting it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from quantbench.catalog.models import find_model
from quantbench.catalog.samples import Passage
from quantbench.errors import DataError, PredictionError
from quantbench.tasks.last_word import LastWord

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def task(tiny_checkpoint: Path) -> LastWord:
    return LastWord(find_model("smollm2_135m_instruct"), tiny_checkpoint)


def target(task: LastWord, checkpoint: Path, text: str) -> str:
    from transformers import AutoTokenizer

    prompt = task.prepare(Passage("p", text))
    decoded: str = AutoTokenizer.from_pretrained(checkpoint).decode(
        list(prompt.tokens[prompt.target_start :])
    )
    return decoded


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the dog ran home", " home"),
        ("the dog ran home  \n", " home"),
        ("the old house by the Zambezi", " Zambezi"),  # a word of many tokens
        ("she said: no, the cat's", " cat's"),
        ("über alles die Straße", " Straße"),  # bytes and characters differ
        ("a b", " b"),
    ],
)
def test_the_target_is_the_last_word_with_its_space(
    task: LastWord, tiny_checkpoint: Path, text: str, expected: str
) -> None:
    """Mistakes 1 and 2 of the published study: the last character; no leading space."""
    assert target(task, tiny_checkpoint, text) == expected


def test_context_and_target_are_tokenized_jointly(task: LastWord, tiny_checkpoint: Path) -> None:
    from transformers import AutoTokenizer

    text = "the small bird sang over the river"
    prompt = task.prepare(Passage("p", text))
    assert list(prompt.tokens) == AutoTokenizer.from_pretrained(tiny_checkpoint)(text)["input_ids"]


@pytest.mark.parametrize("text", ["alone", "", "   ", " alone"])
def test_a_passage_of_one_word_is_refused(task: LastWord, text: str) -> None:
    with pytest.raises(DataError, match="context and a last word"):
        task.prepare(Passage("passage-7", text))


def test_nan_logits_are_an_error(task: LastWord) -> None:
    with pytest.raises(PredictionError, match="NaN or infinity"):
        task.evidence(Passage("p", "a b"), {"logprobs": [float("nan")], "ranks": [0]})


def test_every_token_of_the_word_must_be_the_greedy_choice(task: LastWord) -> None:
    passage = Passage("p", "a b")
    rows = [
        task.evidence(passage, {"logprobs": [-0.1, -0.1], "ranks": ranks})
        for ranks in ([0, 0], [0, 1], [1, 0])
    ]
    summed = task.summarise(rows, np.eye(3))
    assert list(summed["accuracy"]) == [1, 0, 0]
    assert list(summed["top1"]) == [1, 1, 0]
