from __future__ import annotations

import contextlib
import json
import math
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given

from quantbench.errors import DataError
from quantbench.judge.lm_eval_logs import Metrics, read_lm_eval
from tests.fuzz.conftest import FUZZ, as_text, bent, cut

if TYPE_CHECKING:
    from collections.abc import Iterator

LOGS = Path(__file__).parent / "lm_eval"
EARLY, LATE = "2025-01-02T03-04-05", "2025-01-02T03-04-05.000001"


def lines_of(model: str, task: str) -> list[dict[str, Any]]:
    (log,) = (LOGS / model).glob(f"samples_{task}_*.jsonl")
    return [json.loads(line) for line in log.read_text().splitlines()]


def reported(model: str) -> dict[str, Any]:
    (path,) = (LOGS / model).glob("results_*.json")
    results: dict[str, Any] = json.loads(path.read_text())["results"]
    return results


def sample(number: int, metric: str = "acc", value: Any = 1, **changes: Any) -> dict[str, Any]:
    return {
        "doc_id": number,
        "filter": "none",
        "metrics": [metric],
        "doc_hash": f"{number}d",
        metric: value,
        **changes,
    }


def log_of(folder: Path, *samples: dict[str, Any], name: str = "samples_task.jsonl") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text("".join(json.dumps(each) + "\n" for each in samples))
    return path


def run_of(folder: Path, values: list[Any], *, date: str = EARLY, **said: Any) -> Path:
    """A log of `acc` and its results."""
    (folder / "x").parent.mkdir(parents=True, exist_ok=True)
    (folder / f"results_{date}.json").write_text(json.dumps(said))
    samples = [sample(i, value=value) for i, value in enumerate(values)]
    return log_of(folder, *samples, name=f"samples_task_{date}.jsonl")


@pytest.mark.parametrize("model", ["float", "rounded"])
class TestRealLogs:
    def test_every_metric_of_numbers_is_there_each_filter_apart(self, model: str) -> None:
        assert list(read_lm_eval(LOGS / model)) == [
            "answer/exact_match/strict-match",
            "answer/exact_match/flexible-extract",
            "last_word/log_likelihood_nats",
            "last_word/acc",
            "right_verb/acc",
            "right_verb/acc_norm",
        ]

    @pytest.mark.parametrize(
        ("name", "key"),
        [
            ("last_word/acc", "acc,none"),
            ("right_verb/acc_norm", "acc_norm,none"),
            ("answer/exact_match/strict-match", "exact_match,strict-match"),
            ("answer/exact_match/flexible-extract", "exact_match,flexible-extract"),
        ],
    )
    def test_the_mean_is_the_number_that_lm_eval_reports(
        self, model: str, name: str, key: str
    ) -> None:
        found = read_lm_eval(LOGS / model)[name]
        assert found.values.dtype == bool
        assert found.values.mean() == pytest.approx(reported(model)[name.partition("/")[0]][key])
        assert not found.lower_is_better

    def test_perplexity_becomes_the_log_likelihood_in_nats(self, model: str) -> None:
        found = read_lm_eval(LOGS / model)["last_word/log_likelihood_nats"]
        lines = lines_of(model, "last_word")
        assert found.values.tolist() == [float(line["resps"][0][0][0]) for line in lines]
        assert not found.lower_is_better
        perplexity = reported(model)["last_word"]["perplexity,none"]
        assert math.exp(-found.values.mean()) == pytest.approx(perplexity)

    def test_values_are_those_of_the_answers(self, model: str) -> None:
        found = read_lm_eval(LOGS / model)
        lines = lines_of(model, "last_word")
        assert found["last_word/acc"].values.tolist() == [
            line["resps"][0][0][1] == "True" for line in lines
        ]
        by_filter = {"strict-match": r"answer is (\w+)", "flexible-extract": r"(\w+)"}
        for name, pattern in by_filter.items():
            lines = [line for line in lines_of(model, "answer") if line["filter"] == name]
            words = [re.findall(pattern, line["resps"][0][0])[-1:] for line in lines]
            right = [[line["target"]] == word for line, word in zip(lines, words, strict=True)]
            assert found[f"answer/exact_match/{name}"].values.tolist() == right

    def test_ids_are_the_documents_numbers(self, model: str) -> None:
        for name, found in read_lm_eval(LOGS / model).items():
            assert found.name == name
            assert found.ids == tuple(str(i) for i in range(len(found.values)))

    def test_a_metric_of_pairs_says_why_when_it_is_asked_for(self, model: str) -> None:
        found = read_lm_eval(LOGS / model)
        for name in ("whole_text/word_perplexity", "right_verb/brier_score"):
            assert name not in found
            with pytest.raises(DataError, match=r"line 1: a list of 2 is no number"):
                found[name]

    def test_perplexity_says_what_to_ask_for(self, model: str) -> None:
        with pytest.raises(DataError, match="ask for last_word/log_likelihood_nats"):
            read_lm_eval(LOGS / model)["last_word/perplexity"]

    def test_a_name_that_is_not_there_is_met_by_the_nearest(self, model: str) -> None:
        with pytest.raises(DataError, match="did you mean 'last_word/acc'"):
            read_lm_eval(LOGS / model)["last_word/ac"]


def test_two_models_logs_pair_by_id_and_digest_and_differ_in_values() -> None:
    one, other = (read_lm_eval(LOGS / model) for model in ("float", "rounded"))
    assert list(one) == list(other)
    differing = 0
    for name in one:
        assert one[name].ids == other[name].ids
        assert one[name].digests == other[name].digests
        assert len(set(one[name].digests)) == len(one[name].ids)
        differing += bool((one[name].values != other[name].values).any())
    assert differing >= 3


def test_a_digest_is_of_document_prompt_and_target(tmp_path: Path) -> None:
    hashes = {"doc_hash": "1", "prompt_hash": "2", "target_hash": "3"}
    found = read_lm_eval(log_of(tmp_path, sample(0, **hashes)))
    assert found["task/acc"].digests == ("123",)
    (line,) = lines_of("float", "last_word")[:1]
    real = read_lm_eval(LOGS / "float")["last_word/acc"].digests[0]
    assert real == line["doc_hash"] + line["prompt_hash"] + line["target_hash"]


def test_a_log_without_hashes_has_no_digests(tmp_path: Path) -> None:
    line = sample(0)
    del line["doc_hash"]
    assert read_lm_eval(log_of(tmp_path, line))["task/acc"].digests == ()


def test_one_file_is_one_task() -> None:
    (log,) = (LOGS / "float").glob("samples_last_word_*")
    assert set(read_lm_eval(log)) == {"last_word/acc", "last_word/log_likelihood_nats"}


def test_a_single_filter_is_not_named(tmp_path: Path) -> None:
    log = log_of(tmp_path, sample(0, filter="get-answer"), sample(1, filter="get-answer"))
    assert list(read_lm_eval(log)) == ["task/acc"]


def test_logs_of_older_releases_list_neither_metrics_nor_filter(tmp_path: Path) -> None:
    line = {"doc_id": 4, "doc": {}, "target": "x", "arguments": [], "resps": [], "em": 0.5}
    assert read_lm_eval(log_of(tmp_path, line))["task/em"].values.tolist() == [0.5]


def test_lines_may_come_in_any_order_and_with_any_separator_in_their_texts(tmp_path: Path) -> None:
    """Ranks write one after the other; lm-eval leaves what Unicode calls a line's end."""
    path = tmp_path / "samples_task.jsonl"
    lines = [sample(i, doc="a\u2028b\x85c") for i in (2, 0, 3, 1)]
    text = "\n\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
    path.write_text("\ufeff" + text, encoding="utf-8")
    assert read_lm_eval(path)["task/acc"].ids == ("2", "0", "3", "1")


def test_the_newest_of_one_models_runs_counts(tmp_path: Path) -> None:
    for date, value in ((EARLY, 0), (LATE, 1)):
        config = {"model": "hf", "model_args": {"pretrained": "a"}}
        run_of(tmp_path / "model", [value, value], date=date, config=config)
    assert read_lm_eval(tmp_path)["task/acc"].values.tolist() == [True, True]


def test_runs_of_one_checkpoint_with_other_arguments_are_two_models(tmp_path: Path) -> None:
    """lm-eval keeps them in one folder."""
    for date, arguments in ((EARLY, {}), (LATE, {"load_in_4bit": True})):
        config = {"model": "hf", "model_args": {"pretrained": "a", **arguments}}
        run_of(tmp_path / "model", [1], date=date, config=config)
    with pytest.raises(DataError, match=r"several logs of task[^$]*load_in_4bit[^$]*name the file"):
        read_lm_eval(tmp_path)
    late = tmp_path / "model" / f"samples_task_{LATE}.jsonl"
    assert len(read_lm_eval(late)["task/acc"].ids) == 1


@pytest.mark.parametrize(
    "names",
    [
        (f"a/samples_task_{EARLY}.jsonl", f"b/samples_task_{LATE}.jsonl"),
        (f"a/samples_task_{EARLY}.jsonl", "a/samples_task.jsonl"),
    ],
)
def test_logs_of_which_none_is_known_to_be_meant_are_refused(
    names: tuple[str, str], tmp_path: Path
) -> None:
    for name in names:
        log_of((tmp_path / name).parent, sample(0), name=Path(name).name)
    with pytest.raises(DataError, match="several logs of task") as refused:
        read_lm_eval(tmp_path)
    assert all(str(tmp_path / name) in str(refused.value) for name in names)


def test_different_tasks_may_lie_in_different_folders(tmp_path: Path) -> None:
    log_of(tmp_path / "a", sample(0), name=f"samples_one_{EARLY}.jsonl")
    log_of(tmp_path / "b" / "c", sample(0), name=f"samples_other_one_{LATE}.jsonl")
    assert set(read_lm_eval(tmp_path)) == {"one/acc", "other_one/acc"}


class TestDirection:
    def test_results_say_it(self, tmp_path: Path) -> None:
        higher = {"task": {"acc": False}}
        found = read_lm_eval(run_of(tmp_path, [0.25, 2], higher_is_better=higher))
        assert found["task/acc"].lower_is_better

    @pytest.mark.parametrize(
        ("metric", "lower"), [("ter", True), ("wer", True), ("f1", False), ("bits_per_byte", True)]
    )
    def test_without_results_the_name_says_it(
        self, metric: str, *, lower: bool, tmp_path: Path
    ) -> None:
        found = read_lm_eval(log_of(tmp_path, sample(0, metric, 0.25)))
        assert found[f"task/{metric}"].lower_is_better is lower

    def test_results_that_do_not_know_the_metric_leave_it_to_the_name(self, tmp_path: Path) -> None:
        found = read_lm_eval(run_of(tmp_path, [1], higher_is_better={"task": {"acc": None}}))
        assert not found["task/acc"].lower_is_better

    def test_a_perplexity_that_is_one_stays_one(self, tmp_path: Path) -> None:
        found = read_lm_eval(log_of(tmp_path, sample(0, "perplexity", 3.5)))
        assert found["task/perplexity"].lower_is_better


class TestReportedNumbers:
    def test_a_metric_that_is_no_mean_is_refused(self, tmp_path: Path) -> None:
        log = run_of(tmp_path, [0.5, 0.25], results={"task": {"acc,none": 0.9}})
        with pytest.raises(DataError, match=r"mean over samples is 0.375[^$]*say 0.9"):
            read_lm_eval(log)

    def test_a_log_that_was_cut_short_is_refused(self, tmp_path: Path) -> None:
        folder = tmp_path / "float"
        shutil.copytree(LOGS / "float", folder)
        (log,) = folder.glob("samples_last_word_*")
        log.write_text("".join(log.read_text().splitlines(keepends=True)[:9]))
        with pytest.raises(DataError, match="lines are missing"):
            read_lm_eval(folder)["last_word/acc"]

    def test_nan_is_left_out_where_the_reported_mean_does(self, tmp_path: Path) -> None:
        log = run_of(tmp_path, [0.5, math.nan, 0.25], results={"task": {"acc,none": 0.375}})
        found = read_lm_eval(log)["task/acc"]
        assert found.ids == ("0", "2")
        assert found.digests == ("0d", "2d")
        assert found.values.tolist() == [0.5, 0.25]

    @pytest.mark.parametrize("said", [{}, {"results": {"task": {"acc,none": math.nan}}}])
    def test_nan_is_refused_elsewhere(self, said: dict[str, Any], tmp_path: Path) -> None:
        with pytest.raises(DataError, match="line 2: nan is not finite"):
            read_lm_eval(run_of(tmp_path, [0.5, math.nan, 0.25], **said))

    @pytest.mark.parametrize("said", [[], {"results": []}, {"higher_is_better": {"task": 1}}, "x"])
    def test_results_of_another_kind_are_an_error(self, said: Any, tmp_path: Path) -> None:
        log = run_of(tmp_path, [1])
        (tmp_path / f"results_{EARLY}.json").write_text(json.dumps(said))
        with pytest.raises(DataError, match="not the results of an lm-eval run"):
            read_lm_eval(log)


GOOD = json.dumps(sample(0))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "no JSON"),
        ("[1]", "a list"),
        ('{"acc": 1}', "KeyError: 'doc_id'"),
        ('{"doc_id": true, "acc": 1}', "no whole number"),
        ('{"doc_id": "7", "acc": 1}', "no whole number"),
        ('{"doc_id": 1, "metrics": ["acc"]}', "KeyError: 'acc'"),
        ('{"doc_id": 1, "metrics": 3}', "TypeError"),
        ('{"doc_id": 1, "filter": 3, "acc": 1}', "int where a text should be"),
        ('{"doc_id": 1, "filter": "\\ud800", "acc": 1}', "UnicodeEncodeError"),
        (GOOD, "doc_id 0, filter 'none', also in line 1"),
    ],
)
def test_a_line_that_is_no_sample_is_named(line: str, said: str, tmp_path: Path) -> None:
    log = tmp_path / "samples_task.jsonl"
    log.write_text(f"{GOOD}\n\n{line}\n")
    with pytest.raises(DataError, match=re.escape(said)) as refused:
        read_lm_eval(log)
    assert f"{log}, line 3" in str(refused.value)


def test_one_document_under_two_filters_is_two_metrics(tmp_path: Path) -> None:
    found = read_lm_eval(log_of(tmp_path, sample(0), sample(0, filter="loose", value=0)))
    assert list(found) == ["task/acc/none", "task/acc/loose"]


def test_a_log_without_a_sample_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="without a sample"):
        read_lm_eval(log_of(tmp_path))


def test_a_folder_without_a_log_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"without a log[^$]*--log_samples"):
        read_lm_eval(tmp_path)


def test_a_file_whose_name_tells_no_task_is_an_error() -> None:
    (results,) = (LOGS / "float").glob("results_*")
    with pytest.raises(DataError, match="does not tell its task"):
        read_lm_eval(results)


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read the log"):
        read_lm_eval(tmp_path / "samples_task.jsonl")


def test_values_too_large_for_a_mean_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="too large"):
        read_lm_eval(log_of(tmp_path, sample(0, value=1e308), sample(1, value=1.5e308)))


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        shutil.copytree(LOGS / "float", Path(name) / "float")
        yield Path(name) / "float"


def check_sound(found: Metrics) -> None:
    for name, samples in found.items():
        assert samples.name == name
        assert name.encode()
        assert len({*samples.ids}) == len(samples.ids) == len(samples.values)
        assert np.isfinite(samples.values).all()
        assert len(samples.digests) in {0, len(samples.ids)}
    assert all(reason.encode() for reason in found.refused.values())


@FUZZ
@given(bent(lines_of("float", "answer")[:4] + lines_of("float", "last_word")[4:7]))
def test_bent_lines_are_read_or_refused(folder: Path, document: Any) -> None:
    lines = document if isinstance(document, list) else [document]
    log = folder / "samples_bent.jsonl"
    log.write_text("".join(as_text(line) + "\n" for line in lines))
    with contextlib.suppress(DataError):
        check_sound(read_lm_eval(log))


@FUZZ
@given(cut("".join(json.dumps(sample(i, value=i / 2)) + "\n" for i in range(4)).encode()))
def test_cut_bytes_are_read_or_refused(folder: Path, content: bytes) -> None:
    log = folder / "samples_bent.jsonl"
    log.write_bytes(content)
    with contextlib.suppress(DataError):
        check_sound(read_lm_eval(log))


@FUZZ
@given(bent(json.loads(next((LOGS / "float").glob("results_*")).read_text())))
def test_bent_results_are_read_or_refused(folder: Path, document: Any) -> None:
    (log,) = folder.glob("samples_last_word_*")
    (results,) = folder.glob("results_*")
    results.write_text(as_text(document))
    with contextlib.suppress(DataError):
        check_sound(read_lm_eval(log))
