"""How often each kind of verdict is wrong at the margin's edge: the figures behind the tests.

    python -m benchmarks.error_rates [STUDIES]

`tests/stats/test_error_rates.py` asserts that these rates are at most what is stated, and prints
nothing. This prints them, by the same simulations: the true difference lies on the margin, so that
every pass is a false pass and every failure a false failure. Each is stated at 5 %.

2,000 studies give 5 % to within 1.5 points (three standard errors), 600 to within 2.7, and the 120
that detectors are drawn in by default to within 6.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.stats.means import PairedMeans
from quantbench.stats.times import TimeRatio
from tests.stats import test_error_rates as simulated
from tests.stats.worlds import World, rates

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ALPHA, STUDIES = simulated.ALPHA, simulated.STUDIES
COLUMNS = 4  # of a world that is not marked


def line(what: str, passes: float, failures: float, *more: str) -> str:
    """A row of a Markdown table."""
    return " | ".join([f"| {what}", f"{passes:.1%}", f"{failures:.1%}", *more, ""]).rstrip()


def estimators() -> Iterator[str]:
    """Right and wrong answers by three estimators, a loss and a gain in equal parts of flips."""
    for n in simulated.SIZES:
        for flips in simulated.FLIP_RATES:
            counts, margin = simulated.flips_at_the_margin(n, flips, False)
            found = [
                np.mean([judge(int(b), int(c), n, margin) for b, c in counts], axis=0)
                for judge in simulated.ESTIMATORS.values()
            ]
            cells = [f"{passed:.1%}, {failed:.1%}" for passed, failed in found]
            yield f"| {n:,} | {flips:.1%} | {' | '.join(cells)} |"


def skewed() -> Iterator[str]:
    """Means of skewed differences, many small losses and some large."""
    for n in simulated.SIZES:
        rng = np.random.default_rng(n)
        samples = -rng.gamma(1.0, 1.0, size=(STUDIES, n))
        bounds = np.array([PairedMeans(sample).bounds(ALPHA) for sample in samples])
        yield line(f"{n:,}", (bounds[:, 0] > -1).mean(), (bounds[:, 1] < -1).mean())


def times() -> Iterator[str]:
    """Rounds of a tenth more time, one of twenty with a hiccup; windows of energy."""
    for what, n in (*(("latency", n) for n in (5, 20, 200)), ("energy", 3), ("energy", 8)):
        rng = np.random.default_rng(n)
        found = []
        for _ in range(STUDIES):
            if what == "latency":
                hiccups = np.where(rng.random((2, n)) < 0.05, 8, 1)
                sides = rng.lognormal(0, 0.05, (2, n)) * hiccups
            else:
                sides = rng.normal(1, 0.03, (2, n))
            ratio = TimeRatio(1.1 * sides[0], sides[1])
            found.append([ratio.p_at_most(0.1), ratio.mirrored().p_at_most(-0.1)])
        yield line(f"{what}, {n} a side", *(np.array(found) <= ALPHA).mean(axis=0))


def looked_at() -> Iterator[str]:
    """Streams of 5,000 samples, looked at after each one: any false pass counts."""
    streams, n = 600, 5000
    for flips in simulated.FLIP_RATES:
        margin = flips / 2
        rng = np.random.default_rng(int(1000 * flips))
        shares = [(flips + margin) / 2, (flips - margin) / 2, 1 - flips]
        drawn = (rng.choice([-1.0, 1.0, 0.0], size=n, p=shares) for _ in range(streams))
        wrong = sum(simulated.highest_capital(each, -margin) >= 1 / ALPHA for each in drawn)
        yield f"| {flips:.1%} | {wrong / streams:.1%} |"


def detectors(studies: int) -> Iterator[str]:
    """AP and what is like it, on simulated detectors."""
    worlds: Iterable[Any] = simulated.WORLDS
    for each in worlds:
        if not isinstance(each, tuple) or len(each) != COLUMNS:
            continue  # marked: takes an hour
        name, world, images, metric = each
        found = rates(world, images, studies, metric)
        yield row(f"{name}: {metric}, {images}", found)
    for name, world, images in simulated.RARE:
        yield row(f"collapse, {name}: AP, {images}", rates(world, images, studies))
    for name, world, images in (
        ("groups of ten, one category", World(1, collapse=0.05, group=10), 500),
        ("groups of ten, ten categories", World(10, "skewed", drop=0.1, group=10), 200),
    ):
        yield row(f"{name}: AP, {images}", rates(world, images, studies, by_group=True))


def row(what: str, found: Any) -> str:
    """Rates of a simulated detector."""
    difference, width = f"{found.difference:+.3f}", f"{found.width:.2f}"
    return line(what, found.false_passes, found.false_failures, difference, width)


def main() -> None:
    """Print all tables."""
    studies = int(sys.argv[1]) if len(sys.argv) > 1 else simulated.FEW_STUDIES
    for _title, rows in (
        ("estimators (false passes, false failures): n, flips", estimators()),
        ("skewed means: n, false passes, false failures", skewed()),
        ("times: rounds, false passes, false failures", times()),
        ("looked at after every sample: flips, false passes", looked_at()),
        ("detectors: false passes, false failures, difference, width", detectors(studies)),
    ):
        for _each in rows:
            pass


if __name__ == "__main__":
    main()
