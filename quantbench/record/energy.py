"""Energy and carbon as they stand in a record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quantbench.measure.carbon import grams_co2e_per_million
from quantbench.measure.energy.drawn import CONFIDENCE, Energy
from quantbench.measure.energy.spent import SEARCHED, SPENT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from quantbench.measure.grid import Grid
    from quantbench.run.energies import Drawn

METHOD = "mean over windows, Student's t"
_PARTS = ("decoding", "build", "evaluation")


def unknown_energy() -> dict[str, Any]:
    """Of a case of which nothing is known."""
    return energy_as_json(None)


def energy_as_json(drawn: Drawn | None) -> dict[str, Any]:
    """What a case draws.

    `joules_per_sample` with `low`, `high`; `provenance`, `by` and `reason`; `idle_watts`, which are
    in the joules; `load_by_others`, who are too; `joules_per_prefill_token` of a sample that has
    tokens; `decoding`, the same of a token that is generated, or null. `build` and `evaluation` are
    `work_energy`, or null.
    """
    prediction = drawn.prediction if drawn else Energy()
    joules, tokens = prediction.joules, drawn.tokens if drawn else 0
    decoding = drawn.decoding if drawn else None
    return {
        "joules_per_sample": joules,
        **_said(prediction),
        "joules_per_prefill_token": joules / tokens if joules is not None and tokens else None,
        "decoding": {"joules_per_token": decoding.joules, **_said(decoding)} if decoding else None,
        "build": None,
        "evaluation": None,
    }


def _said(energy: Energy) -> dict[str, Any]:
    low, high = energy.interval or (None, None)
    return {
        "low": low,
        "high": high,
        "confidence": CONFIDENCE,
        "method": METHOD,
        "windows": len(energy.windows),
        "provenance": energy.provenance,
        "by": energy.by,
        "reason": energy.reason,
        "seconds": energy.seconds,
        "idle_watts": energy.idle_watts,
        "load_by_others": energy.load_by_others,
        "step_s": energy.step_s,
        "window_s": energy.window_s,
    }


def work_energy(
    measured: Mapping[str, Any] | None, seconds: float, watts: float | None
) -> dict[str, Any] | None:
    """Of work that was done once: measured when it was, else its time at the rate stated now.

    Args:
        measured: `joules`, `by` and `load_by_others`, where a counter was read meanwhile.
        seconds: that it took.
        watts: as the user states, or None.
    """
    if measured is not None:
        load = measured.get("load_by_others")
        known = {"joules": measured["joules"], "by": measured["by"], "load_by_others": load}
        return {**known, "provenance": "measured"}
    if watts is None:
        return None
    by = f"{watts:g} W as stated (--quant-watts) times {seconds:g} s"
    known = {"joules": watts * seconds, "by": by, "load_by_others": None}
    return {**known, "provenance": "estimated"}


def build_energy(
    details: Mapping[str, Any], build_s: float, watts: float | None
) -> dict[str, Any] | None:
    """Of building an artifact, what came before it included: its recipe's search, or its base.

    None of one that was begun in a process which was killed: what that spent is not known.

    Args:
        details: of the artifact, which keep what was measured when it was built.
        build_s: seconds that building took then.
        watts: as the user states, or None.
    """
    if details.get("resumed"):
        return None
    searched, built = details.get(SEARCHED), details.get(SPENT)
    if searched is None:
        return work_energy(built, build_s, watts)
    if built is not None and "joules" in searched:
        both = built["joules"] + searched["joules"]
        return work_energy({**built, "joules": both}, build_s, watts)
    return work_energy(None, build_s + searched["seconds"], watts)


def evaluation_energy(
    shards: Sequence[Mapping[str, Any]], watts: float | None
) -> dict[str, Any] | None:
    """Of predicting all samples.

    Args:
        shards: details of the evidence's parts, which keep what was measured as they were made.
        watts: as the user states, or None.
    """
    known = [shard[SPENT] for shard in shards if SPENT in shard]
    measured = None
    if known and len(known) == len(shards):
        by = ", ".join(dict.fromkeys(each["by"] for each in known))
        load = max((each.get("load_by_others") or 0.0 for each in known), default=None)
        joules = sum(each["joules"] for each in known)
        measured = {"joules": joules, "by": by, "load_by_others": load}
    return work_energy(measured, sum(shard["predict_s"] for shard in shards), watts)


def carbon_as_json(grid: Grid, joules: float | None) -> dict[str, Any]:
    """What a million inferences emit, where their energy is known, on which grid."""
    grams = None if joules is None else grams_co2e_per_million(joules, grid.kg_co2e_per_kwh)
    return {
        "kg_co2e_per_kwh": grid.kg_co2e_per_kwh,
        "source": grid.source,
        "grams_co2e_per_million": grams,
    }


def merged_energy(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """Two tests' knowledge of one case: joules and where they come from stay together.

    What was not measured replaces nothing, an estimate nothing that was measured.
    """
    older = _rank(later) < _rank(earlier)
    base, other = (earlier, later) if older else (later, earlier)
    parts = {name: _better(earlier.get(name), later.get(name)) for name in _PARTS}
    return {**base, **parts, "reason": base.get("reason") or other.get("reason") or ""}


def _rank(energy: Mapping[str, Any]) -> int:
    return ("unavailable", "estimated", "measured").index(energy["provenance"])


def _better(earlier: Any, later: Any) -> Any:
    if earlier is None or later is None:
        return later if earlier is None else earlier
    return earlier if _rank(later) < _rank(earlier) else later
