"""A task divides all documents of a split; what that gives is what is evaluated and counted."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from quantbench import Documents, Model, cases, non_inferior
from quantbench.core.settings import Settings
from quantbench.errors import DataError
from quantbench.run.session import Session
from quantbench.study import Scheme
from quantbench.tasks.perplexity.task import Perplexity
from tests.conftest import sentence

if TYPE_CHECKING:
    from pathlib import Path

    from quantbench.study import Case

TEXTS = [{"text": sentence(i, 60), "title": f"d{i}"} for i in range(30)]
FLOATS = ("reference_float32", "reference_bfloat16")


def texts(folder: Path, rows: list[dict[str, str]]) -> str:
    path = folder / "texts.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return f"file:{path}"


def model(checkpoint: Path, source: str, name: str = "tiny", **described: Any) -> list[Case]:
    cut = {"context": 32, "calibration_documents": 8, "calibration_n": 12} | described
    return cases(
        Model(
            name=name,
            source=f"file:{checkpoint}",
            reference="reference_float32",
            schemes=FLOATS,
            datasets=(Documents("mine", source, **cut),),
        )
    )


@pytest.fixture(scope="session")
def character_checkpoint(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same weights behind a tokenizer that merges nothing: a byte, a token."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("characters") / "checkpoint"
    shutil.copytree(tiny_checkpoint, folder)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<end>": 0, **{each: i + 1 for i, each in enumerate(alphabet)}}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>")
    fast.save_pretrained(folder)
    return folder


def test_windows_are_counted_and_documents_are_groups(
    tmp_path: Path, tiny_checkpoint: Path
) -> None:
    float32, bfloat16 = model(tiny_checkpoint, texts(tmp_path, TEXTS))
    settings = Settings(cache=tmp_path / "cache", samples=20)
    with closing(Session(settings)) as bench:
        evaluation = bench.evaluate(bfloat16)
        reference = bench.reference(bfloat16)
        assert [row["id"] for row in evaluation.rows] == [f"mine-{i:05d}" for i in range(20)]
        groups = bench.groups(float32)
        assert groups == sorted(groups or (), key=lambda name: int(name[1:]))
        assert evaluation.dataset["groups"] == len(set(groups)) >= 10
        assert len(bench.samples(bfloat16, "calibration")) == 12
        verdict = non_inferior(evaluation, reference, "perplexity_ratio", margin=0.05)
        assert verdict.outcome == "pass"
        assert verdict.difference.groups == evaluation.dataset["groups"]
        drawn = replace(bfloat16, scheme=replace(bfloat16.scheme, seed=3))
        found = [window.id for window in bench._samples.calibrating(drawn)]  # noqa: SLF001
        every = bench._samples.read(bfloat16, "calibration", None)  # noqa: SLF001
        order = np.random.default_rng(3).permutation(len(every))[:12]
        assert found == [every[i].id for i in order]


def test_of_one_document_windows_are_judged_one_by_one(
    tmp_path: Path, tiny_checkpoint: Path
) -> None:
    path = tmp_path / "book.txt"
    path.write_text(" ".join(row["text"] for row in TEXTS))
    found = model(tiny_checkpoint, f"file:{path}", calibration_documents=0)
    with closing(Session(Settings(cache=tmp_path / "cache"))) as bench:
        assert bench.groups(found[0]) is None
        assert len(bench.samples(found[0], "evaluation")) > 30


def test_two_models_in_one_run_have_windows_of_their_own_tokenizers(
    tmp_path: Path, tiny_checkpoint: Path, character_checkpoint: Path
) -> None:
    source = texts(tmp_path, TEXTS)
    words, letters = (
        model(checkpoint, source, name)[0]
        for checkpoint, name in ((tiny_checkpoint, "words"), (character_checkpoint, "letters"))
    )
    assert words.dataset == letters.dataset
    with closing(Session(Settings(cache=tmp_path / "cache", samples=0))) as bench:
        found = {
            case.model.name: [bench.samples(case, "evaluation") for _ in range(2)]
            for case in (words, letters, words)
        }
        assert len(found["letters"][0]) > 1.5 * len(found["words"][0])
        assert found["words"][0] is found["words"][1]  # tokenized once
        assert bench.evaluate(words).dataset["sha256"] != bench.evaluate(letters).dataset["sha256"]
        bits = [bench.evaluate(each).value("bits_per_byte") for each in (words, letters)]
        assert min(bits) > 0


def test_a_reference_with_another_tokenizer_is_refused_by_its_tokens(
    tmp_path: Path, tiny_checkpoint: Path, character_checkpoint: Path
) -> None:
    source = texts(tmp_path, TEXTS)
    reference = model(character_checkpoint, source, "letters")[0].model
    mine = replace(model(tiny_checkpoint, source)[0].model, name="words", reference=reference)
    case = cases(mine, schemes=["reference_bfloat16"])[0]
    with (
        closing(Session(Settings(cache=tmp_path / "cache", samples=20, group="none"))) as bench,
        pytest.raises(
            DataError, match=r"other tokens for the model than for its reference[^$]*mine-"
        ),
    ):
        bench.reference(case)


def test_calibration_windows_that_are_evaluated_are_refused(
    tmp_path: Path, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = Documents.samples

    def leaking(self: Documents, files: Any, split: str, n: int | None) -> Any:
        del split
        return right(self, files, "evaluation", n)

    monkeypatch.setattr(Documents, "samples", leaking)
    case = model(tiny_checkpoint, texts(tmp_path, TEXTS))[0]
    judged = replace(case, scheme=Scheme.parse("gptq_int4_g64"))
    with (
        closing(Session(Settings(cache=tmp_path / "cache"))) as bench,
        pytest.raises(DataError, match="calibrated on samples that it is evaluated on"),
    ):
        bench.evaluate(judged)


def test_windows_of_equal_content_count_once(tmp_path: Path, tiny_checkpoint: Path) -> None:
    line = "the dog ran home again\n"
    path = tmp_path / "again.txt"
    path.write_text(line * 200 + " ".join(row["text"] for row in TEXTS))
    case = model(tiny_checkpoint, f"file:{path}", calibration_documents=0)[0]
    with closing(Session(Settings(cache=tmp_path / "cache", samples=25))) as bench:
        found = bench.samples(case, "evaluation")
        assert len(found) == 25
        assert len({window.digest for window in found}) == 25
        assert bench._samples.duplicates(case) > 5  # noqa: SLF001


def test_a_task_that_divides_is_shown_all_documents(
    tmp_path: Path, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[int] = []
    right = Perplexity.divided

    def counting(self: Perplexity, samples: Any, n: int | None) -> Any:
        shown.append(len(samples))
        return right(self, samples, n)

    monkeypatch.setattr(Perplexity, "divided", counting)
    case = model(tiny_checkpoint, texts(tmp_path, TEXTS))[0]
    with closing(Session(Settings(cache=tmp_path / "cache", samples=5))) as bench:
        bench.samples(case, "evaluation")
        bench.samples(case, "calibration")
    assert shown == [22, 8]
