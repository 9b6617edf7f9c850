"""Known mistakes put back into a study of last words: the float model's anchor must be missed.

The anchor is worked out here, by transformers alone, a passage at a time.
"""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from quantbench import Anchor, Passages, cases
from quantbench.backends.transformers import scoring
from quantbench.core.settings import Settings
from quantbench.data.prompts import Prompt
from quantbench.errors import AnchorError, DataError, PredictionError
from quantbench.run.session import Session
from quantbench.study import Model, Scheme
from quantbench.tasks.last_word.task import LastWord
from tests.conftest import sentence

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from quantbench.study import Case

N = 120
# Every third ends in a word that no tokenizer of these words has in one piece.
TEXTS = [
    f"{sentence(i, 8 + i % 30)} home {'again' if i % 3 else 'fishbone'}" for i in range(N + 100)
]


@pytest.fixture(scope="module")
def known_score(tiny_checkpoint: Path) -> float:
    """Mean log-probability of the last word, its leading space included, in nats."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_checkpoint)
    model = AutoModelForCausalLM.from_pretrained(tiny_checkpoint, dtype=torch.float32)
    total = 0.0
    for text in TEXTS[:N]:
        context, _, word = text.rpartition(" ")
        ids, target = tokenizer(context)["input_ids"], tokenizer(f" {word}")["input_ids"]
        with torch.inference_mode():
            said = model(torch.tensor([ids + target])).logits[0].log_softmax(-1)
        rows = range(len(ids) - 1, len(ids) + len(target) - 1)
        total += sum(float(said[row, token]) for row, token in zip(rows, target, strict=True))
    return total / N


def case_of(folder: Path, checkpoint: Path, *anchors: Anchor) -> Case:
    path = folder / "passages.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    described = Model(
        name="tiny",
        source=f"file:{checkpoint}",
        reference="reference_float32",
        schemes=("reference_float32",),
        datasets=(Passages("mine", f"file:{path}"),),
        anchors=anchors,
    )
    return cases(described)[0]


def study(tmp_path: Path, checkpoint: Path, score: float) -> None:
    anchor = Anchor("logprob", score, 1e-4, "mine", N, "transformers")
    with closing(Session(Settings(cache=tmp_path / "cache"))) as bench:
        bench.reference(case_of(tmp_path, checkpoint, anchor))


def test_without_a_mistake_the_anchor_holds(
    tmp_path: Path, tiny_checkpoint: Path, known_score: float
) -> None:
    study(tmp_path, tiny_checkpoint, known_score)


def ids_of(task: Any, text: str) -> tuple[int, ...]:
    return tuple(task._tokenizer.encode(text).ids)  # noqa: SLF001


def last_character(task: Any, sample: Any) -> Prompt:
    context = ids_of(task, sample.text[:-1])
    return Prompt((*context, *ids_of(task, sample.text[-1])), len(context))


def without_its_space(task: Any, sample: Any) -> Prompt:
    context, _, word = sample.text.rpartition(" ")
    before = ids_of(task, context)
    return Prompt((*before, *ids_of(task, word)), len(before))


def special_tokens_twice(task: Any, sample: Any) -> Prompt:
    prompt: Prompt = task.right(sample)
    return Prompt((0, 0, *prompt.tokens), prompt.target_start + 2)


def padding_scored(task: Any, sample: Any) -> Prompt:
    prompt: Prompt = task.right(sample)
    return replace(prompt, tokens=(*prompt.tokens, 0))


def first_token_alone(task: Any, sample: Any) -> Prompt:
    prompt: Prompt = task.right(sample)
    return replace(prompt, tokens=prompt.tokens[: prompt.target_start + 1])


def one_token_late(task: Any, sample: Any) -> Prompt:
    prompt: Prompt = task.right(sample)
    return replace(prompt, target_start=prompt.target_start - 1)


@pytest.mark.parametrize(
    "wrong",
    [
        last_character,
        without_its_space,
        first_token_alone,
        special_tokens_twice,
        padding_scored,
        one_token_late,
    ],
)
def test_a_target_taken_wrongly_misses_it(
    wrong: Callable[[Any, Any], Prompt],
    tmp_path: Path,
    tiny_checkpoint: Path,
    known_score: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(LastWord, "right", LastWord.prepare, raising=False)
    monkeypatch.setattr(LastWord, "prepare", wrong)
    with pytest.raises(AnchorError, match="does not reproduce its known score"):
        study(tmp_path, tiny_checkpoint, known_score)


def test_padding_on_the_left_misses_it(
    tmp_path: Path, tiny_checkpoint: Path, known_score: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where causal attention does not hide it."""
    right = scoring.score

    def wrong(model: Any, hidden: Any, prompts: Any) -> Any:
        longest = max(len(prompt.tokens) for prompt in prompts)
        padded = [
            Prompt((0,) * (n := longest - len(p.tokens)) + p.tokens, p.target_start + n)
            for p in prompts
        ]
        return right(model, hidden, padded)

    monkeypatch.setattr(scoring, "score", wrong)
    with pytest.raises(AnchorError, match="does not reproduce"):
        study(tmp_path, tiny_checkpoint, known_score)


def test_gptq_calibrated_on_evaluated_passages_is_refused(
    tmp_path: Path, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is built: no tool that quantizes is even loaded."""
    right = Passages.samples

    def leaking(self: Passages, files: Any, split: str, n: int | None) -> Any:
        del split
        return right(self, files, "evaluation", n)

    monkeypatch.setattr(Passages, "samples", leaking)
    judged = replace(case_of(tmp_path, tiny_checkpoint), scheme=Scheme.parse("gptq_int4_g64"))
    with (
        closing(Session(Settings(cache=tmp_path / "cache"))) as bench,
        pytest.raises(DataError, match="calibrated on samples that it is evaluated on"),
    ):
        bench.evaluate(judged)


def test_a_runner_that_is_handed_text_cannot_be_timed(
    tmp_path: Path, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tokenization in the timed call: runners have no tokenizer to do it with."""
    monkeypatch.setattr(LastWord, "prepare", lambda self, sample: sample)  # noqa: ARG005
    case = case_of(tmp_path, tiny_checkpoint)
    with (
        closing(Session(Settings(cache=tmp_path / "cache"))) as bench,
        pytest.raises(PredictionError, match="'Passage' object has no attribute 'tokens'"),
        bench.warmed(case, bench.sample(case)),
    ):
        pass


def rows(checkpoint: Path, folder: Path, threads: int) -> list[Any]:
    with closing(Session(Settings(cache=folder / f"cache{threads}", threads=threads))) as bench:
        return list(bench.evidence(case_of(folder, checkpoint)).rows)


def test_another_number_of_threads_gives_the_same_rows(
    tmp_path: Path, tiny_checkpoint: Path
) -> None:
    """Greedy tokens and ranks exactly, log-probabilities within 1e-4 nats."""
    one, two = (rows(tiny_checkpoint, tmp_path, threads) for threads in (1, 2))
    for alone, beside in zip(one, two, strict=True):
        assert alone["ranks"] == beside["ranks"]
        assert alone["greedy"] == beside["greedy"]
        assert alone["logprobs"] == pytest.approx(beside["logprobs"], abs=1e-4)
