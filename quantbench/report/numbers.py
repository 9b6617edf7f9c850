"""Numbers as people read them; what is not known is a dash."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from quantbench.report.views import Judgement, Number, View


def estimate(number: Number | None) -> str:
    """A value with its interval; an end that nothing bounds is open."""
    if number is None:
        return "-"
    if number.value is None:
        return "undefined"
    if number.low == number.high and not number.confidence:  # a rate that has no interval
        return plain(number.value)
    low, high = ("open" if end is None else plain(end) for end in (number.low, number.high))
    return f"{plain(number.value)} [{low}, {high}]"


def quality(view: View, metric: str) -> str:
    """A case's headline; named where it is not the metric that stands over the column."""
    value = estimate(view.quality)
    return value if view.headline in {None, metric} else f"{view.headline} {value}"


def plain(value: float) -> str:
    """Three decimals up to 100, then whole numbers."""
    return f"{value:.3f}" if abs(value) < 100 else f"{value:,.0f}"  # noqa: PLR2004 - three digits


def digits(value: float) -> str:
    """Three of them, and never an exponent."""
    if value != 0 and abs(value) < 1e-3:  # noqa: PLR2004 - what three decimals do not show
        return f"{value:.2g}"
    return f"{value:,.0f}" if abs(value) >= 99.95 else f"{value:.3g}"  # noqa: PLR2004 - rounds up


def difference(judged: Judgement | None) -> str:
    """A paired difference with its interval; an end that nothing bounds is open."""
    if judged is None:
        return "-"
    if judged.difference is None:
        return "undefined"
    scale, places, unit = unit_of(judged)
    low, high = (
        "open" if end is None else f"{scale * end:+.{places}f}" for end in (judged.low, judged.high)
    )
    return f"{scale * judged.difference:+.{places}f} [{low}, {high}]{unit}"


def unit_of(judged: Judgement) -> tuple[int, int, str]:
    """How a difference is written: what it is multiplied by, decimals, and the unit."""
    return (100, 1, " %") if judged.relative else (1, 3, "")


def margin(judged: Judgement) -> str:
    """In the metric's unit, or as a share."""
    return f"{judged.margin:.3g} of it" if judged.relative else f"{judged.margin:g}"


def flips(judged: Judgement | None) -> str:
    """Answers lost and won."""
    return "/".join(map(str, judged.flips)) if judged and judged.flips else "-"


def times(ratio: float | None) -> str:
    """How many times as much or as fast."""
    return "-" if ratio is None else f"x{ratio:.2f}"


def size(n: float | None) -> str:
    """Bytes, in powers of 1,000."""
    if n is None:
        return "-"
    if n < 1e5:  # noqa: PLR2004 - a tenth of a megabyte
        return f"{n / 1e3:.1f} kB"
    return f"{n / 1e6:.1f} MB" if n < 1e9 else f"{n / 1e9:.2f} GB"  # noqa: PLR2004 - a gigabyte


def megabytes(n: float | None) -> str:
    """Bytes as a number of 1,000,000; of a small model in thousandths."""
    if not n:
        return "-"
    return f"{n / 1e6:.3f}" if n < 1e5 else f"{n / 1e6:.1f}"  # noqa: PLR2004 - a tenth


def rate(tokens_per_s: float | None) -> str:
    """Tokens a second."""
    return "-" if tokens_per_s is None else digits(tokens_per_s)


def milliseconds(seconds: float | None) -> str:
    """Of a median; from a second on, seconds."""
    if seconds is None:
        return "-"
    return f"{digits(seconds * 1e3)} ms" if seconds < 0.9995 else f"{digits(seconds)} s"  # noqa: PLR2004
