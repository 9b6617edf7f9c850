"""The three outcomes, and what would settle the third."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from quantbench.errors import UsageError
from quantbench.stats.comparison import Estimate, Independent
from quantbench.stats.gates import Verdict, outcome_of, samples_to_decide
from quantbench.stats.means import PairedMeans
from quantbench.stats.proportions import PairedProportions
from quantbench.study import Gate


@pytest.mark.parametrize(
    ("low", "high", "lower_is_better", "outcome"),
    [
        (-0.01, 0.01, False, "pass"),
        (-0.05, -0.03, False, "fail"),
        (-0.03, 0.01, False, "inconclusive"),
        (-0.05, -0.02, False, "inconclusive"),  # nor is a failure one on it
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


def two_runs(quantized: float, reference: float, n: int) -> Independent:
    """Of n samples each, with a spread of 10."""
    half = stats.norm.ppf(0.975) * 10 / n**0.5
    one, other = (Estimate(v, v - half, v + half, 0.95, n, "m") for v in (quantized, reference))
    return Independent(one, other)


@pytest.mark.parametrize("lower_is_better", [False, True])
@pytest.mark.parametrize("difference", [-0.05, 0.02, 0.3, -0.25])
def test_samples_are_those_of_the_normal_test(
    difference: float,
    lower_is_better: bool,  # noqa: FBT001
) -> None:
    gate = Gate("metric", 0.1, 0.95, lower_is_better=lower_is_better)
    found = samples_to_decide(two_runs(5 + difference, 5.0, 400), gate)
    distance = abs((-difference if lower_is_better else difference) + 0.1)
    z = stats.norm.ppf(0.95) + stats.norm.ppf(0.8)
    assert found == math.ceil((z * 10 * 2**0.5 / distance) ** 2 - 1e-6)


def test_a_wide_margin_needs_no_rule_of_three() -> None:
    """A share of 1 or more can be hidden from no number of samples."""
    for margin in (1.0, 40.0):
        needed = samples_to_decide(two_runs(5.0, 5.0, 400), Gate("perplexity", margin))
        assert needed == math.ceil((2.4864749 * 10 * 2**0.5 / margin) ** 2)


def test_samples_that_nobody_has_are_no_answer() -> None:
    close = two_runs(5.0 - 0.0999, 5.0, 400)
    assert samples_to_decide(close, Gate("metric", 0.1)) is None
    closer = two_runs(5.0 - 0.098, 5.0, 400)
    found = samples_to_decide(closer, Gate("metric", 0.1))
    assert found is not None and found > 10**8


def test_where_no_bound_is_claimed_no_number_is() -> None:
    handful = np.zeros(1000)
    handful[:3] = -5.0
    assert samples_to_decide(PairedMeans(handful), Gate("logprob", 0.1)) is None


@pytest.mark.parametrize("relative", [False, True])
def test_a_verdict_reads_as_one_line(relative: bool) -> None:  # noqa: FBT001
    verdict = Verdict(
        "case", Gate("accuracy", 0.02, relative=relative), "fail",
        Estimate(-0.05, -0.0812, -0.021, 0.9, 300, "m"), 0.75, 0.8, against="baseline",
    )  # fmt: skip
    numbers = (
        "difference -5% [-8.12, -2.1]%, margin 2%"
        if relative
        else "difference -0.05 [-0.0812, -0.021], margin 0.02"
    )
    expected = f"<fail: accuracy 0.75 against 0.8 of the baseline, {numbers}, n 300>"
    assert repr(verdict) == expected
    assert not verdict
    assert replace(verdict, outcome="pass")
    assert (verdict.p_value, verdict.exact) == (1.0, False), "nothing is claimed unsaid"


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
