"""Verdicts on files of results, the first being the reference; Holm over all of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from quantbench.errors import UsageError, meant
from quantbench.judge.lm_eval_tasks import lm_eval_sets
from quantbench.judge.samples import check_enough, paired, results_of
from quantbench.record.schema import judged_together, verdict_as_json
from quantbench.report.reports import names_of
from quantbench.run.judging import non_inferior

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from quantbench.run.results import Results
    from quantbench.stats.gates import Verdict

    Source = str | Path | Sequence[Mapping[str, Any]]

Kind = Literal["coco", "lm-eval", "rows"]


def coco(
    annotations: str | Path | Mapping[str, Any],
    *files: Source,
    margin: float | str,
    metric: str = "AP",
    confidence: float = 0.95,
    group: str | None = None,
) -> list[Verdict]:
    """Judge COCO result files against the first of them.

    Args:
        annotations: COCO's JSON, by path or loaded.
        files: results by path, or loaded lists of detections; the reference first.
        margin: as of `non_inferior`.
        metric: one of COCO's twelve numbers (`AP`, `AP50`, ..., `AR_large`), `AP55` to `AP95`,
            `AP_category_ID`, or one of agreement with the reference (`agreement_AP`, `lost`, ...).
        confidence: of each bound.
        group: field of the annotations' images that names each image's group.

    Returns:
        A verdict for each file but the first, corrected for their number (Holm).

    Raises:
        DataError: a file is not what it should be, or does not fit the annotations.
        UsageError: fewer than two files, or a gate that cannot be asked.
    """
    from quantbench.tasks.detection.metrics import agreement

    asked = metric in agreement.NAMES
    sets = [results("coco", annotations, *files, group=group, agreement=asked)]
    found = judged(sets, metric=metric, margin=margin, confidence=confidence)
    return [verdict for _, verdict in found]


def rows(
    *files: str | Path,
    value: str,
    margin: float | str,
    confidence: float = 0.95,
    **fields: Any,
) -> list[Verdict]:
    """Judge files of one value a sample against the first of them.

    Args:
        files: JSON lines, CSV or Parquet; the reference first.
        value: field of the value: right or wrong, or a number.
        margin: as of `non_inferior`.
        confidence: of each bound.
        fields: `id` and `group` name those fields, `lower_is_better` says that a rise is a loss.

    Returns:
        As `coco`.

    Raises:
        DataError: a file is not what it should be, or samples do not pair.
        UsageError: fewer than two files, or a gate that cannot be asked.
    """
    sets = [results("rows", *files, value=value, **fields)]
    found = judged(sets, metric=value, margin=margin, confidence=confidence)
    return [verdict for _, verdict in found]


def lm_eval(
    *paths: str | Path,
    margin: float | str,
    metric: str | None = None,
    confidence: float = 0.95,
) -> list[Verdict]:
    """Judge lm-evaluation-harness' sample logs (`--log_samples`) against the first of them.

    Args:
        paths: `samples_*.jsonl` files or folders of them; the reference first.
        margin: as of `non_inferior`.
        metric: as lm-eval names it, with its filter (`exact_match/strict-match`) where there are
            several; None takes each task's first metric of right and wrong answers.
        confidence: of each bound.

    Returns:
        A verdict for each task of each path but the first, corrected for their number (Holm).

    Raises:
        DataError: a log is not what it should be, or samples do not pair.
        UsageError: fewer than two paths, no such metric, or a gate that cannot be asked.
    """
    sets, _ = lm_eval_sets(paths, metric)
    found = judged(sets, metric=None, margin=margin, confidence=confidence)
    return [verdict for _, verdict in found]


def results(kind: Kind, *sources: Any, **fields: Any) -> list[Results]:
    """What `non_inferior` takes, for each file of results; the first is the reference.

    Args:
        kind: "coco" (annotations first, then results), "rows", or "lm-eval".
        sources: paths; of "coco" also loaded JSON.
        fields: of "coco" `group`, and `agreement`, which False leaves out; of "rows" `value`,
            `id`, `group`, `lower_is_better`; of "lm-eval" `metric`, where the logs hold more than
            one task or metric.

    Raises:
        DataError: a file is not what it should be, or samples do not pair.
        UsageError: an unknown kind, too few files, or several tasks to choose from.
        TypeError: a field that this kind does not have.
    """
    if kind == "coco":
        return _coco(*sources, **fields)
    if kind == "rows":
        return _rows([Path(source) for source in sources], **fields)
    if kind == "lm-eval":
        sets, _ = lm_eval_sets(sources, **fields)
        if len(sets) > 1:
            raise UsageError(
                "several tasks: results are of one",
                expected="files of one task",
                got=", ".join(each[0].dataset["name"] for each in sets),
            )
        return sets[0]
    raise UsageError(
        f"unknown kind of results {kind!r}",
        expected="coco, lm-eval, rows",
        remedy=meant(kind, ("coco", "lm-eval", "rows")),
    )


def judged(
    sets: Sequence[Sequence[Results]],
    *,
    metric: str | None,
    margin: float | str,
    confidence: float = 0.95,
) -> list[tuple[Results, Verdict]]:
    """The verdicts on each set's results against its first, each with what it is on.

    Passes are corrected for their number (Holm).

    Args:
        sets: each with its reference first.
        metric: of all, or None for the only one that each has.
        margin: as of `non_inferior`.
        confidence: of each bound.
    """
    pairs = [
        (other, _verdict(other, reference, metric, margin=margin, confidence=confidence))
        for reference, *others in sets
        for other in others
    ]
    written = [verdict_as_json(verdict) for _, verdict in pairs]
    judged_together(
        {"case": each.name, "verdicts": [said]}
        for (each, _), said in zip(pairs, written, strict=True)
    )
    return [
        (each, replace(verdict, outcome=said["outcome"]))
        for (each, verdict), said in zip(pairs, written, strict=True)
    ]


def _verdict(other: Results, reference: Results, metric: str | None, **gate: Any) -> Verdict:
    by = metric or next(iter(other.replicates))
    return non_inferior(other, reference, metric=by, **gate)


def _coco(
    annotations: Any, *files: Source, group: str | None = None, agreement: bool = True
) -> list[Results]:
    from quantbench.judge.coco_files import coco_results

    check_enough(files)
    paths = [Path(each) if isinstance(each, str) else each for each in files]
    on_disk = [each for each in paths if isinstance(each, Path)]
    named = iter(names_of(on_disk))
    sources: dict[str, Any] = {
        next(named) if isinstance(each, Path) else f"results {i}": each
        for i, each in enumerate(paths)
    }
    described = Path(annotations) if isinstance(annotations, str) else annotations
    return coco_results(described, sources, group=group, agreement=agreement)


def _rows(paths: Sequence[Path], *, value: str, **fields: Any) -> list[Results]:
    from quantbench.judge.row_files import read_rows

    check_enough(paths)
    names = names_of(paths)
    reference, *others = (read_rows(path, value, **fields) for path in paths)
    pairs = [
        paired(reference, other, (names[0], name))
        for other, name in zip(others, names[1:], strict=True)
    ]
    return results_of([reference, *pairs], names, paths, "rows")
