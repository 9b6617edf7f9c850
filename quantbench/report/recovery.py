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
class Look:
    """A point of a learning curve: divergences in nats; what is not known is None."""

    tokens: int
    training: float | None
    held_out: float
    agreement: float | None
    seconds: float | None


def curve_of(build: Mapping[str, Any]) -> tuple[Look, ...]:
    """The learning curve of a record's `build`, empty without one; raises what `views_of` explains.

    A point without tokens or a held-out divergence is left out.
    """
    found = []
    for each in build.get("learning_curve") or ():
        tokens, held_out = whole(each["tokens"]), number(each["held_out"])
        if tokens is None or held_out is None:
            continue
        others = (number(each.get(name)) for name in ("agreement", "seconds"))
        found.append(Look(tokens, number(each.get("training")), held_out, *others))
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
    trained = f", {curve[-1].tokens:,} tokens trained on" if curve else ""
    nats = [digits(each["held_out"]) for each in (before, after)]
    divergence = f"divergence {nats[0]} nats before, {nats[1]} as stored"
    agreement = f"agreement {before['agreement']:.1%} before, {after['agreement']:.1%} as stored"
    passages = f"{build['held_out_passages']} passages"
    return [("held out", f"{passages}{trained}: {divergence}; top-1 {agreement}")]
