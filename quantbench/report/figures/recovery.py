"""How a case that was trained back learned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantbench.report.drawing import Drawn, blank, legend, looks, plot_height
from quantbench.report.numbers import digits

if TYPE_CHECKING:
    from quantbench.report.views import Study, View


def learning(study: Study) -> Drawn | None:
    """Distance from the float model over what was trained on."""
    known = [case for case in study.cases if case.learning]
    if not known:
        return None
    first = known[0].learning[0]  # cases of one model are told in the same words
    words, unit = first.words, first.unit
    figure, axes = blank(plot_height(2 * len(known)))
    styles = looks(study.cases)
    for case in known:
        colour, marker = (styles[case.scheme][name] for name in ("color", "marker"))
        seen = [look.seen / 1e3 for look in case.learning]
        held_out = [look.held_out for look in case.learning]
        axes.plot(seen, held_out, color=colour, marker=marker, markersize=4, linewidth=1.3,
                  label=f"{case.scheme}, held out")  # fmt: skip
        trained = [(x, y.training) for x, y in zip(seen, case.learning, strict=True) if y.training]
        if trained:
            axes.plot(*zip(*trained, strict=True), color=colour, linewidth=1, linestyle=":",
                      label=f"{case.scheme}, trained on")  # fmt: skip
    axes.set_xlabel(f"thousand {unit} trained on")
    axes.set_ylabel(words.axis)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    legend(figure)
    return Drawn(
        "learning_curve",
        f"Learning curves: {words.distance} of what is held out against the float model's answers",
        " ".join(map(_words, known))
        + f" The best look at the held-out {words.held} is what is stored; "
        "none of them is evaluated.",
        figure,
    )


def _words(case: View) -> str:
    words = case.learning[0].words
    first, best = case.learning[0], min(case.learning, key=lambda look: look.held_out)
    agreed = (
        f", {words.agreement} from {first.agreement:.1%} to {best.agreement:.1%}"
        if first.agreement is not None and best.agreement is not None
        else ""
    )
    return (
        f"{case.scheme}: held-out {words.distance} from {digits(first.held_out)} to "
        f"{digits(best.held_out)}{words.unit} by {best.seen:,} {best.unit}{agreed}."
    )
