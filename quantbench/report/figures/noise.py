"""Where in the graph the noise comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantbench.core.words import plural
from quantbench.report.drawing import Drawn, blank, legend, looks, plot_height

if TYPE_CHECKING:
    from quantbench.report.views import Diagnosis, Study

_MOST_DB = 60.0  # above which nobody hears anything
_CASES = 4  # curves that can be told apart where they cross
_NAMED = 3


def profile(study: Study) -> Drawn | None:
    """Signal to quantization noise along the graph, flagged ops marked."""
    known = [(case, case.diagnosis) for case in study.cases if case.diagnosis]
    known = [(case, diagnosis) for case, diagnosis in known if diagnosis and diagnosis.profile]
    known = sorted(known, key=lambda pair: -pair[0].loss)[:_CASES]
    if not known:
        return None
    figure, axes = blank(plot_height(len(known)))
    styles = looks(study.cases)
    for case, diagnosis in known:
        style = styles[case.scheme]
        places, noise = zip(*diagnosis.profile, strict=True)
        axes.plot(places, [_shown(snr) for snr in noise], color=style["color"], linewidth=1.3,
                  label=case.scheme)  # fmt: skip
        snr_at = dict(diagnosis.profile)
        marked = [(place, _shown(snr_at[place])) for place, _ in diagnosis.flagged]
        if marked:
            axes.plot(*zip(*marked, strict=True), "X", color=style["color"], markersize=7,
                      markeredgecolor="#1b1b1f", markeredgewidth=0.6)  # fmt: skip
    axes.set_xlabel("op, in the order of execution")
    axes.set_ylabel("signal to quantization noise, dB")
    axes.set_ylim(top=_MOST_DB + 2)
    legend(figure)
    return Drawn(
        "noise_profile",
        "Noise along the graph; crosses are ops that a cause names",
        " ".join(f"{case.scheme}: {_words(diagnosis)}" for case, diagnosis in known),
        figure,
    )


def _shown(snr: float) -> float:
    return max(-10.0, min(snr, _MOST_DB))


def _words(diagnosis: Diagnosis) -> str:
    named = ", ".join(
        f"{cause.cause} ({plural(len(cause.ops), 'op')})" for cause in diagnosis.causes[:_NAMED]
    )
    return f"{named or 'nothing stands out'}."
