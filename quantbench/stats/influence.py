"""How much each sample moves a metric: what the interval of a paired difference is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.protocols import Influence

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from quantbench.protocols import Numbers, Row

_CHUNK = 256  # rows of weights at a time: n of them need not fit in memory


def mean_influence(values: NDArray[Any]) -> Influence:
    """Of a mean over samples, [samples]; booleans are a share's, in [0, 1].

    A mean of numbers without known bounds is taken to reach as far as its most extreme sample.
    """
    numbers = values.astype(np.float64)
    change = (numbers - numbers.mean())[None] / len(numbers)
    shown = np.ones(change.shape, dtype=bool)
    if values.dtype == bool:
        return Influence(change, shown)
    return Influence(change, shown, float(numbers.min()), float(numbers.max()))


def ratio_influence(
    above: NDArray[np.float64], below: NDArray[np.float64], least: float = 0.0, most: float = 1.0
) -> Influence:
    """Of a sum of `above` over a sum of `below`, [samples] each, which lies in [least, most].

    Samples where `below` is zero have no say in how many there are.
    """
    total = below.sum()
    change = (above - above.sum() / total * below) / total
    return Influence(change[None], (below > 0)[None], least, most)


def numeric_influence(
    metric: Callable[[NDArray[np.float64]], NDArray[np.float64]], n: int
) -> Influence:
    """Of any smooth function of sample weights, by leaving out one sample at a time.

    The jackknife (Tukey, 1958). It is wrong for what is no smooth function of the weights, such as
    a median: a task that has such a metric must give its influence itself.

    Args:
        metric: values [rows] for weights [rows, samples].
        n: samples.
    """
    value = float(metric(np.ones((1, n)))[0])
    change: NDArray[np.float64] = np.empty(n)
    for start in range(0, n, _CHUNK):
        stop = min(start + _CHUNK, n)
        weights = np.ones((stop - start, n))
        weights[np.arange(stop - start), np.arange(start, stop)] = 0
        change[start:stop] = value - metric(weights)
    change = np.nan_to_num(change)  # undefined without this one sample
    change = (change - change.mean()) * (n - 1) / n
    reach = float(n * np.abs(change).max(initial=0.0))
    shown = np.ones((1, n), dtype=bool)
    return Influence(change[None], shown, value - reach, value + reach)


def influence_of(
    task: Numbers, rows: Sequence[Row], reference: Sequence[Row] | None, metric: str
) -> Influence:
    """How much each sample moves a metric: as the task says, or by leaving out one at a time.

    Args:
        task: that counts the rows.
        rows: of the model.
        reference: of its float model, where the metric may be one of agreement.
        metric: a name of `Task.summarise` or `Task.agree`.
    """
    for theirs in (None, reference) if reference is not None else (None,):
        values = task.per_sample(rows, theirs).get(metric)
        if values is not None:
            return mean_influence(values)
        said = getattr(task, "influence", None)  # a task from outside may leave it to us
        if said is not None and (found := said(metric, rows, theirs)) is not None:
            known: Influence = found
            return known
    if metric in task.summarise(rows, np.ones((1, len(rows)))):
        return numeric_influence(lambda weights: task.summarise(rows, weights)[metric], len(rows))
    theirs = reference or []
    return numeric_influence(lambda weights: task.agree(rows, theirs, weights)[metric], len(rows))
