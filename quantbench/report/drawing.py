"""How figures look: one style, colours that colour-blind readers tell apart, SVG or PNG out.

Colours are Okabe and Ito's ("Color Universal Design", 2008); every series has a marker of its own
too. In SVG the ink is the page's own colour, so that figures follow it into the dark.
"""

from __future__ import annotations

import hashlib
import io
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from quantbench.report.views import Number, View

WIDTH = 5.4  # inches; 518 CSS pixels
INK, _FAINT = "#1b1b1f", "#c9c9cf"  # replaced by the page's in SVG
_COLOURS = (
    *("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"),
    *("#7A6FF0", "#8C6D31", "#999999", "#A6CE39"),
)
_MARKERS = "osD^vPX<>"  # one less than colours: ninety cases look unlike
_FILLS = ("full", "left", "top", "right", "bottom")  # of a runtime's second ten cases, and so on
OUTCOME_COLOURS = {
    "pass": "#009E73",
    "fail": "#D55E00",
    "inconclusive": "#E69F00",
}
_STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 10,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": "none",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "grid.color": _FAINT,
    "grid.linewidth": 0.6,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "savefig.facecolor": "none",
    "svg.fonttype": "none",
    "text.color": INK,
    "text.parse_math": False,  # a name with a dollar sign is a name
    "axes.facecolor": "none",
    "axes.titlesize": 10,
    "xtick.color": INK,
    "ytick.color": INK,
}


@dataclass(frozen=True)
class Drawn:
    """A figure with what is said about it.

    Attributes:
        name: for files and tests, e.g. `size`.
        title: what it shows, with the unit.
        caption: what the data say, made from them.
        figure: matplotlib's.
    """

    name: str
    title: str
    caption: str
    figure: Any


@contextmanager
def styled() -> Iterator[None]:
    """The style, for figures made and written inside."""
    import matplotlib as mpl

    with mpl.rc_context(_STYLE):
        yield


def blank(height: float, columns: int = 1, **options: Any) -> tuple[Any, Any]:
    """A figure of the page's width, and its axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots(1, columns, **options)


def rows_height(n: int) -> float:
    """Inches for n labelled rows and an axis."""
    return 0.9 + 0.3 * max(n, 2)


def plot_height(n: int) -> float:
    """Inches for a plot and a legend of n names below it."""
    return 3.1 + 0.2 * ((n + 1) // 2)


def looks(cases: Sequence[View]) -> dict[str, dict[str, str]]:
    """Colour and marker of each scheme of a study; of several runtimes each has its own marker."""
    shapes = _shapes(cases)
    styles: dict[str, dict[str, str]] = {}
    before = dict.fromkeys(shapes, 0)
    for i, case in enumerate(cases):
        several = len(shapes) > 1
        lap = before[case.runtime] // len(_COLOURS) if several else 0
        before[case.runtime] += 1
        styles[case.scheme] = {
            "color": _COLOURS[i % len(_COLOURS)],
            "marker": shapes[case.runtime] if several else _MARKERS[i % len(_MARKERS)],
            "fillstyle": _FILLS[lap % len(_FILLS)],
        }
    return styles


def _shapes(cases: Sequence[View]) -> dict[str, str]:
    """A marker for each runtime, in the order of the cases."""
    runtimes = dict.fromkeys(case.runtime for case in cases)
    return {name: _MARKERS[i % len(_MARKERS)] for i, name in enumerate(runtimes)}


def legend(figure: Any, cases: Sequence[View] = ()) -> None:
    """Schemes below the axes, where they hide nothing; the shapes of several runtimes above.

    Args:
        figure: matplotlib's.
        cases: of the study, where markers are drawn.
    """
    figure.legend(loc="outside lower center", ncols=2, handletextpad=0.4)
    shapes = _shapes(cases)
    if len(shapes) > 1:
        from matplotlib.lines import Line2D

        handles = [
            Line2D([], [], linestyle="none", marker=marker, markersize=7, label=name,
                   markerfacecolor="none", markeredgecolor=INK)
            for name, marker in shapes.items()
        ]  # fmt: skip
        figure.legend(
            handles=handles, loc="outside upper center", ncols=min(len(handles), 4),
            handletextpad=0.2,
        )  # fmt: skip


def bars(axes: Any, labels: Sequence[str], values: Sequence[float], **style: Any) -> None:
    """Horizontal bars, first on top, with their labels."""
    axes.barh(range(len(values)), values, height=0.62, **style)
    named_rows(axes, labels)


def named_rows(axes: Any, labels: Sequence[str]) -> None:
    """One label a row, first on top."""
    axes.set_yticks(range(len(labels)), [clipped(label) for label in labels])
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)


def clipped(label: str) -> str:
    """A name that leaves room for the data."""
    return label if len(label) <= 28 else f"{label[:27]}…"  # noqa: PLR2004 - characters of a row


def spread(number: Number) -> list[list[float]]:
    """Lengths of an error bar, down and up; none where nothing bounds the value."""
    value = number.value or 0.0
    down = 0.0 if number.low is None else max(value - number.low, 0.0)
    up = 0.0 if number.high is None else max(number.high - value, 0.0)
    return [[down], [up]]


def write_beside(axes: Any, y: float, x: float, text: str) -> None:
    """A number at the end of its bar."""
    axes.annotate(text, (x, y), (4, 0), textcoords="offset points", va="center", fontsize=9)


def as_svg(drawn: Drawn, place: str = "") -> str:
    """The `<svg>` element, its ids unlike other figures', its ink the page's."""
    import matplotlib as mpl

    file = io.StringIO()
    with styled(), mpl.rc_context({"svg.hashsalt": f"{place} {drawn.name}"}):
        drawn.figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = re.sub(r' d="[^"]*"', _rounded, text)
    prefix = f"f{hashlib.sha256(f'{place} {drawn.name}'.encode()).hexdigest()[:8]}-"
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{prefix}", text)
    text = text.replace("'DejaVu Sans'", "sans-serif")
    return text.replace(INK, "currentColor").replace(_FAINT, "var(--faint)")


def _rounded(path: re.Match[str]) -> str:
    """A hundredth of a point is finer than any screen."""
    return re.sub(r"(\.\d\d)\d+", r"\1", path[0]).replace("\n", " ")


def as_png(drawn: Drawn) -> bytes:
    """On white, with its title, 160 dots an inch."""
    file = io.BytesIO()
    with styled():
        drawn.figure.suptitle(drawn.title, fontsize=10)
        drawn.figure.savefig(file, format="png", dpi=160, facecolor="white")
    return file.getvalue()
