"""What a person must know first, in sentences."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from quantbench.core.words import plural
from quantbench.report.numbers import unit_of
from quantbench.report.views import studies_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quantbench.report.views import Judgement, Study, View

_SAME = 0.03  # sizes and times that differ by less are not worth a word
_STUDIES = 3  # that are told of


def outcome(views: Sequence[View]) -> str:
    """What was bought, of each study, then how many cases passed and which did not."""
    said = [found for study in studies_of(views) if (found := bought(study))]
    told = said if len(said) <= _STUDIES else []
    return " ".join([*told, counted(views)])


def bought(study: Study) -> str:
    """What the best case that passes is smaller and faster by, and what it costs; "" of none.

    The best is the one with the least product of bytes and time, against the reference.
    """
    passing = [
        case
        for case in study.cases
        if case.verdict == "pass" and case.judged and not (case.is_reference or case.runtime_float)
    ]
    gains = [(gain, case) for case in passing if (gain := _gain(case)) < 1 - _SAME]
    if not gains:
        return ""
    case = min(gains, key=lambda each: each[0])[1]
    parts = [
        *_ratio(case.size_ratio, ("smaller", "larger")),
        *_ratio(case.latency_ratio, ("faster", "slower")),
    ]
    judged = case.judged
    return f"{study.model}: {case.scheme} is {_listed(parts)}; {_cost(judged)}." if judged else ""


def _gain(case: View) -> float:
    return (case.size_ratio or 1.0) * (case.latency_ratio or 1.0)


def _ratio(ratio: float | None, words: tuple[str, str]) -> list[str]:
    if ratio is None or abs(ratio - 1) < _SAME:
        return []
    return [f"{1 / ratio:.2g}x {words[0]}" if ratio < 1 else f"{ratio:.2g}x {words[1]}"]


def _cost(judged: Judgement) -> str:
    """How far the metric went the wrong way, and how far at most."""
    if judged.difference is None:
        return f"{judged.metric} is undefined"
    sign, way = (1, "rises") if judged.lower_is_better else (-1, "falls")
    worst = judged.high if judged.lower_is_better else judged.low
    scale, places, unit = unit_of(judged)
    lost = f"{scale * abs(judged.difference):.{places}f}{unit}"
    moved = sign * judged.difference > 0
    said = f"{judged.metric} {way} by {lost}" if moved else f"{judged.metric} does not get worse"
    if worst is None:
        return said
    most = max(0.0, scale * sign * worst)
    return f"{said}, at most by {most:.{places}f}{unit} ({judged.confidence:.0%} sure)"


def undecided(view: View) -> str:
    """Why a case is inconclusive, in place."""
    judged = view.decided_by or view.judged
    if judged is None or judged.low is None or judged.high is None:
        return "its difference has no bounds on these samples"
    n = judged.samples_to_decide
    more = f"; about {n:,} samples would decide" if n else ""
    return f"the margin lies inside the interval of the difference{more}"


def counted(views: Sequence[View]) -> str:
    """How many cases passed, and which ones to look at."""
    counts = Counter(view.verdict for view in views)
    if not views:
        return "No case ran."
    named = [
        f"{view.case} (the float model itself)"
        if view.moved
        else f"{view.case} (float of {view.runtime})"
        if view.runtime_float
        else view.case
        for view in views
        if view.verdict in {"fail", "error"}
    ]
    shown = ", ".join(named[:3]) + (f" and {len(named) - 3} more" if len(named) > 3 else "")  # noqa: PLR2004
    words = {
        "fail": ("is worse than its margin allows", "are worse than their margins allow"),
        "error": ("broke", "broke"),
        "inconclusive": ("is undecided", "are undecided"),
        "pass": ("passes", "pass"),
        "fail, declared": ("fails as declared", "fail as declared"),
        "error, declared": ("breaks as declared", "break as declared"),
        "random weights": ("has random weights", "have random weights"),
        "not judged": ("was not judged", "were not judged"),
    }
    parts = [
        f"{counts[word]} {said[counts[word] > 1]}" for word, said in words.items() if counts[word]
    ]
    return f"Of {plural(len(views), 'case')}, {_listed(parts)}." + (
        f" To look at: {shown}." if named else ""
    )


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
