"""Likelihoods against transformers' own forward pass with labels; rows, examples, errors."""

from __future__ import annotations

import json
import math
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from quantbench.backends.transformers.runner import CausalLMRunner
from quantbench.catalog.models import find_model
from quantbench.core.settings import Machine
from quantbench.data.documents import Cut, Document
from quantbench.data.packed import unpack
from quantbench.errors import DataError, PredictionError
from quantbench.tasks.perplexity.task import Perplexity
from tests.conftest import sentence

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

TEXTS = [sentence(i, 90) for i in range(4)]


def in_float32(checkpoint: Path, folder: Path) -> Path:
    shutil.copytree(checkpoint, folder)
    (folder / "runner.json").write_text(json.dumps({"dtype": "float32"}))
    return folder


def judged(folder: Path, context: int, stride: int, scored: int) -> tuple[Perplexity, list[Any]]:
    """The task, and its rows of all windows by the project's own runner."""
    cut = Cut("mine", context, stride, scored)
    task = Perplexity(find_model("smollm2_135m_instruct"), folder)
    documents = [Document(str(i), text, cut, str(i)) for i, text in enumerate(TEXTS)]
    windows = task.divided(documents, None)
    runner = CausalLMRunner(folder, Machine())
    answers = runner.predict_all([task.prepare(window) for window in windows])
    return task, [task.evidence(*pair) for pair in zip(windows, answers, strict=True)]


def test_strided_windows_score_as_in_hugging_faces_documentation(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    """Its loop: https://huggingface.co/docs/transformers/perplexity, on full windows alone.

    There the first window scores all of its tokens, and a last one that is not full stays.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = in_float32(tiny_checkpoint, tmp_path / "checkpoint")
    task, rows = judged(folder, context=48, stride=16, scored=16)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ids = AutoTokenizer.from_pretrained(folder)("\n\n".join(TEXTS), return_tensors="pt")[
        "input_ids"
    ]
    losses = []
    for begin in range(0, ids.shape[1], 16):
        tokens = ids[:, begin : begin + 48]
        if tokens.shape[1] < 48:
            break
        labels = tokens.clone()
        labels[:, :-16] = -100
        with torch.inference_mode():
            losses.append(float(model(tokens, labels=labels).loss))
    found = task.per_sample(rows)["logprob"]
    assert len(found) == len(losses) > 10
    assert found == pytest.approx([-loss for loss in losses], abs=1e-5)
    (perplexity,) = task.summarise(rows, np.ones((1, len(rows))))["perplexity"]
    assert perplexity == pytest.approx(math.exp(np.mean(losses)), rel=1e-5)


@pytest.mark.parametrize("bos", [False, True], ids=["without BOS", "with BOS"])
def test_the_default_is_llama_perplexitys_definition(
    tiny_checkpoint: Path, checkpoint_with_bos: Path, tmp_path: Path, *, bos: bool
) -> None:
    """Chunks of n tokens; logits at n/2 to n - 2 are asked for the token behind each."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = checkpoint_with_bos if bos else tiny_checkpoint
    folder, n = in_float32(source, tmp_path / "checkpoint"), 32
    task, rows = judged(folder, context=n, stride=n, scored=n // 2 - 1)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokens = AutoTokenizer.from_pretrained(folder)("\n\n".join(TEXTS))["input_ids"]
    assert (tokens[0] == 0) is bos
    nll, count = 0.0, 0
    for chunk in range(len(tokens) // n):
        ids = tokens[chunk * n : (chunk + 1) * n]
        fed = [0, *ids[1:]] if bos else ids
        with torch.inference_mode():
            said = model(torch.tensor([fed])).logits[0].log_softmax(-1)
        for position in range(n // 2, n - 1):
            nll -= float(said[position, ids[position + 1]])
            count += 1
    (perplexity,) = task.summarise(rows, np.ones((1, len(rows))))["perplexity"]
    assert sum(row["scored"] for row in rows) == count
    assert perplexity == pytest.approx(math.exp(nll / count), rel=1e-5)


def prediction(scored: int = 7, top: int = 3) -> dict[str, Sequence[Any]]:
    rng = np.random.default_rng(0)
    return {
        "logprobs": (-rng.random(scored)).tolist(),
        "ranks": list(range(scored)),
        "greedy": [300 + i for i in range(scored)],
        "top_ids": [[i, i + 1, i + 2][:top] for i in range(scored)],
        "top_logprobs": (-rng.random((scored, top))).tolist(),
    }


@pytest.fixture
def task(tiny_checkpoint: Path) -> Perplexity:
    return Perplexity(find_model("smollm2_135m_instruct"), tiny_checkpoint)


@pytest.fixture
def window(task: Perplexity) -> Any:
    return task.divided([Document("d", TEXTS[0], Cut("mine", 16, 16, 7))], 1)[0]


def test_a_row_keeps_what_was_fed_and_what_was_answered(task: Perplexity, window: Any) -> None:
    row = json.loads(json.dumps(task.evidence(window, prediction())))
    said = prediction()
    assert row["tokens"] == list(window.tokens)
    assert (row["id"], row["scored"], row["bytes"]) == ("mine-00000", 7, window.scored_bytes)
    assert unpack(row["ranks"], "int32").tolist() == said["ranks"]
    assert unpack(row["greedy"], "int32").tolist() == said["greedy"]
    assert unpack(row["top_ids"], "int32").reshape(7, 3).tolist() == said["top_ids"]
    for name in ("logprobs", "top_logprobs"):
        flat = np.ravel(said[name])
        assert unpack(row[name], "float32") == pytest.approx(flat, rel=1e-7)


def test_a_prompt_says_where_its_tokens_stand_in_the_text(task: Perplexity) -> None:
    from transformers import AutoTokenizer

    found = task.divided([Document("d", TEXTS[0], Cut("mine", 16, 8, 7))], None)
    prompt = task.prepare(found[3])
    tokenizer = AutoTokenizer.from_pretrained(task._tokenizer._folder)  # noqa: SLF001
    assert prompt.text == TEXTS[0]
    assert prompt.first == 24
    assert tokenizer(prompt.text)["input_ids"][24:40] == list(prompt.tokens)


@pytest.mark.parametrize("name", ["logprobs", "top_logprobs"])
@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_nan_and_infinity_are_an_error(
    task: Perplexity, window: Any, name: str, value: float
) -> None:
    said = prediction()
    np_said = np.array(said[name])
    np_said.flat[4] = value
    with pytest.raises(PredictionError, match=r"NaN or infinity[^$]*mine-00000"):
        task.evidence(window, {**said, name: np_said.tolist()})


def test_answers_to_other_tokens_than_the_scored_ones_are_an_error(
    task: Perplexity, window: Any
) -> None:
    with pytest.raises(PredictionError, match=r"expected: 7 log-probabilities[^$]*got: +6"):
        task.evidence(window, prediction(6))


def test_rows_of_other_tokens_are_not_compared(task: Perplexity, window: Any) -> None:
    row = task.evidence(window, prediction())
    other = {**row, "tokens": [*row["tokens"][:5], 9, *row["tokens"][6:]]}
    with pytest.raises(DataError, match=r"other tokens[^$]*mine-00000, token 5 of 16"):
        task.agree([other], [row], np.ones((1, 1)))
    with pytest.raises(DataError, match="other tokens"):
        task.per_sample([other], [row])


def test_the_example_of_a_window_is_the_token_that_lost_most(task: Perplexity, window: Any) -> None:
    was = prediction() | {"logprobs": [-1.0] * 7, "ranks": [0] * 7}
    now = was | {"logprobs": [-1.0, -0.5, -1.0, -4.0, -1.0, -1.0, -1.0], "ranks": [3] * 7}
    pair = [[task.evidence(window, each)] for each in (now, was)]
    (found,) = task.changes({window.id: window}, pair[0], pair[1], 5)
    assert found["change"] == pytest.approx((0.5 - 3) / 7)
    assert found["unit"] == "nats a token"
    decode = task._tokenizer.decode  # noqa: SLF001
    place = window.target_start + 3
    assert found["target"] == decode(list(window.tokens[place : place + 1]))
    assert found["context"] == decode(list(window.tokens[:place]))
    assert (found["float"]["right"], found["quantized"]["right"]) == (True, False)
    words = [[decode([i]), pytest.approx(math.exp(p), abs=1e-4)]
             for i, p in zip([3, 4, 5], prediction()["top_logprobs"][3], strict=True)]  # fmt: skip
    assert found["float"]["words"] == words
    assert task.changes({}, pair[0], pair[0], 5) == []
