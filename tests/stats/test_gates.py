"""The three outcomes, and what would settle the third."""

from __future__ import annotations

import numpy as np
import pytest

from quantbench.errors import UsageError
from quantbench.stats.comparison import Estimate
from quantbench.stats.gates import outcome_of, samples_to_decide
from quantbench.stats.means import PairedMeans
from quantbench.stats.proportions import PairedProportions
from quantbench.study import Gate


@pytest.mark.parametrize(
    ("low", "high", "lower_is_better", "outcome"),
    [
        (-0.01, 0.01, False, "pass"),
        (-0.05, -0.03, False, "fail"),
        (-0.03, 0.01, False, "inconclusive"),
        (-0.02, 0.01, False, "inconclusive"),  # the bound must be above the margin, not on it
        (-0.01, 0.01, True, "pass"),
        (0.03, 0.05, True, "fail"),
        (-0.05, -0.03, True, "pass"),  # a lower perplexity is no loss
        (-0.01, 0.03, True, "inconclusive"),
        (float("-inf"), float("inf"), False, "inconclusive"),
    ],
)
def test_the_three_outcomes(low: float, high: float, lower_is_better: bool, outcome: str) -> None:  # noqa: FBT001
    gate = Gate("metric", 0.02, lower_is_better=lower_is_better)
    assert outcome_of(Estimate((low + high) / 2, low, high, 0.9, 100, "test"), gate) == outcome


def test_as_many_samples_as_it_says_decide_in_four_of_five_studies() -> None:
    rng = np.random.default_rng(0)
    gate = Gate("logprob", 0.1)
    pilot = PairedMeans(rng.normal(-0.05, 0.5, 4000))
    n = samples_to_decide(pilot, gate)
    assert n is not None
    studies = [PairedMeans(rng.normal(pilot.value, pilot.spread, n)) for _ in range(600)]
    decided = np.mean([outcome_of(s.interval(0.9), gate) == "pass" for s in studies])
    assert decided == pytest.approx(0.8, abs=0.05)


def test_a_difference_on_the_margin_is_never_settled() -> None:
    assert samples_to_decide(PairedProportions(4, 2, 100), Gate("accuracy", 0.02)) is None


def test_no_flips_still_need_the_rule_of_three() -> None:
    assert samples_to_decide(PairedProportions(0, 0, 50), Gate("accuracy", 0.02)) == 149


def test_a_share_is_read_and_nonsense_is_refused() -> None:
    gate = Gate.parse("latency", "12.5 %", 0.95, lower_is_better=True)
    assert (gate.margin, gate.relative) == (0.125, True)
    for text in ("five", "5", "-5%", "5%%", ""):
        with pytest.raises(UsageError, match="cannot be read"):
            Gate.parse("latency", text, 0.95, lower_is_better=True)
    with pytest.raises(UsageError, match="positive"):
        Gate.parse("latency", "0%", 0.95, lower_is_better=True)
