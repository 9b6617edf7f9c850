"""Results out of lm-evaluation-harness' logs, task by task: which metric is judged, what pairs."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING

from quantbench.errors import DataError, UsageError, meant
from quantbench.judge.samples import check_enough, distinct, paired, results_of
from quantbench.report.reports import names_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from quantbench.judge.lm_eval_logs import Metrics
    from quantbench.judge.samples import Samples
    from quantbench.run.results import Results


def lm_eval_sets(
    paths: Sequence[str | Path], metric: str | None = None
) -> tuple[list[list[Results]], dict[str, str]]:
    """The results of each task, the reference's first; and what is left out, with the reason.

    Raises:
        DataError: a log is not what it should be, a path has a task that another has not, or
            samples do not pair.
        UsageError: no task has the metric.
    """
    from quantbench.judge.lm_eval_logs import read_lm_eval

    found = [Path(path) for path in paths]
    check_enough(found)
    names = names_of(found)
    logs = [read_lm_eval(path) for path in found]
    _check_same_tasks(dict(zip(names, logs, strict=True)))
    chosen, left_out = _chosen(logs[0], metric)
    sets = []
    for task, samples in chosen.items():
        others = [
            paired(samples, log[samples.name], (names[0], name))
            for name, log in zip(names[1:], logs[1:], strict=True)
        ]
        sides = [distinct(side) for side in (samples, *others)]
        sets.append(results_of(sides, names, found, task, len(samples.ids) - len(sides[0].ids)))
    return sets, left_out


def _check_same_tasks(logs: Mapping[str, Metrics]) -> None:
    (first, reference), *others = logs.items()
    for name, log in others:
        for (one, here), (two, there) in permutations([(first, reference), (name, log)]):
            lacking = sorted(_tasks(here) - _tasks(there))
            if lacking:
                raise DataError(
                    "tasks do not pair",
                    where=two,
                    expected=f"the tasks of {one}",
                    got=f"{len(lacking)} of them missing, first {lacking[0]}",
                    remedy="name the samples files of the tasks that both have",
                )


def _tasks(log: Metrics) -> set[str]:
    return {name.partition("/")[0] for name in (*log, *log.refused)}


def _chosen(log: Metrics, metric: str | None) -> tuple[dict[str, Samples], dict[str, str]]:
    """One metric of each task: the one asked for, or the first of right and wrong answers.

    And the tasks that have none, with the reason.
    """
    chosen, left_out = {}, {}
    for task in sorted(_tasks(log)):
        offered = [each for each in log.values() if each.name.partition("/")[0] == task]
        right = [each for each in offered if each.values.dtype == bool]
        if metric is not None:
            offered = [each for each in offered if each.name == f"{task}/{metric}"]
            right = []
        if offered:
            chosen[task] = (right or offered)[0]
        else:
            left_out[task] = _why_not(log, task, metric)
    if not chosen:
        every = sorted({name.partition("/")[2] for name in log})
        raise UsageError(
            f"no task has the metric {metric!r}",
            expected=", ".join(every),
            got="; ".join(f"{task}: {why}" for task, why in left_out.items()),
            remedy=meant(str(metric), every),
        )
    return chosen, left_out


def _why_not(log: Metrics, task: str, metric: str | None) -> str:
    reasons = [
        f"{name.partition('/')[2]}: {why}"
        for name, why in log.refused.items()
        if name.partition("/")[0] == task and metric in {None, name.partition("/")[2]}
    ]
    return "; ".join(reasons) or f"it has no {metric}"
