"""What quantization costs: differences, flips, and where the loss lies."""

from __future__ import annotations

import re
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from quantbench.report.drawing import (
    INK,
    OUTCOME_COLOURS,
    Drawn,
    blank,
    legend,
    looks,
    named_rows,
    plot_height,
    rows_height,
    write_beside,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quantbench.report.views import Judgement, Study, View

_IOU = re.compile(r"AP(\d\d)")
_AREAS = ("small", "medium", "large")
_CATEGORIES = 14  # rows of the per-class figure


def differences(study: Study) -> Drawn | None:
    """Forest plot of the paired differences, the margin drawn in."""
    known = [
        (case, case.judged)
        for case in study.cases
        if case.judged and not case.is_reference and case.judged.difference is not None
    ]
    metrics = {(judged.metric, judged.relative) for _, judged in known}
    if not known or len(metrics) > 1:
        return None
    figure, axes = blank(rows_height(len(known)))
    least, most = _reach([judged for _, judged in known])
    for row, (_, judged) in enumerate(known):
        _interval(axes, row, judged, (least, most))
    axes.set_xlim(least, most)
    axes.axvline(0, color=INK, linewidth=0.9)
    named_rows(axes, [case.scheme for case, _ in known])
    (metric, relative), judged = metrics.pop(), known[0][1]
    axes.set_xlabel(
        f"difference in {metric} to the float model" + (" (share of it)" if relative else "")
    )
    words = [
        f"{case.scheme} {judged.outcome}{', declared' * (case.expected == 'fail')}"
        for case, judged in known
        if judged.outcome != "pass"
    ]
    return Drawn(
        "differences",
        f"Difference in {metric}, quantized less float, on the same samples",
        f"Bars are intervals whose ends are one-sided bounds at {judged.confidence:.0%}, an arrow "
        "where nothing bounds them; the short upright line is the margin of each case, beyond "
        "which it fails. "
        + (f"Not passing: {'; '.join(words)}." if words else "All pass.")
        + _of_runtimes([case for case, _ in known]),
        figure,
    )


def _of_runtimes(cases: Sequence[View]) -> str:
    """Which differences are no quantization's."""
    floats = [f"{case.scheme} of {case.runtime}" for case in cases if case.runtime_float]
    return f" Float, so the runtime's own difference: {', '.join(floats)}." if floats else ""


def _reach(judged: Sequence[Judgement]) -> tuple[float, float]:
    """From the least to the most of what is drawn, with some room."""
    ends = [0.0, *(each.margin if each.lower_is_better else -each.margin for each in judged)]
    ends += [end for j in judged for end in (j.low, j.difference, j.high) if end is not None]
    room = 0.06 * (max(ends) - min(ends))
    return min(ends) - room, max(ends) + room


def _interval(axes: Any, row: int, judged: Judgement, reach: tuple[float, float]) -> None:
    colour = OUTCOME_COLOURS.get(judged.outcome, "#999999")
    low, high = (
        edge if end is None else end
        for end, edge in zip((judged.low, judged.high), reach, strict=True)
    )
    marker = {"pass": "o", "inconclusive": "D"}.get(judged.outcome, "X")
    axes.plot([low, high], [row, row], color=colour, linewidth=2.4, solid_capstyle="butt")
    for end, edge, arrow in ((judged.low, low, "<"), (judged.high, high, ">")):
        if end is None:
            axes.plot(edge, row, arrow, color=colour, markersize=9, clip_on=False)
    axes.plot(judged.difference, row, marker, color=colour, markersize=6, markeredgecolor=INK)
    margin = judged.margin if judged.lower_is_better else -judged.margin
    axes.plot([margin, margin], [row - 0.36, row + 0.36], color=INK, linewidth=1.6)


def flips(study: Study) -> Drawn | None:
    """Answers lost to the left, won to the right."""
    known = [
        (case, case.judged.flips, case.judged.n)
        for case in study.cases
        if case.judged and case.judged.flips and not case.is_reference
    ]
    if not known:
        return None
    figure, axes = blank(rows_height(len(known)))
    for row, (_, (lost, won), _) in enumerate(known):
        axes.barh(row, -lost, height=0.6, color="#D55E00")
        axes.barh(row, won, height=0.6, color="#0072B2")
        axes.annotate(
            str(lost),
            (-lost, row),
            (-4, 0),
            textcoords="offset points",
            va="center",
            ha="right",
            fontsize=9,
        )
        write_beside(axes, row, won, str(won))
    widest = max(max(pair) for _, pair, _ in known) or 1
    axes.set_xlim(-1.25 * widest, 1.25 * widest)
    axes.axvline(0, color=INK, linewidth=0.9)
    axes.xaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
    named_rows(axes, [case.scheme for case, _, _ in known])
    axes.set_xlabel("answers lost (left) and won (right) against the float model")
    even = [
        f"{case.scheme} changed {lost + won} answers to move by {won - lost:+d}"
        for case, (lost, won), _ in known
        if min(lost, won) > 0 and lost + won > 2 * abs(won - lost)
    ]
    return Drawn(
        "flips",
        "Flips: right before and wrong now, and the other way",
        f"Of {known[0][2]} samples. " + ("; ".join(even) + "." if even else ""),
        figure,
    )


def by_iou(study: Study) -> Drawn | None:
    """AP by the IoU that a detection needs."""
    curves = []
    for case in study.cases:
        found = [
            (int(match[1]) / 100, number.value)
            for name, number in case.metrics.items()
            if (match := _IOU.fullmatch(name)) and number.value is not None
        ]
        if len(found) > 1:
            curves.append((case, sorted(found)))
    if not curves:
        return None
    figure, axes = blank(plot_height(len(study.cases)))
    for case, curve in curves:
        axes.plot(
            [iou for iou, _ in curve],
            [value for _, value in curve],
            label=case.scheme,
            markersize=4.5,
            linewidth=1.3,
            **looks(study.cases)[case.scheme],
        )
    axes.set_xlabel("IoU threshold")
    axes.set_ylabel("AP")
    axes.set_ylim(bottom=0)
    legend(figure, study.cases)
    return Drawn("ap_by_iou", "AP by IoU threshold", _steepest(curves, study), figure)


def _steepest(curves: Sequence[tuple[View, list[tuple[float, float]]]], study: Study) -> str:
    reference = next((dict(curve) for case, curve in curves if case is study.reference), None)
    if reference is None:
        return "AP at each IoU threshold of COCO's protocol."
    drops = [
        (value - reference[iou], iou, case.scheme)
        for case, curve in curves
        for iou, value in curve
        if iou in reference
    ]
    drop, iou, scheme = min(drops, default=(0.0, 0.0, ""))
    if drop >= 0:
        return "No scheme is below the float model at any threshold."
    return f"The largest drop is {scheme}'s at IoU {iou:.2f}: {drop:+.3f}."


def by_area(study: Study) -> Drawn | None:
    """AP and AR of small, medium and large objects."""
    known = [c for c in study.cases if any(_value(c, f"AP_{area}") is not None for area in _AREAS)]
    if not known:
        return None
    figure, panels = blank(rows_height(len(known)) + 0.5, columns=2, sharey=True)
    colours = dict(zip(_AREAS, ("#56B4E9", "#E69F00", "#009E73"), strict=True))
    for axes, metric in zip(panels, ("AP", "AR"), strict=True):
        for area, marker in zip(_AREAS, "os^", strict=True):
            found = [
                (row, value)
                for row, case in enumerate(known)
                if (value := _value(case, f"{metric}_{area}")) is not None
            ]
            if found:
                rows, values = zip(*found, strict=True)
                axes.plot(
                    values,
                    rows,
                    marker,
                    color=colours[area],
                    markersize=7,
                    label=f"{area} objects",
                    markeredgecolor=INK,
                    markeredgewidth=0.6,
                )
        named_rows(axes, [case.scheme for case in known])
        axes.set_xlabel(metric)
        axes.set_xlim(-0.03, 1.03)  # markers at the ends are whole
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, handletextpad=0.2)
    return Drawn(
        "ap_by_area",
        "AP and AR by object area",
        f"Small is below 32 x 32 pixels, large above 96 x 96 (COCO). {_hardest(known, study)}",
        figure,
    )


def _hardest(known: Sequence[View], study: Study) -> str:
    reference = study.reference
    if reference is None:
        return ""
    drops = [
        (value - was, area, case.scheme)
        for case in known
        for area in _AREAS
        if (value := _value(case, f"AP_{area}")) is not None
        and (was := _value(reference, f"AP_{area}")) is not None
    ]
    drop, area, scheme = min(drops, default=(0.0, "", ""))
    return f"The largest loss is {scheme}'s on {area} objects: {drop:+.3f} AP." if drop < 0 else ""


def by_category(study: Study) -> Drawn | None:
    """Change of AP by category, of the case that loses most among those that still work."""
    reference = study.reference
    losing = [
        case
        for case in study.cases
        if case is not reference and any(name.startswith("AP_category_") for name in case.metrics)
    ]
    if reference is None or not losing:
        return None
    case = _worst_alive(losing)
    changes = sorted(
        (value - was, case.labels.get(name.removeprefix("AP_category_"), name[len("AP_") :]))
        for name in case.metrics
        if name.startswith("AP_category_")
        and (value := _value(case, name)) is not None
        and (was := _value(reference, name)) is not None
    )
    if not changes:
        return None
    figure, of = _change_of_each(changes, f"change of AP under {case.scheme}")
    return Drawn(
        "ap_by_category",
        f"Change of AP by category, {case.scheme}",
        f"Shown: {of} categories. The mean change is "
        f"{sum(change for change, _ in changes) / len(changes):+.3f}; a category with few objects "
        "moves by chance.",
        figure,
    )


def by_class(study: Study) -> Drawn | None:
    """Change of the share of right answers by class, of the case that loses most and works."""
    known = [case for case in study.cases if case.by_class and not case.is_reference]
    if not known:
        return None
    case = _worst_alive(known)
    changes = sorted(
        ((right - were) / n, f"{case.labels.get(name, name)} ({n})")
        for name, (n, right, were) in case.by_class.items()
        if n
    )
    moved = [change for change, _ in changes if change]
    if not moved:
        return None
    figure, of = _change_of_each(
        changes, f"change of the share of right answers under {case.scheme}"
    )
    return Drawn(
        "right_by_class",
        f"Change of right answers by class, {case.scheme}",
        f"Shown: {of} classes, with the number of their samples; {len(moved)} of {len(changes)} "
        "changed. A class with few samples moves by chance.",
        figure,
    )


def _worst_alive(cases: Sequence[View]) -> View:
    """The case that loses most among those that still work, else among all."""
    alive = [case for case in cases if case.verdict in {"pass", "inconclusive", "fail"}]
    return max(alive or cases, key=attrgetter("loss"))


def _change_of_each(changes: Sequence[tuple[float, str]], label: str) -> tuple[Any, str]:
    """A figure of the lowest and highest of sorted changes, and which those are."""
    half = _CATEGORIES // 2
    shown = changes if len(changes) <= _CATEGORIES else [*changes[:half], *changes[-half:]]
    figure, axes = blank(rows_height(len(shown)))
    for row, (change, _) in enumerate(shown):
        axes.plot([0, change], [row, row], color="#999999", linewidth=1.2, zorder=1)
        colour = "#D55E00" if change < 0 else "#0072B2"
        axes.plot(change, row, "o" if change < 0 else "s", color=colour, markersize=6)
    axes.axvline(0, color=INK, linewidth=0.9)
    named_rows(axes, [name for _, name in shown])
    axes.set_xlabel(label)
    of = f"the {half} most lowered and most raised of {len(changes)}" if shown != changes else "all"
    return figure, of


def as_published(study: Study) -> Drawn | None:
    """The published studies' quality beside the corrected one."""
    return _beside(
        study,
        ("precision_iou0.01_score0.5", "precision at IoU .01, score .5"),
        ("AP", "COCO's AP"),
    ) or _beside(study, ("top1", "first token alone"), ("accuracy", "whole word"))


def speed_as_published(study: Study) -> Drawn | None:
    """The published study's tokens/s beside what the warmed-up model does."""
    return _beside(
        study,
        ("evaluation_tokens_per_s", "tokens/s over the whole evaluation, in batches"),
        ("prefill_tokens_per_s", "tokens/s of the warmed-up model, one passage"),
    )


def _beside(study: Study, theirs: tuple[str, str], ours: tuple[str, str]) -> Drawn | None:
    """Two metrics of each case, each by name and by what it is."""
    known = [
        (case, was, value)
        for case in study.cases
        if (was := _value(case, theirs[0])) is not None
        and (value := _value(case, ours[0])) is not None
    ]
    if not known:
        return None
    figure, axes = blank(rows_height(len(known)) + 0.4)
    for row, (_, was, value) in enumerate(known):
        axes.plot([was, value], [row, row], color="#999999", linewidth=1.2, zorder=1)
    rows = range(len(known))
    axes.plot(
        [was for _, was, _ in known],
        rows,
        "o",
        markerfacecolor="none",
        markeredgecolor="#D55E00",
        markersize=7,
        label=f"as published: {theirs[1]}",
    )
    axes.plot(
        [value for *_, value in known],
        rows,
        "s",
        color="#0072B2",
        markersize=6,
        label=f"corrected: {ours[1]}",
    )
    named_rows(axes, [case.scheme for case, _, _ in known])
    axes.set_xlim(left=0)
    axes.set_xlabel(f"{theirs[0]} and {ours[0]}")
    figure.legend(loc="outside lower center", ncols=1)
    case, was, value = max(known, key=lambda each: abs(each[1] - each[2]))
    return Drawn(
        f"as_published_{ours[0]}",
        f"{theirs[0]} as published, {ours[0]} corrected",
        f"They differ most for {case.scheme}: {was:.4g} as published, {value:.4g} corrected.",
        figure,
    )


def _value(case: View, name: str) -> float | None:
    number = case.metrics.get(name)
    return number.value if number else None
