"""The questions of the published studies, answered from the views of record files."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from scipy import stats

from benchmarks.published.figures import LAMBADA_ALL, VAL2017, known_score
from quantbench.report.numbers import milliseconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from quantbench.report.views import View

IOUS = tuple(f"AP{percent}" for percent in range(50, 100, 5))
AREAS = ("AP_small", "AP_medium", "AP_large")
_FEWEST = 4  # points of a correlation: Fisher's interval divides by n - 3
_CONFIDENCE = 0.95
_DOUBLE = 2.0
_UNANSWERED = "Not answered: "


def answers(views: Sequence[View]) -> Iterator[tuple[str, list[str]]]:
    """Each question with the sentences that answer it."""
    yield "Does dynamic int8 double the time, and why?", list(doubled(views))
    yield "What remains at each IoU and area?", list(remaining(views))
    yield "Is the correlation of speed and precision real?", list(correlated(views))
    yield "Was the IoU right?", list(iou_right(views))


def doubled(views: Sequence[View]) -> Iterator[str]:
    """By the quartiles of both cases' rounds, and by the ops that take longer."""
    pairs = [
        (view, beside)
        for view in views
        if view.scheme.startswith("int8_dynamic") and (beside := _float_of(view, views))
    ]
    timed = [(view, beside) for view, beside in pairs if view.box and beside.box]
    if not timed:
        yield f"{_UNANSWERED}no int8_dynamic case was timed beside its float model."
    for view, beside in timed:
        if view.box is None or beside.box is None:
            continue
        low, high = view.box.q1 / beside.box.q3, view.box.q3 / beside.box.q1
        says = "undecided by the quartiles of the rounds"
        if low >= _DOUBLE:
            says = "it does"
        elif high < _DOUBLE:
            says = "it does not"
        yield (
            f"{view.model}{_untrained(view)}: {says}: {milliseconds(view.box.median)} against "
            f"{milliseconds(beside.box.median)} in float, {low:.2f} to {high:.2f} times."
        )
        slowest = view.speed.slowest if view.speed else None
        if slowest is None:
            yield f"Why was not asked: run `quantbench diagnose --speed {view.case}`."
        else:
            yield from (f"Why: {cause}" for cause in slowest.causes)


def remaining(views: Sequence[View]) -> Iterator[str]:
    """Shares of the float model's AP, by IoU threshold and by area."""
    found = 0
    for view in views:
        beside = _float_of(view, views)
        if view.dataset != VAL2017.name or beside is None or beside is view:
            continue
        shares = [(name, _share(view, beside, name)) for name in (*IOUS, *AREAS)]
        known = [f"{name} {share:.0%}" for name, share in shares if share is not None]
        if known:
            found += 1
            yield f"{view.model} {view.scheme}: {', '.join(known)} of the float model's."
    if not found:
        yield f"{_UNANSWERED}no quantized detector was evaluated on {VAL2017.name}."


def correlated(views: Sequence[View]) -> Iterator[str]:
    """Pearson's r of inferences a second and the headline metric, with Fisher's interval.

    Fisher, Biometrika 10, 1915. Cases of one model share images and network, so r within a model
    and r over all models are told apart: the second is mostly that of the models.
    """
    studied = {VAL2017.name: "AP", LAMBADA_ALL.name: "accuracy"}
    told = 0
    for dataset, metric in studied.items():
        points = sorted(_points(views, dataset, metric))
        groups = [(model, [p[1:] for p in each]) for model, each in groupby(points, lambda p: p[0])]
        if len(groups) > 1:
            groups.append((f"all on {dataset}", [p[1:] for p in points]))
        for name, each in groups:
            told += 1
            yield f"{name}: {_correlation(each, metric)}"
    if not told:
        yield f"{_UNANSWERED}no case was both timed and evaluated."


def iou_right(views: Sequence[View]) -> Iterator[str]:
    """Whether the float models reproduce their authors' AP, by COCO's thresholds."""
    told = 0
    for view in views:
        known = known_score(view.model)
        metric = view.metrics.get("AP")
        if view.dataset != VAL2017.name or not view.is_reference or not (known and metric):
            continue
        told += 1
        value, whole = metric.value or 0.0, view.n == VAL2017.default_n
        near = abs(value - known.value) <= known.tolerance
        says = "not told by a part of the images"
        if whole:
            says = "it is here" if near else "it is not, or the model is fed wrongly"
        yield (
            f"{view.model}: {says}: AP {value:.3f} on {view.n:,} images, {known.value:.3f} by "
            f"{known.source}. Two implementations, matching at IoU .50 to .95, had to agree on it."
        )
    if not told:
        yield f"{_UNANSWERED}no float detector was evaluated on {VAL2017.name}."


def _points(views: Iterable[View], dataset: str, metric: str) -> Iterator[tuple[str, float, float]]:
    for view in views:
        number = view.metrics.get(metric)
        if view.dataset == dataset and view.latency_s and number and number.value is not None:
            yield view.model, 1 / view.latency_s, number.value


def _correlation(points: Sequence[tuple[float, float]], metric: str) -> str:
    if len(points) < _FEWEST:
        return f"{len(points)} cases, and an interval needs {_FEWEST}: nothing can be said."
    speeds, values = zip(*points, strict=True)
    if len(set(speeds)) == 1 or len(set(values)) == 1:
        return f"{len(points)} cases without a difference in speed or {metric}: there is none."
    found = stats.pearsonr(speeds, values)
    bounds = found.confidence_interval(_CONFIDENCE)
    real = bounds.low > 0 or bounds.high < 0
    return (
        f"r = {found.statistic:+.2f} [{bounds.low:+.2f}, {bounds.high:+.2f}] of inferences a "
        f"second and {metric}, {len(points)} cases: {'' if real else 'not '}told from none."
    )


def _float_of(view: View, views: Iterable[View]) -> View | None:
    """The case that it is judged against, of the same run."""
    same = (each for each in views if each.case == view.reference and each.run == view.run)
    return next(same, None)


def _share(view: View, beside: View, name: str) -> float | None:
    now, was = view.metrics.get(name), beside.metrics.get(name)
    if now is None or was is None or now.value is None or not was.value:
        return None
    return now.value / was.value


def _untrained(view: View) -> str:
    return " (random weights)" if view.random_weights else ""
