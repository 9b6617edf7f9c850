"""What quantization buys: bytes and time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantbench.report.drawing import (
    INK,
    Drawn,
    bars,
    blank,
    looks,
    named_rows,
    rows_height,
    write_beside,
)
from quantbench.report.numbers import digits, milliseconds

if TYPE_CHECKING:
    from quantbench.report.views import Study, View


def size(study: Study) -> Drawn | None:
    """Bytes of the weights by scheme."""
    known = [(case, case.weights_bytes) for case in study.cases if case.weights_bytes]
    if not known:
        return None
    figure, axes = blank(rows_height(len(known)))
    colours = [looks(study.cases)[case.scheme]["color"] for case, _ in known]
    megabytes = [weight / 1e6 for _, weight in known]
    bars(axes, [case.scheme for case, _ in known], megabytes, color=colours)
    for row, (case, weight) in enumerate(known):
        ratio = f" (x{case.size_ratio:.2f})" if case.size_ratio else ""
        write_beside(axes, row, weight / 1e6, f"{digits(weight / 1e6)}{ratio}")
    axes.set_xlim(0, max(megabytes) * 1.25)
    axes.set_xlabel("weights as stored (MB)")
    least = min(known, key=lambda pair: pair[1])
    return Drawn("size", "Size by scheme", f"{_smallest(*least)}", figure)


def _smallest(case: View, weight: float) -> str:
    ratio = case.size_ratio
    share = f", {ratio:.2f} of the float model's" if ratio else ""
    return f"The smallest is {case.scheme}: {digits(weight / 1e6)} MB{share}."


def latency(study: Study) -> Drawn | None:
    """Box plot of the timed rounds, on a log axis."""
    known = [(case, case.box) for case in study.cases if case.box]
    if not known:
        return None
    figure, axes = blank(rows_height(len(known)))
    boxes = [
        {
            "whislo": box.low * 1e3,
            "q1": box.q1 * 1e3,
            "med": box.median * 1e3,
            "q3": box.q3 * 1e3,
            "whishi": box.high * 1e3,
        }
        for _, box in known
    ]
    shown = axes.bxp(
        boxes,
        positions=range(len(known)),
        orientation="horizontal",
        showfliers=False,
        patch_artist=True,
        widths=0.6,
        medianprops={"color": INK, "linewidth": 1.6},
        whiskerprops={"color": INK},
        capprops={"color": INK},
        manage_ticks=False,
    )
    for (case, _), patch in zip(known, shown["boxes"], strict=True):
        patch.set(facecolor=looks(study.cases)[case.scheme]["color"], edgecolor=INK)
    named_rows(axes, [case.scheme for case, _ in known])
    log_milliseconds(axes, [side * 1e3 for _, box in known for side in (box.low, box.high)])
    fastest = min(known, key=lambda pair: pair[1].median)[0]
    how = sorted({case.timed_by for case, _ in known})
    ratio = fastest.latency_ratio
    than = f", {ratio:.2f} of the float model's time" if ratio else ""
    return Drawn(
        "latency",
        "Latency of one sample by scheme",
        f"The fastest is {fastest.scheme}, median {milliseconds(fastest.latency_s)}{than}. "
        "Boxes are quartiles, whiskers the extremes of all rounds. "
        f"Timed with {'; '.join(how)}.",
        figure,
    )


def log_milliseconds(axes: object, values: list[float]) -> None:
    """A log axis in milliseconds, labelled in plain numbers even within one decade."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")  # type: ignore[attr-defined]
    axes.set_xlim(min(values) / 1.15, max(values) * 1.15)  # type: ignore[attr-defined]
    axis = axes.xaxis  # type: ignore[attr-defined]
    wide = max(values) / min(values) > 30  # noqa: PLR2004 - a decade and a half
    axis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 3.0, 5.0, 7.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("latency (ms, log scale)")  # type: ignore[attr-defined]
