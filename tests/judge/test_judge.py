"""Verdicts on files: COCO results and rows, by function and by command."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from click.testing import CliRunner
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from quantbench import judge, non_inferior
from quantbench.cli import main
from quantbench.errors import DataError, UsageError
from quantbench.judge.samples import Samples, distinct, paired
from quantbench.record.baseline import accepted
from quantbench.record.comparing import compared
from quantbench.record.reading import read_document
from quantbench.report.reports import gathered
from quantbench.stats.proportions import PairedProportions

if TYPE_CHECKING:
    from click.testing import Result

DIGITS = Path(__file__).parent / "digits"
TRUTHS, FLOAT, INT8 = (DIGITS / f"{name}.json" for name in ("instances", "float32", "int8_static"))


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["judge", *map(str, arguments)])


def changed(path: Path, to: Path, change: Any) -> Path:
    to.write_text(json.dumps(change(json.loads(path.read_text()))))
    return to


@pytest.fixture
def blind(tmp_path: Path) -> Path:
    """Results that have lost a third of what the float model says."""
    return changed(
        FLOAT, tmp_path / "blind.json", lambda said: [d for d in said if d["score"] < 0.6]
    )


def test_coco_numbers_are_pycocotools() -> None:
    reference, int8 = judge.results("coco", TRUTHS, FLOAT, INT8)
    for results, path in ((reference, FLOAT), (int8, INT8)):
        truth = COCO(str(TRUTHS))
        evaluation = COCOeval(truth, truth.loadRes(str(path)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        assert results.value("AP") == pytest.approx(evaluation.stats[0], abs=1e-12)
        assert results.value("AR_medium") == pytest.approx(evaluation.stats[10], abs=1e-12)
    assert (reference.is_reference, int8.is_reference) == (True, False)


def test_a_verdict_from_python_by_path_or_loaded() -> None:
    (by_path,) = judge.coco(str(TRUTHS), FLOAT, INT8, metric="AP", margin=0.1)
    loaded = [json.loads(path.read_text()) for path in (TRUTHS, FLOAT, INT8)]
    (by_list,) = judge.coco(*loaded, metric="AP", margin=0.1)
    assert by_path.outcome == by_list.outcome == "pass"
    assert by_path.difference == by_list.difference
    assert by_path
    assert by_path.case == "int8_static"


def test_results_are_what_a_test_asserts_on() -> None:
    reference, int8 = judge.results("coco", TRUTHS, FLOAT, INT8)
    assert non_inferior(int8, reference, metric="AP", margin=0.1)
    with pytest.raises(UsageError, match="judged against the quantized one"):
        non_inferior(reference, int8, metric="AP", margin=0.1)


@pytest.mark.parametrize(
    ("files", "margin", "status", "word"),
    [
        ((FLOAT, INT8), 0.1, 0, "pass"),
        ((FLOAT, FLOAT), 0.001, 0, "pass"),
        ((FLOAT, INT8), 0.0005, 3, "inconclusive"),
        ((FLOAT, "blind"), 0.1, 1, "fail"),
    ],
)
def test_the_exit_status_is_the_worst_verdict(
    files: tuple[Any, ...], margin: float, status: int, word: str, blind: Path
) -> None:
    paths = [blind if path == "blind" else path for path in files]
    result = run("coco", TRUTHS, *paths, "--margin", margin)
    assert result.exit_code == status, result.output
    assert word in result.output.splitlines()[2]


def test_a_file_against_itself_is_exactly_zero() -> None:
    (verdict,) = judge.coco(TRUTHS, FLOAT, FLOAT, margin=1e-6)
    assert (verdict.difference.low, verdict.difference.high) == (0.0, 0.0)
    assert verdict.exact


def test_the_table_shows_every_number_and_what_is_lost(blind: Path) -> None:
    lines = run("coco", TRUTHS, FLOAT, INT8, blind, "--margin", 0.02).output.splitlines()
    assert lines[0] == "instances, 60 samples"
    assert lines[1].split() == [
        "file",
        "verdict",
        "metric",
        "reference",
        "value",
        "difference",
        "margin",
        "flips",
    ]
    shown = {tuple(line.split()[:2]) for line in lines}
    for number in ("AP", "AP_medium", "AR", "lost", "agreement_AP"):
        assert ("blind", number) in shown
    assert ("blind", "missed") in shown


@pytest.mark.parametrize("form", ["markdown", "csv", "json"])
def test_other_formats_hold_the_same_numbers(form: str) -> None:
    output = run("coco", TRUTHS, FLOAT, INT8, "--margin", 0.1, "--format", form).output
    (verdict,) = judge.coco(TRUTHS, FLOAT, INT8, margin=0.1)
    if form == "markdown":
        assert f"| int8_static | pass | AP | {verdict.reference:.3f} |" in output
        return
    rows = json.loads(output) if form == "json" else list(csv.DictReader(io.StringIO(output)))
    assert rows[0]["verdict"] == "pass"
    assert float(rows[0]["low"]) == pytest.approx(verdict.difference.low)
    assert {row["kind"] for row in rows} == {"verdict", "number", "error"}


def test_the_record_file_is_read_by_report_compare_and_accept(tmp_path: Path, blind: Path) -> None:
    paths = []
    for name, other in (("one", INT8), ("two", blind)):
        named = tmp_path / name / "model.json"
        named.parent.mkdir()
        named.write_bytes(other.read_bytes())
        paths.append(tmp_path / f"{name}.record.json")
        run("coco", TRUTHS, FLOAT, named, "--margin", 0.1, "-o", paths[-1])
    documents = [read_document(path) for path in paths]
    views, _ = gathered(paths[:1])
    assert {view.verdict for view in views} == {"pass", "not judged"}
    assert len(accepted(documents[0])["cases"]) == 2
    one, two = (("name", document) for document in documents)
    by_case = {row["case"]: row["verdict"] for row in compared(one, two)}
    assert by_case["results-model-instances"] == "fail"
    same = {row["case"]: (row["verdict"], row["low"]) for row in compared(one, one)}
    assert same["results-model-instances"] == ("pass", 0.0)


def test_groups_of_images(tmp_path: Path) -> None:
    (by_image,) = judge.coco(TRUTHS, FLOAT, INT8, margin=0.1)
    (by_video,) = judge.coco(TRUTHS, FLOAT, INT8, margin=0.1, group="video")
    assert (by_image.difference.groups, by_video.difference.groups) == (None, 15)
    assert by_video.difference.value == by_image.difference.value
    without = changed(
        TRUTHS,
        tmp_path / "t.json",
        lambda d: {**d, "images": [{**d["images"][0], "video": None}, *d["images"][1:]]},
    )
    with pytest.raises(DataError, match="without the field 'video'"):
        judge.coco(without, FLOAT, INT8, margin=0.1, group="video")


WRONG: dict[str, tuple[Any, str]] = {
    "another image": (lambda said: [*said, {**said[0], "image_id": 999}], "images .*999"),
    "another category": (
        lambda said: [{**d, "category_id": d["category_id"] + 20} for d in said],
        "categories that the annotations do not have",
    ),
    "no score": (
        lambda said: [{k: v for k, v in d.items() if k != "score"} for d in said],
        "score",
    ),
    "not finite": (lambda said: [{**said[0], "score": 1e999}], "not COCO results|JSON"),
    "three corners": (lambda said: [{**said[0], "bbox": [1, 2, 3]}], "not COCO results"),
    "an object": (lambda said: {"annotations": said}, "not COCO results"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_the_annotations_is_counted_and_named(case: str, tmp_path: Path) -> None:
    change, message = WRONG[case]
    other = changed(INT8, tmp_path / "other.json", change)
    with pytest.raises(DataError, match=f"(?s){message}"):
        judge.coco(TRUTHS, FLOAT, other, margin=0.1)
    result = run("coco", TRUTHS, FLOAT, other, "--margin", 0.1)
    assert result.exit_code == 2
    assert "other" in result.output


def test_wrong_use_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="one file cannot be compared"):
        judge.coco(TRUTHS, FLOAT, margin=0.1)
    with pytest.raises(UsageError, match="mAP"):
        judge.coco(TRUTHS, FLOAT, INT8, metric="mAP", margin=0.1)
    broken = tmp_path / "broken.json"
    broken.write_text("[{")
    with pytest.raises(DataError, match="cannot read broken"):
        judge.coco(TRUTHS, FLOAT, broken, margin=0.1)


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    else:
        import pyarrow as pa
        from pyarrow import parquet

        parquet.write_table(pa.Table.from_pylist(rows), path)
    return path


def answers(wrong: int, n: int = 400, first: int = 0) -> list[dict[str, Any]]:
    return [
        {"id": f"q{i}", "correct": not first <= i < first + wrong, "book": f"b{i // 10}"}
        for i in range(n)
    ]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_rows_of_every_format_give_the_same_verdict(suffix: str, tmp_path: Path) -> None:
    one = written(tmp_path / f"float{suffix}", answers(100))
    # In another order: pairs join by id.
    two = written(tmp_path / f"int8{suffix}", answers(106)[::-1])
    (verdict,) = judge.rows(one, two, value="correct", margin=0.05)
    expected = PairedProportions(6, 0, 400).bounds(0.05)
    assert (verdict.difference.low, verdict.difference.high) == pytest.approx(expected)
    assert (verdict.outcome, verdict.flips) == ("pass", (6, 0))


def test_rows_in_groups_are_judged_by_group(tmp_path: Path) -> None:
    one = written(tmp_path / "float.jsonl", answers(100))
    two = written(tmp_path / "int8.jsonl", answers(110))
    result = run("rows", one, two, "--value", "correct", "--group", "book", "--margin", "0.05")
    assert result.output.splitlines()[0] == "rows, 400 samples in 40 groups"
    alone = run("rows", one, two, "--value", "correct", "--margin", "0.05")
    assert alone.exit_code == 0
    assert result.exit_code == 3, "ten losses in one book are one"


def test_numbers_of_which_lower_is_better(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    loss = rng.normal(2, 0.1, 300)
    sides = [
        [{"id": i, "loss": float(value)} for i, value in enumerate(values)]
        for values in (loss, loss + 0.3 + rng.normal(0, 0.05, 300))
    ]
    one, two = (written(tmp_path / f"{i}.jsonl", rows) for i, rows in enumerate(sides))
    (verdict,) = judge.rows(one, two, value="loss", margin=0.1, lower_is_better=True)
    assert verdict.outcome == "fail"
    assert judge.rows(one, two, value="loss", margin=0.1)[0].outcome == "pass"


def test_the_same_answers_of_two_models_prove_only_so_much(tmp_path: Path) -> None:
    """Unlike the same file twice: fifty answers that agree leave room for what they do not show."""
    one = written(tmp_path / "float.jsonl", answers(10, 50))
    two = written(tmp_path / "int8.jsonl", answers(10, 50))
    (verdict,) = judge.rows(one, two, value="correct", margin=0.02)
    assert (verdict.difference.value, verdict.outcome) == (0.0, "inconclusive")


def test_many_files_are_corrected_for_their_number(tmp_path: Path) -> None:
    """Each of twenty would pass alone."""
    one = written(tmp_path / "float.jsonl", answers(100))
    others = [written(tmp_path / f"o{i}.jsonl", answers(108)) for i in range(20)]
    (alone,) = judge.rows(one, others[0], value="correct", margin=0.04)
    assert alone.outcome == "pass"
    together = judge.rows(one, *others, value="correct", margin=0.04)
    assert {verdict.outcome for verdict in together} == {"inconclusive"}


BENT: dict[str, tuple[Any, str]] = {
    "a missing row": (lambda rows: rows[:-3], "3 of them missing, first 'q397'"),
    "an id twice": (lambda rows: [*rows, rows[0]], "two rows of one sample"),
    "no value": (lambda rows: [{**rows[0], "correct": None}, *rows[1:]], "'correct' is empty"),
    "no field": (lambda rows: [{"id": "q0", "book": "b0"}, *rows[1:]], "without 'correct'"),
    "an empty group": (lambda rows: [{**rows[0], "book": ""}, *rows[1:]], "'book' is empty"),
    "a huge number": (lambda rows: [{**rows[0], "correct": 10**400}, *rows[1:]], "no number"),
    "a word": (lambda rows: [{**rows[0], "correct": "yes"}, *rows[1:]], "no number"),
    "mixed": (lambda rows: [{**rows[0], "correct": 0.5}, *rows[1:]], "others are numbers"),
    "another group": (lambda rows: [{**rows[0], "book": "x"}, *rows[1:]], "another group"),
}


@pytest.mark.parametrize("case", BENT)
def test_rows_that_do_not_pair_are_counted_and_named(case: str, tmp_path: Path) -> None:
    change, message = BENT[case]
    one = written(tmp_path / "float.jsonl", answers(100))
    two = written(tmp_path / "int8.jsonl", change(answers(100)))
    with pytest.raises(DataError, match=f"(?s){message}"):
        judge.rows(one, two, value="correct", group="book", margin=0.05)


@pytest.mark.parametrize("text", ["", "{", "[1]", "\n\n", "null"])
def test_a_file_that_holds_no_rows_is_refused(text: str, tmp_path: Path) -> None:
    one = written(tmp_path / "float.jsonl", answers(100))
    two = tmp_path / "int8.jsonl"
    two.write_text(text)
    result = run("rows", one, two, "--value", "correct", "--margin", "0.05")
    assert result.exit_code == 2
    assert "int8.jsonl" in result.output


def test_judging_imports_no_framework(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        run=f"""
        import sys
        from quantbench import judge
        judge.coco({str(TRUTHS)!r}, {str(FLOAT)!r}, {str(INT8)!r}, margin=.1)
        heavy = {{"tensorflow", "torch", "transformers", "sklearn", "PIL", "pytest"}}
        print("HEAVY", sorted(heavy & set(sys.modules)))
        """
    )
    pytester.runpython(pytester.path / "run.py").stdout.fnmatch_lines(["HEAVY []"])


LOGS = Path(__file__).parent / "lm_eval"


def test_lm_evals_logs_are_judged_task_by_task() -> None:
    result = run("lm-eval", LOGS / "float", LOGS / "rounded", "--margin", "0.3", "--format", "json")
    rows = json.loads(result.stdout)
    assert [row["data"] for row in rows] == sorted({row["data"] for row in rows})
    assert len(rows) == 3
    assert {row["file"] for row in rows} == {"rounded"}
    assert "left out: whole_text" in result.stderr
    verdicts = judge.lm_eval(LOGS / "float", LOGS / "rounded", margin=0.3)
    assert [verdict.outcome for verdict in verdicts] == [row["verdict"] for row in rows]


def test_a_metric_of_lm_eval_by_name() -> None:
    (verdict,) = judge.lm_eval(
        LOGS / "float", LOGS / "rounded", margin=0.3, metric="log_likelihood_nats"
    )
    assert not verdict.gate.lower_is_better
    with pytest.raises(UsageError, match=r"(?s)perplexity.*log_likelihood_nats"):
        judge.lm_eval(LOGS / "float", LOGS / "rounded", margin=0.3, metric="perplexity")


def test_results_of_lm_eval_are_of_one_task_and_its_metric() -> None:
    logs = [next((LOGS / model).glob("samples_last_word_*")) for model in ("float", "rounded")]
    reference, other = judge.results("lm-eval", *logs, metric="log_likelihood_nats")
    assert list(other.replicates) == ["last_word/log_likelihood_nats"]
    assert reference.is_reference
    with pytest.raises(UsageError, match="several tasks"):
        judge.results("lm-eval", LOGS / "float", LOGS / "rounded")


@pytest.mark.parametrize("kind", ["coco", "rows", "lm-eval"])
def test_a_field_that_a_kind_of_results_does_not_have_is_refused(kind: Any, tmp_path: Path) -> None:
    rows = written(tmp_path / "rows.jsonl", answers(1))
    log = next((LOGS / "float").glob("samples_last_word_*"))
    sources = {"coco": (TRUTHS, FLOAT, INT8), "rows": (rows, rows), "lm-eval": (log, log)}
    fields = {"value": "correct"} if kind == "rows" else {}
    with pytest.raises(TypeError, match="metrik"):
        judge.results(kind, *sources[kind], **fields, metrik="acc")


def test_tasks_that_one_side_lacks_are_named(tmp_path: Path) -> None:
    for path in sorted(LOGS.glob("rounded/**/*.jsonl"))[1:]:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(DataError, match=r"(?s)tasks do not pair.*1 of them missing"):
        judge.lm_eval(LOGS / "float", tmp_path, margin=0.3)


def test_a_file_that_changed_is_not_the_same_to_compare(tmp_path: Path) -> None:
    one = written(tmp_path / "float.jsonl", answers(100))
    two, made = tmp_path / "int8.jsonl", []
    for wrong in (100, 400):
        written(two, answers(wrong))
        made.append(tmp_path / f"{wrong}.json")
        run("rows", one, two, "--value", "correct", "--margin", "0.05", "-o", made[-1])
    before, after = (("name", read_document(path)) for path in made)
    by_case = {row["case"]: row["verdict"] for row in compared(before, after)}
    assert by_case["results-int8-rows"] == "fail"


@pytest.mark.parametrize("kind", ["rows", "coco"])
def test_two_files_of_equal_answers_are_not_the_same_to_compare(kind: str, tmp_path: Path) -> None:
    """Two models may well give the same answers: that leaves room for what they do not show."""
    rows = written(tmp_path / "float.jsonl", answers(100))
    given: dict[str, tuple[Path, tuple[Any, ...]]] = {
        "coco": (INT8, ("coco", TRUTHS, FLOAT)),
        "rows": (rows, ("rows", "--value", "correct", rows)),
    }
    content, command = given[kind]
    made = []
    for side in ("one", "two"):
        path = tmp_path / side / "int8.jsonl"
        path.parent.mkdir()
        path.write_bytes(content.read_bytes())
        made.append(tmp_path / f"{side}.json")
        run(*command, path, "--margin", "0.05", "-o", made[-1])
    before, after = (("name", read_document(path)) for path in made)
    (row,) = [row for row in compared(before, after) if row["case"].startswith("results-int8")]
    assert row["difference"] == 0
    assert row["low"] < 0 < row["high"]


@pytest.mark.parametrize("name", ["latency", "weights_bytes"])
def test_a_column_may_be_named_as_a_cost(name: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    paths = [
        written(
            tmp_path / f"{side}.jsonl",
            [{"id": i, name: float(v)} for i, v in enumerate(rng.normal(5, 1, 300))],
        )
        for side in ("float", "int8")
    ]
    (verdict,) = judge.rows(*paths, value=name, margin=0.5)
    assert not verdict.exact
    assert verdict.difference.low < verdict.difference.value < verdict.difference.high


def test_files_that_do_not_agree_on_what_is_better_are_refused() -> None:
    values = np.linspace(0, 1, 20)
    ids = tuple(map(str, range(20)))
    with pytest.raises(DataError, match="do not agree on what is better"):
        paired(Samples("m", ids, values), Samples("m", ids, values, True), ("a", "b"))


def test_documents_of_equal_content_are_counted_once() -> None:
    ids = tuple(map(str, range(6)))
    copied = Samples("m", ids, np.arange(6.0), digests=("a", "b", "a", "c", "b", "d"))
    assert distinct(copied).ids == ("0", "1", "3", "5")
    assert distinct(Samples("m", ids, np.arange(6.0))).ids == ids


@pytest.mark.parametrize("value", ["0.9", True, None])
def test_a_score_that_is_no_number_is_refused(value: object, tmp_path: Path) -> None:
    other = changed(INT8, tmp_path / "o.json", lambda said: [{**d, "score": value} for d in said])
    with pytest.raises(DataError, match="not COCO results"):
        judge.coco(TRUTHS, FLOAT, other, margin=0.1)
