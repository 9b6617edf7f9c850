"""Quality against what it costs, with the cases that no other one beats in both."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any

from quantbench.report.drawing import (
    INK,
    Drawn,
    bars,
    blank,
    legend,
    looks,
    plot_height,
    rows_height,
    spread,
    write_beside,
)
from quantbench.report.figures.cost import log_milliseconds
from quantbench.report.numbers import digits, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from quantbench.report.views import Number, Study, View

Point = tuple["View", float, "Number"]  # case, cost, quality
_FEW = 2  # points that make a comparison


def quality_and_size(study: Study) -> Drawn | None:
    """Pareto front of quality and bytes."""
    found = over_megabytes(study, attrgetter("weights_bytes"), "weights as stored (MB)")
    title = f"{study.metric} against size"
    return Drawn("quality_size", title, *found) if found else None


def over_megabytes(
    study: Study, size: Callable[[View], float | None], label: str
) -> tuple[str, Any] | None:
    """Caption and figure of quality over bytes of some kind; None of a single case."""
    points = points_of(study, lambda case: (n := size(case)) and n / 1e6)
    if len(points) < _FEW:
        return None
    figure, axes = blank(plot_height(len(study.cases)))
    scatter(figure, axes, study, points)
    axes.set_xlabel(label)
    axes.set_xlim(0, max(cost for _, cost, _ in points) * 1.08)
    return front_caption(points, study, "smaller"), figure


def quality_and_latency(study: Study) -> Drawn | None:
    """Pareto front of quality and median latency."""
    points = points_of(study, _milliseconds)
    if len(points) < _FEW:
        return None
    figure, axes = blank(plot_height(len(study.cases)))
    scatter(figure, axes, study, points)
    for case, cost, quality in points:
        if case.box:
            quartiles = (cost - case.box.q1 * 1e3, case.box.q3 * 1e3 - cost)
            bounded = [[max(side, 0.0)] for side in quartiles]
            colour = looks(study.cases)[case.scheme]["color"]
            axes.errorbar(cost, quality.value, xerr=bounded, color=colour, linewidth=1)
    log_milliseconds(axes, [cost for _, cost, _ in points])
    title = f"{study.metric} against latency"
    caption = f"{front_caption(points, study, 'faster')} Across: the quartiles of the rounds."
    caption += " The shape is the runtime's." if len(study.runtimes) > 1 else ""
    return Drawn("quality_latency", title, caption, figure)


def quality_and_energy(study: Study) -> Drawn | None:
    """Pareto front of quality and joules of a sample."""
    points = points_of(study, attrgetter("joules"))
    if len(points) < _FEW:
        return None
    most = max(cost for _, cost, _ in points)
    scale, unit = (1.0, "J") if most >= 1 else (1e3, "mJ")
    points = [(case, cost * scale, quality) for case, cost, quality in points]
    figure, axes = blank(plot_height(len(study.cases)))
    scatter(figure, axes, study, points)
    for case, cost, quality in points:
        own = case.energies
        if own.low is not None and own.high is not None:
            sides = cost - own.low * scale, own.high * scale - cost
            colour = looks(study.cases)[case.scheme]["color"]
            bounds = [[max(side, 0.0)] for side in sides]
            axes.errorbar(cost, quality.value, xerr=bounds, color=colour, linewidth=1)
    how = ", ".join(sorted({case.energy for case, _, _ in points}))
    axes.set_xlabel(f"energy of a sample ({unit}, {how})")
    axes.set_xlim(0, most * scale * 1.12)
    caption = f"{front_caption(points, study, 'thriftier')} Across: the interval of the mean."
    by = "; ".join(dict.fromkeys(f"{case.energy} by {case.energies.by}" for case, _, _ in points))
    title = f"{study.metric} against energy ({how})"
    return Drawn("quality_energy", title, f"{caption} Energy {by}.", figure)


def quality_and_latency_bars(study: Study) -> Drawn | None:
    """Both as bars, fastest first."""
    points = sorted(points_of(study, _milliseconds), key=lambda point: point[1])
    if len(points) < _FEW:
        return None
    figure, panels = blank(rows_height(len(points)), columns=2, sharey=True)
    colours = [looks(study.cases)[case.scheme]["color"] for case, _, _ in points]
    names = [case.scheme for case, _, _ in points]
    for axes, values, form, label in (
        (panels[0], [cost for _, cost, _ in points], digits, "latency (ms)"),
        (panels[1], [float(q.value or 0) for _, _, q in points], plain, str(study.metric)),
    ):
        bars(axes, names, values, color=colours)
        for row, value in enumerate(values):
            write_beside(axes, row, max(value, 0.0), form(value))
        axes.set_xlim(0, max(*values, 1e-9) * 1.35)
        axes.set_xlabel(label)
    best = max(points, key=lambda p: (-1 if study.lower_is_better else 1) * float(p[2].value or 0))
    return Drawn(
        "quality_latency_bars",
        f"Latency and {study.metric}, fastest first",
        f"Fastest: {points[0][0].scheme}, {digits(points[0][1])} ms; "
        f"best {study.metric}: {best[0].scheme}, {plain(best[2].value or 0)}.",
        figure,
    )


def _milliseconds(case: View) -> float | None:
    return case.latency_s and case.latency_s * 1e3


def points_of(study: Study, cost: Callable[[View], float | None]) -> list[Point]:
    """The cases that have both, by the study's metric."""
    found = []
    for case in study.cases:
        paid, quality = cost(case), case.metrics.get(study.metric or "")
        if paid and quality is not None and quality.value is not None:
            found.append((case, float(paid), quality))
    return found


def scatter(figure: Any, axes: Any, study: Study, points: Sequence[Point]) -> None:
    """Points with intervals of their quality, and the front as steps."""
    for case, cost, quality in points:
        point(axes, study, case, cost, quality)
    front = sorted(pareto(points, lower_is_better=study.lower_is_better), key=lambda p: p[1])
    axes.plot(
        [cost for _, cost, _ in front],
        [quality.value for _, _, quality in front],
        color=INK,
        linewidth=0.9,
        linestyle="--",
        drawstyle="steps-post",
        zorder=1,
    )
    axes.set_ylabel(f"{study.metric}, interval at {points[0][2].confidence:.0%}")
    legend(figure, study.cases)


def point(axes: Any, study: Study, case: View, cost: float, number: Number) -> None:
    """A case's number with its interval over what it costs."""
    axes.errorbar(
        cost,
        number.value,
        yerr=spread(number),
        linestyle="none",
        markersize=7,
        capsize=2,
        linewidth=1,
        markeredgecolor=INK,
        markeredgewidth=0.6,
        label=case.scheme,
        **looks(study.cases)[case.scheme],
    )


def pareto(points: Sequence[Point], *, lower_is_better: bool) -> list[Point]:
    """Points that no other one beats: cheaper and as good, or as cheap and better.

    A case that fails its gate stands on no front and beats nobody. As good is what differs by no
    more than the noise of the comparison: half the wider one of their paired intervals.
    """
    sign = -1 if lower_is_better else 1
    standing = [point for point in points if not point[0].verdict.startswith(("fail", "error"))]

    def beaten(point: Point) -> bool:
        case, cost, quality = point[0], point[1], sign * float(point[2].value or 0)
        for rival, paid, number in standing:
            better = sign * float(number.value or 0)
            as_good = better >= quality - max(_noise(case), _noise(rival))
            if (paid < cost and as_good) or (paid <= cost and better > quality):
                return True
        return False

    return [point for point in standing if not beaten(point)]


def _noise(case: View) -> float:
    """Half the interval of its difference to the float model, in the unit of its headline."""
    judged = case.judged
    if judged is None or judged.relative or judged.metric != case.headline:
        return 0.0
    return 0.0 if judged.low is None or judged.high is None else (judged.high - judged.low) / 2


def front_caption(points: Sequence[Point], study: Study, better: str) -> str:
    """Who is on the front, in words."""
    front = pareto(points, lower_is_better=study.lower_is_better)
    names = ", ".join(case.scheme for case, _, _ in sorted(front, key=lambda p: p[1]))
    said = f"No case that passes is {better} and as good as those on the dashed front: {names}. "
    return (said if front else "Every case fails: there is no front. ") + (
        "Differences below the noise of the paired comparison do not count. "
        "Error bars are the intervals of single values."
    )
