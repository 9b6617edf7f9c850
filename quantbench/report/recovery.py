"""What training back gave: said in lines, and the learning curve as plain values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from quantbench.report.numbers import digits, size
from quantbench.report.values import number, whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quantbench.stats.comparison import Estimate
    from quantbench.stats.gates import Verdict
    from quantbench.store.artifacts import Artifact
    from quantbench.study import Case


@dataclass(frozen=True)
class Words:
    """How a learning curve is told: of language models and of others.

    Attributes:
        held: what is held out, several.
        distance: from the float model.
        unit: of it, with a space before it where it follows a number.
        agreement: with the float model.
        axis: distance and unit, on an axis.
    """

    held: str
    distance: str
    unit: str
    agreement: str
    axis: str


_WORDS = {  # by the unit of what was trained on
    "tokens": Words(
        "passages", "divergence", " nats", "top-1 agreement", "divergence from float (nats)"
    ),
    "samples": Words(
        "samples",
        "error",
        " of the float answers' variance",
        "correlation",
        "error (share of the float answers' variance)",
    ),
}


@dataclass(frozen=True)
class Look:
    """A point of a learning curve; what is not known is None.

    Attributes:
        seen: what was trained on so far, in units.
        unit: "tokens" or "samples".
        training: loss since the look before.
        held_out: distance from the float model's answers, in nats or in shares of their variance.
        agreement: with the float model there.
        seconds: since the beginning.
    """

    seen: int
    unit: str
    training: float | None
    held_out: float
    agreement: float | None
    seconds: float | None

    @property
    def words(self) -> Words:
        """How it is told."""
        return _WORDS[self.unit]


def curve_of(build: Mapping[str, Any]) -> tuple[Look, ...]:
    """The learning curve of a record's `build`, empty without one; raises what `views_of` explains.

    A point that does not say after how much it is, or no held-out distance, is left out.
    """
    found = []
    for each in build.get("learning_curve") or ():
        unit = next((name for name in _WORDS if name in each), "")
        seen, held_out = whole(each.get(unit)), number(each["held_out"])
        if seen is None or held_out is None:
            continue
        others = (number(each.get(name)) for name in ("agreement", "seconds"))
        found.append(Look(seen, unit, number(each.get("training")), held_out, *others))
    return tuple(found)


def against_before(gained: Estimate, *, lower_is_better: bool) -> str:
    """Whether a case is better than what it was made of: `better`, `worse` or `undecided`."""
    low, high = (-gained.high, -gained.low) if lower_is_better else (gained.low, gained.high)
    if low > 0:
        return "better"
    return "worse" if high < 0 else "undecided"


def recovery_block(
    cases: tuple[Case, Case],
    artifacts: tuple[Artifact, Artifact],
    verdict: Verdict,
    gained: Estimate,
    share: Estimate,
) -> list[str]:
    """Lines on what came back, what it cost, and two sentences that say it all.

    Args:
        cases: before and after.
        artifacts: theirs.
        verdict: on the recovered case, against the float model.
        gained: by the recovered case over the one before, in the verdict's metric.
        share: of the loss that came back.
    """
    before, after = cases
    metric = verdict.gate.metric
    word = against_before(gained, lower_is_better=verdict.gate.lower_is_better)
    between = f"{gained.low:+.4g} to {gained.high:+.4g}"
    minutes = [artifact.build_s / 60 for artifact in artifacts]
    more = size(artifacts[1].size_bytes - artifacts[0].size_bytes)
    cost = f"{minutes[1]:.1f} minutes after {minutes[0]:.1f} for the scheme before; {more} more"
    lines = [
        ("before", str(before)),
        ("verdict", f"{word} than before: {metric} {gained.value:+.4g} ({between})"),
        ("method", gained.method),
        *_learned(artifacts[1].details),
        ("cost", cost),
    ]
    lost = abs(verdict.reference - (verdict.quantized - gained.value))
    first = (
        f"{share.value:.0%} ({share.low:.0%} to {share.high:.0%}, {share.confidence:.0%} interval) "
        f"of the {digits(lost)} {metric} that {before.scheme.name} lost came back in "
        f"{after.scheme.name}."
    )
    if math.isnan(share.value):
        first = (
            f"The share of what {before.scheme.name} lost that came back in {after.scheme.name} is "
            f"{share.method}."
        )
    told = [f"{name + ':':<12}{text}" for name, text in lines]
    return [*told, "", f"{first} {_passed(verdict)}"]


def _passed(verdict: Verdict) -> str:
    """Of the gate against the float model, in a sentence."""
    words = {"pass": "It passes", "fail": "It does not pass", "inconclusive": "It is undecided on"}
    change = verdict.difference
    return (
        f"{words[verdict.outcome]} its gate against the float model, which allows a loss of "
        f"{digits(verdict.gate.margin)}, with a difference of {change.value:+.4g} "
        f"({change.low:+.4g} to {change.high:+.4g})."
    )


def _learned(build: Mapping[str, Any]) -> list[tuple[str, str]]:
    before, after = build.get("held_out_before"), build.get("held_out_after")
    if not before or not after:
        return []
    curve = curve_of(build)
    words = curve[-1].words if curve else _WORDS["tokens"]
    trained = f", {curve[-1].seen:,} {curve[-1].unit} trained on" if curve else ""
    apart = [digits(each["held_out"]) for each in (before, after)]
    distance = f"{words.distance} {apart[0]}{words.unit} before, {apart[1]} as stored"
    agreed = [f"{each['agreement']:.1%}" for each in (before, after)]
    agreement = f"{words.agreement} {agreed[0]} before, {agreed[1]} as stored"
    held = f"{build[f'held_out_{words.held}']} {words.held}"
    return [("held out", f"{held}{trained}: {distance}; {agreement}")]
