"""What the study of language models drew: accuracy, bits, memory, speed."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

from quantbench.report.drawing import Drawn, blank, legend, looks, plot_height, spread
from quantbench.report.figures.tradeoffs import over_megabytes, point
from quantbench.report.numbers import digits

if TYPE_CHECKING:
    from quantbench.report.views import Study

_RATES = ("decode_tokens_per_s", "prefill_tokens_per_s", "evaluation_tokens_per_s")
_FEW = 2
_MEMORY = "memory footprint of the loaded model (MB)"


def by_bits(study: Study) -> Drawn | None:
    """Top-1 and top-5 by bits of a weight."""
    known = [c for c in study.cases if c.bits and {"top1", "top5"} <= set(c.metrics)]
    bits = sorted({case.bits or 0 for case in known})
    if len(bits) < _FEW:
        return None
    figure, axes = blank(plot_height(len(study.cases)))
    places = {width: place for place, width in enumerate(bits)}
    for metric, filled in (("top1", True), ("top5", False)):
        for width in bits:
            same = [case for case in known if case.bits == width]
            for i, case in enumerate(same):
                number = case.metrics[metric]
                if number.value is None:
                    continue
                style = looks(study.cases)[case.scheme]
                axes.errorbar(
                    places[width] + 0.13 * (i - (len(same) - 1) / 2),
                    number.value,
                    yerr=spread(number),
                    linestyle="none",
                    markersize=7,
                    linewidth=1,
                    markerfacecolor=style["color"] if filled else "none",
                    markeredgecolor=style["color"],
                    label=case.scheme if filled else None,
                    **style,
                )
    axes.set_xticks(range(len(bits)), [_width(width, study) for width in bits])
    axes.set_xlim(-0.6, len(bits) - 0.4)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("bits of a weight")
    axes.set_ylabel("share of samples")
    legend(figure, study.cases)
    worst = min(known, key=lambda case: case.metrics["top1"].value or 0.0)
    return Drawn(
        "top_by_bits",
        "Top-1 and top-5 by bits of a weight",
        "Filled: the likeliest answer is right (top-1), of a language model its first token; "
        "hollow: the right one is among the five likeliest. "
        f"Lowest is {worst.scheme}: {worst.metrics['top1'].value or 0:.1%} and "
        f"{worst.metrics['top5'].value or 0:.1%}.",
        figure,
    )


def _width(bits: int, study: Study) -> str:
    reference = study.reference
    return f"{bits} (float)" if reference is not None and reference.bits == bits else str(bits)


def quality_and_memory(study: Study) -> Drawn | None:
    """Accuracy against the memory that the model takes while it answers."""
    if not any("top1" in case.metrics for case in study.cases):
        return None
    found = over_megabytes(study, attrgetter("footprint_bytes"), _MEMORY)
    if found is None:
        return None
    caption, figure = found
    return Drawn(
        "accuracy_memory",
        f"{study.metric} against memory",
        f"{caption} Memory is transformers' get_memory_footprint(), the published study's figure.",
        figure,
    )


def speed_and_memory(study: Study) -> Drawn | None:
    """Tokens a second against memory."""
    rate = next((r for r in _RATES if sum(r in c.metrics for c in study.cases) >= _FEW), None)
    if rate is None:
        return None
    known = [
        (case, case.footprint_bytes / 1e6, number)
        for case in study.cases
        if case.footprint_bytes
        and (number := case.metrics.get(rate)) is not None
        and number.value is not None
    ]
    if len(known) < _FEW:
        return None
    figure, axes = blank(plot_height(len(study.cases)))
    for case, memory, number in known:
        point(axes, study, case, memory, number)
    axes.set_xlabel(_MEMORY)
    axes.set_ylabel("tokens/s")
    axes.set_xlim(0, max(memory for _, memory, _ in known) * 1.08)
    axes.set_ylim(bottom=0)
    legend(figure, study.cases)
    best = max(known, key=lambda each: each[2].value or 0)
    return Drawn(
        "speed_memory",
        f"Tokens a second ({rate.removesuffix('_tokens_per_s')}) against memory",
        f"Most: {best[0].scheme}, {digits(best[2].value or 0)} tokens/s. {best[2].method}.",
        figure,
    )
