"""Cases by the runtime that ran them: its name, its float case, and what it gains over that."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from quantbench.report.numbers import milliseconds, rate, times
from quantbench.report.views import studies_of, worst_first

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from quantbench.report.views import Study, View

OWN_DIFFERENCE = "its difference is the runtime's own, not quantization's"
FASTEST = "Fastest that passes, by runtime"
FASTEST_NOTE = "speed-up and size against the runtime's own float case"
_UNKNOWN = "not recorded"
_FLOAT_BITS, _LEAST_BITS = 32, 16


def with_runtimes(views: Sequence[View]) -> list[View]:
    """The cases of one run with their runtime's name, its float case and their ratios to that.

    The float case of the reference's runtime is the reference. That of another one is the case
    whose weights have as many bits as the reference's, 32 where no reference ran.
    """
    names = _names(views)
    floats = {_place(view): view for view in views if view.is_reference}
    found: dict[tuple[str, ...], View] = {}
    for view in sorted(views, key=lambda view: view.scheme):
        reference = floats.get(_place(view))
        if view is reference or (
            (reference is None or reference.backend != view.backend)
            and view.bits == _bits_of(reference)
        ):
            found.setdefault((*_place(view), view.backend), view)

    def told(view: View) -> View:
        own = found.get((*_place(view), view.backend))
        return replace(
            view,
            runtime=names[view.backend],
            runtime_float=own is view and not view.is_reference and _place(view) in floats,
            speed_up=_speed_up(own, view),
            own_size_ratio=_ratio(view.weights_bytes, own.weights_bytes if own else None),
        )

    return [told(view) for view in views]


def _place(view: View) -> tuple[str, str, str]:
    return view.model, view.dataset, view.device


def _bits_of(reference: View | None) -> int:
    bits = reference.bits if reference else None
    return bits if bits and bits >= _LEAST_BITS else _FLOAT_BITS


def _speed_up(own: View | None, view: View) -> float | None:
    if own is None:
        return None
    if own.decoded_per_s and view.decoded_per_s:
        return view.decoded_per_s / own.decoded_per_s
    return _ratio(own.latency_s, view.latency_s)


def _ratio(above: float | None, below: float | None) -> float | None:
    return above / below if above and below else None


def _names(views: Sequence[View]) -> Mapping[str, str]:
    """Each backend as people write it: a record's `kernel` where that is the runtime's own name."""
    found = {view.backend: view.backend or _UNKNOWN for view in views}
    for view in views:
        kernel = view.facts.get("kernel", "")
        if view.backend and _letters(kernel) == _letters(view.backend):
            found[view.backend] = kernel
    return found


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def groups(study: Study) -> list[tuple[str, list[View]]]:
    """Runtime and its cases, worst first; one group without a name where a study has one runtime.

    The group with the worst case comes first.
    """
    members = sorted(study.cases, key=worst_first)
    if len(study.runtimes) == 1:
        return [("", members)]
    found: dict[str, list[View]] = {}
    for view in members:
        found.setdefault(view.runtime, []).append(view)
    return list(found.items())


def by_runtime(views: Sequence[View]) -> list[View]:
    """The same cases; a study with several runtimes stands together where its worst case stood."""
    of = {(view.case, view.run): study for study in studies_of(views) for view in study.cases}
    found: dict[tuple[str, str], View] = {}
    for view in views:
        study = of[view.case, view.run]
        several = len(study.runtimes) > 1
        together = [each for _, group in groups(study) for each in group] if several else [view]
        found |= {(each.case, each.run): each for each in together}
    return list(found.values())


@dataclass(frozen=True)
class Fastest:
    """The fastest case of a runtime that passed; None where none passed and was timed.

    Attributes:
        generating: it is the fastest at generating, and not in latency.
    """

    runtime: str
    view: View | None
    generating: bool = False

    @property
    def cells(self) -> tuple[str, ...]:
        """After `fastest_header`."""
        if self.view is None:
            return self.runtime, "none", *"----"
        view = self.view
        return (
            *(self.runtime, view.scheme, view.verdict),
            rate(view.decoded_per_s) if self.generating else milliseconds(view.latency_s),
            *(times(view.speed_up), times(view.own_size_ratio)),
        )


def fastest_header(study: Study) -> tuple[str, ...]:
    """What stands over `Fastest.cells`."""
    speed = "tokens/s" if study.has_decoding else "latency"
    return ("runtime", "scheme", "verdict", speed, "speed-up", "size")


def fastest(study: Study) -> list[Fastest]:
    """One of each runtime, the fastest first; none where there is one runtime or none was timed.

    By tokens generated a second where those were timed, else by latency.
    """
    if len(study.runtimes) == 1:
        return []
    generating, found = study.has_decoding, []

    def pace(view: View) -> float | None:
        """Seconds a token, or an inference."""
        rate = view.decoded_per_s
        return (1 / rate if rate else None) if generating else view.latency_s

    for runtime in study.runtimes:
        fit = [
            (seconds, view.scheme, view)
            for view in study.cases
            if view.runtime == runtime and view.verdict == "pass" and (seconds := pace(view))
        ]
        found.append(Fastest(runtime, min(fit)[2] if fit else None, generating))
    if not any(each.view for each in found):
        return []
    return sorted(found, key=lambda each: (each.view and pace(each.view)) or float("inf"))
