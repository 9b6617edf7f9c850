"""Where the target begins, and what counts as predicting it."""

from __future__ import annotations

import hashlib
import json
import shutil
from importlib.metadata import distributions
from typing import TYPE_CHECKING

import numpy as np
import pytest

from quantbench import Passages
from quantbench.catalog.datasets import find_dataset
from quantbench.catalog.models import find_model
from quantbench.data.samples import Passage
from quantbench.errors import DataError, PredictionError
from quantbench.tasks.last_word.task import LastWord
from tests.conftest import sentence

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def task(tiny_checkpoint: Path) -> LastWord:
    return LastWord(find_model("smollm2_135m_instruct"), tiny_checkpoint)


def target(task: LastWord, checkpoint: Path, text: str, *, spaces_alone: bool = False) -> str:
    from transformers import AutoTokenizer

    prompt = task.prepare(Passage("p", text, spaces_alone))
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
        ("the cat sat with the\ngloves", "gloves"),
        ("the cat sat with the\tgloves", "gloves"),
        ("the\ncat", "cat"),
        ("the man and the \n\nrecorder", "recorder"),
    ],
)
def test_the_target_is_the_last_word_with_its_space(
    task: LastWord, tiny_checkpoint: Path, text: str, expected: str
) -> None:
    """Mistakes 1 and 2 of the published study: the last character; no leading space."""
    assert target(task, tiny_checkpoint, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the cat sat with the\ngloves", " the\ngloves"),
        ("the man and the \n\nrecorder", " \n\nrecorder"),
        ("the dog ran home", " home"),
    ],
)
def test_lambada_is_split_at_spaces_alone(
    task: LastWord, tiny_checkpoint: Path, text: str, expected: str
) -> None:
    """Seven of its passages break the line before their last word, and the field splits so."""
    assert target(task, tiny_checkpoint, text, spaces_alone=True) == expected
    for name in ("lambada", "lambada_openai"):
        data = find_dataset(name)
        assert isinstance(data, Passages)
        assert data.spaces_alone


def test_evidence_is_of_one_way_to_split() -> None:
    for text, alike in (("the dog ran home", True), ("the dog ran\nhome", False)):
        usual, field = (Passage("p", text, alone).fingerprint for alone in (False, True))
        assert (usual == field) is alike
        assert field == hashlib.sha256(text.encode()).hexdigest()


def test_context_and_target_are_tokenized_jointly(task: LastWord, tiny_checkpoint: Path) -> None:
    from transformers import AutoTokenizer

    text = "the small bird sang over the river"
    prompt = task.prepare(Passage("p", text))
    assert list(prompt.tokens) == AutoTokenizer.from_pretrained(tiny_checkpoint)(text)["input_ids"]


@pytest.mark.parametrize("text", ["alone", "", "   ", " alone", "\nalone", "alone\n"])
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


@pytest.mark.slow
def test_every_passage_scores_as_in_lm_evaluation_harness(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    """Needs lm-eval, which shares no environment with litert-torch: `tox -e lm_eval`."""
    if not any(distributions(name="lm_eval")):
        pytest.skip("lm-eval is not installed; next: tox -e lm_eval")
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    from quantbench.backends.transformers.runner import CausalLMRunner
    from quantbench.core.settings import Machine

    folder = tmp_path / "checkpoint"
    shutil.copytree(tiny_checkpoint, folder)
    (folder / "runner.json").write_text(json.dumps({"dtype": "float32"}))
    texts = [sentence(i, 20 + i % 40) + " home again" for i in range(60)]
    texts += ["the cat sat with the\ngloves", "the man and the \n\nrecorder"]
    task = LastWord(find_model("smollm2_135m_instruct"), folder)
    prompts = [
        task.prepare(Passage(str(i), text, spaces_alone=True)) for i, text in enumerate(texts)
    ]
    ours = list(CausalLMRunner(folder, Machine()).predict_all(prompts))
    pairs = [(" ".join(text.split(" ")[:-1]), " " + text.split(" ")[-1]) for text in texts]
    asked = [
        Instance("loglikelihood", doc={}, arguments=pair, idx=i) for i, pair in enumerate(pairs)
    ]
    harness = HFLM(pretrained=str(folder), dtype="float32", batch_size=8, device="cpu")
    for answer, (logprob, greedy) in zip(ours, harness.loglikelihood(asked), strict=True):
        assert sum(answer["logprobs"]) == pytest.approx(logprob, abs=1e-3)
        assert all(rank == 0 for rank in answer["ranks"]) == greedy
