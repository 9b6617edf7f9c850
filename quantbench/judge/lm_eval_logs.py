"""What lm-evaluation-harness logs of each sample (`--log_samples`), as lm-eval 0.4.13 writes it.

`FOLDER/MODEL/samples_TASK_DATE.jsonl` has a line for each document and filter: `doc_id`, `filter`,
the names of `metrics`, a field for each of these, and sha256 of the document, its first prompt and
its target. `results_DATE.json` beside it has the same date, and says which metrics are better when
higher and what each comes to. How these logs are read:

- A metric is judged by the mean over samples. Where the results are there, that mean must be the
  number that they report. Metrics made from all samples together (F1, BLEU, `word_perplexity`,
  `brier_score`) are logged as pairs and texts; they are refused.
- `perplexity` is logged as the log-likelihood of a sample's target in nats, and reported as
  exp(-mean). It becomes `log_likelihood_nats`, higher is better. A margin of .02 is 2 % of
  perplexity.
- NaN is left out where the results report the mean without it (`nanmean`), else it is refused.
- Without results, metrics are better when higher, but for those in `LOWER_IS_BETTER`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.errors import DataError, meant
from quantbench.judge.lm_eval_files import find_logs, read_log, summary_of
from quantbench.judge.samples import Samples

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from quantbench.judge.lm_eval_files import Line, Summary

LOWER_IS_BETTER = frozenset(
    {
        *("perplexity", "word_perplexity", "byte_perplexity", "bits_per_byte", "ppl", "loss"),
        *("brier_score", "likelihood_diff", "ter", "wer", "cer", "mse", "mae"),
    }
)


class Metrics(dict[str, Samples]):
    """The metrics of logs, by name.

    Attributes:
        refused: by name, why a metric that was logged cannot be judged by sample.
    """

    def __init__(
        self, found: Mapping[str, Samples], refused: Mapping[str, str], where: Path
    ) -> None:
        super().__init__(found)
        self.refused = dict(refused)
        self._where = where

    def __missing__(self, name: str) -> Samples:
        """Say why it is not there.

        Raises:
            DataError: always.
        """
        if name in self.refused:
            raise DataError(
                f"{name} cannot be judged by sample", where=self._where, got=self.refused[name]
            )
        raise DataError(
            f"no samples of {name}",
            where=self._where,
            expected=", ".join(self),
            remedy=meant(name, self),
        )


def read_lm_eval(path: Path) -> Metrics:
    """The metrics of a log, or of a folder's logs, one for each task.

    Of several runs of one task the newest is read, by the date in the files' names.

    Args:
        path: a file of samples, or a folder, searched with all that is in it.

    Returns:
        By name, `TASK/METRIC`, or `TASK/METRIC/FILTER` where a task has several filters. Asking
        for one that was logged but cannot be judged by sample raises a DataError that says why.

    Raises:
        DataError: no log, a line that is none of lm-eval's, a document twice, several models'
            runs of one task, or no metric that can be judged.
    """
    found: dict[str, Samples] = {}
    refused: dict[str, str] = {}
    for task, log in find_logs(path).items():
        summary = summary_of(log)
        columns = _columns(log)
        several = len({column.filtered for column in columns}) > 1
        for column in columns:
            ending = f"/{column.filtered}" if several else ""
            logged = f"{task}/{column.metric}{ending}"
            try:
                samples = column.samples(task, ending, summary)
            except ValueError as reason:
                refused[logged] = f"{log.name}, {reason}"
                continue
            found[samples.name] = samples
            if samples.name != logged:
                refused[logged] = f"its samples are log-likelihoods: ask for {samples.name}"
    if not found:
        raise DataError(
            "no metric that can be judged by sample",
            where=path,
            got="; ".join(f"{name}: {reason}" for name, reason in refused.items()) or "no metric",
        )
    return Metrics(found, refused, path)


@dataclass
class _Column:
    """One metric's values under one filter, each with its line."""

    metric: str
    filtered: str
    values: list[Any] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)

    def samples(self, task: str, ending: str, summary: Summary) -> Samples:
        """The values as numbers.

        Raises:
            ValueError: they are none, or their mean is not what is reported.
        """
        reported = _number(summary.reported(task, self.metric, self.filtered))
        values, kept = self._numbers(reported)
        metric, lower_is_better = self.metric, self.metric in LOWER_IS_BETTER
        if (higher := summary.higher_is_better(task, metric)) is not None:
            lower_is_better = not higher
        likelihoods = metric.endswith("perplexity") and bool((values <= 0).all())
        if likelihoods:  # a perplexity is 1 or more
            metric = metric.replace("perplexity", "log_likelihood_nats")
            reported = -math.log(reported) if reported > 0 else math.nan
            lower_is_better = False
        elif np.isin(values, (0, 1)).all():
            values = values.astype(bool)
        _check_mean(_mean(values), reported)
        lines = [line for line, keep in zip(self.lines, kept, strict=True) if keep]
        digests = tuple(line.digest for line in lines)
        return Samples(
            f"{task}/{metric}{ending}",
            tuple(line.id for line in lines),
            values,
            lower_is_better,
            digests if any(digests) else (),
        )

    def _numbers(self, reported: float) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """The finite values, and which they are."""
        for line, value in zip(self.lines, self.values, strict=True):
            if not isinstance(value, bool | int | float):
                reason = f"line {line.number}: {_described(value)} is no number"
                raise ValueError(reason)  # noqa: TRY004 - a reason, as the others
        values = np.array([_number(value) for value in self.values])
        kept = np.isfinite(values)
        if not kept.all() and not _same(_mean(values[kept]), reported):
            place = int(np.argmin(kept))
            raise ValueError(f"line {self.lines[place].number}: {values[place]} is not finite")
        return values[kept], kept


def _described(value: Any) -> str:
    if isinstance(value, list | dict):
        return f"a {type(value).__name__} of {len(value)}"
    return repr(value)[:60]


def _number(value: Any) -> float:
    """As a float; NaN where it is none."""
    try:
        return float(value) if isinstance(value, bool | int | float) else math.nan
    except OverflowError:
        return math.inf


def _same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-9)


def _mean(values: NDArray[Any]) -> float:
    with np.errstate(over="ignore"):
        return float(values.mean()) if len(values) else math.nan


def _check_mean(mean: float, reported: float) -> None:
    """Refuse a mean that is none, or is not lm-eval's own number, where there is one.

    Raises:
        ValueError: it is another.
    """
    if not math.isfinite(mean):
        raise ValueError("the values are too large for a mean")
    if math.isfinite(reported) and not _same(mean, reported):
        raise ValueError(
            f"the mean over samples is {mean:.6g}, and lm-eval's results say {reported:.6g}: "
            "the metric is no mean, or lines are missing"
        )


def _columns(log: Path) -> list[_Column]:
    """The log's metrics, each filter apart, in the order of the lines."""
    columns: dict[tuple[str, str], _Column] = {}
    for line in read_log(log):
        for metric, value in line.values.items():
            key = (line.filtered, metric)
            column = columns.setdefault(key, _Column(metric, line.filtered))
            column.values.append(value)
            column.lines.append(line)
    return list(columns.values())
