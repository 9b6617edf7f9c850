"""Carbon and the break-even of a build: arithmetic alone, units in the names."""

from __future__ import annotations

import math

JOULES_PER_KWH = 3.6e6
GRAMS_PER_KG = 1000.0
MILLION = 1_000_000


def grams_co2e(joules: float, kg_co2e_per_kwh: float) -> float:
    """What the electricity of so many joules emits, at the plug of a grid of this intensity."""
    return joules / JOULES_PER_KWH * kg_co2e_per_kwh * GRAMS_PER_KG


def grams_co2e_per_million(joules_per_inference: float, kg_co2e_per_kwh: float) -> float:
    """Of a million inferences."""
    return grams_co2e(joules_per_inference * MILLION, kg_co2e_per_kwh)


def break_even_inferences(
    build_joules: float, reference_joules_per_inference: float, joules_per_inference: float
) -> float:
    """Inferences after which the saved energy has paid for the build, rounded up.

    Infinite where the quantized model saves nothing, 0 where the build took nothing.
    """
    if build_joules == 0:
        return 0.0
    saved = reference_joules_per_inference - joules_per_inference
    inferences = build_joules / saved if saved > 0 else math.inf
    return float(math.ceil(inferences)) if math.isfinite(inferences) else math.inf


def break_even_bounds(
    build_joules: float,
    reference_joules_per_inference: tuple[float, float],
    joules_per_inference: tuple[float, float],
) -> tuple[float, float]:
    """The fewest and the most inferences that the two intervals allow, taken at their ends."""
    (low, high), (least, most) = reference_joules_per_inference, joules_per_inference
    return (
        break_even_inferences(build_joules, high, least),
        break_even_inferences(build_joules, low, most),
    )
