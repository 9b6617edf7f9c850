"""How often a verdict is wrong, and how often it passes what is as good: quantbench and two rules.

    python benchmarks/peers/verdicts.py [STUDIES]

Every rule judges the same simulated pairs, 2,000 studies a row. *False passes*: the quantized model
is worse by exactly the margin, so every pass is wrong; quantbench states at most 5 %. *Power*: both
models are equally good, with as many flips. Power counts only where false passes are few: a rule
that passes everything has all of it. 2,000 studies give 5 % to within 1.5 points (three standard
errors), and the worst of 28 such rows is higher than 5 % by chance alone.

Rules on right answers. Samples flip: losses (right before, wrong now), gains.

- *quantbench*: the p-value against "worse by the margin or more" is at most 5 %
  (`stats/proportions.py`), as a gate on right answers asks. `by group`: `stats/influences.py`.
- *McNemar*: the two-sided exact McNemar test is not significant at 5 %, and the loss on the samples
  is under the margin. This is a common habit, not the rule of one tool. The nearest that we read:
  EleutherAI/lm-evaluation-harness:scripts/paired_model_comparison.py (92bb0e1) reports this test
  without a threshold; its scripts/model_comparator.py ticks an unpaired z-test that is not
  significant; NVIDIA-NeMo/Evaluator:src/nemo_evaluator/engine/comparison.py (3572102) blocks where
  a one-sided exact McNemar test is significant and the loss above a threshold, but calls
  inconclusive what few flips leave open. Its release gate (engine/gate.py, 22292f4) uses no
  McNemar test: it asks that the 95 % t interval of the differences is within the threshold.
- *Wald*: the lower end of the 90 % normal interval of the paired difference is above -margin. That
  gate's rule is this one at 97.5 %, with clusters where samples have categories.

Groups of ten samples: each takes its group's outcome with probability sqrt(.3), else its own, so
that any two differences of a group have a correlation of .3.

AP: a detector on 139 images that drops a detection in twenty and says other scores and boxes; 300
studies. The margin lies on their mean difference. quantbench's interval against the percentile
interval of 1,000 paired draws of images. Width: half of the 90 % interval, mean, over 1.645
standard deviations of the difference; 1 is exact.

The last line is the worst false-pass rate of the McNemar rule over the worst of quantbench, on
right answers without groups, in this run. The McNemar rule is worst where the margin is less than
one flip costs: in most studies of 50 samples nothing flips. There Wald's is as bad.
"""

from __future__ import annotations

import argparse
from functools import cache
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from quantbench.stats.bootstrap import resampling_weights
from quantbench.stats.influence import mean_influence
from quantbench.stats.influences import PairedInfluence
from quantbench.stats.proportions import PairedProportions
from quantbench.tasks.detection.metrics.average_precision import summarise
from quantbench.tasks.detection.metrics.coco_influence import of_matches
from quantbench.tasks.detection.metrics.matching import IOU_THRESHOLDS, Matches

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Values = NDArray[np.float64]
    Matched = Mapping[tuple[int, str], Matches]

ALPHA, Z = 0.05, 1.645
STUDIES, DETECTORS = 2000, 300
SIZES, GROUPED_SIZES = (50, 200, 1000, 5000), (500, 5150)
FLIPS, MARGINS = (0.005, 0.05, 0.2), (0.005, 0.02, 0.05)
GROUP, CORRELATION = 10, 0.3
IMAGES, CATEGORIES = 139, (1, 80)


class Cell(NamedTuple):
    """A row of a table: samples, share that flips, margin."""

    n: int
    flips: float
    margin: float

    def chances(self, loss: float) -> list[float]:
        """Of losses, gains and the rest, where the quantized model is worse by `loss`."""
        return [(self.flips + loss) / 2, (self.flips - loss) / 2, 1 - self.flips]

    def __str__(self) -> str:
        return f"{self.n:>7,}{self.flips:>8.1%}{self.margin:>8.1%}"


CELLS = [Cell(*cell) for cell in product(SIZES, FLIPS, MARGINS) if cell[2] <= cell[1]]
GROUPED = [Cell(*cell) for cell in product(GROUPED_SIZES, FLIPS[1:], MARGINS[1:2])]


@cache
def quantbench(losses: int, gains: int, n: int, margin: float) -> bool:
    """The loss is shown to be under the margin."""
    return PairedProportions(losses, gains, n).p_at_most(-margin) <= ALPHA


@cache
def mcnemar(losses: int, gains: int, n: int, margin: float) -> bool:
    """No loss is shown, and what is seen is under the margin."""
    from scipy.stats import binomtest

    flips = losses + gains
    p = binomtest(losses, flips).pvalue if flips else 1.0
    return bool(p >= ALPHA and (losses - gains) / n < margin)


@cache
def wald(losses: int, gains: int, n: int, margin: float) -> bool:
    """The same as quantbench asks, by the normal interval."""
    difference = (gains - losses) / n
    error = ((losses + gains) / n - difference**2) ** 0.5 / n**0.5
    return bool(difference - Z * error > -margin)


RULES: dict[str, Callable[[int, int, int, float], bool]] = {
    "quantbench": quantbench,
    "McNemar": mcnemar,
    "Wald": wald,
}


def passed(cell: Cell, loss: float, studies: int) -> Values:
    """Share of studies that each rule passes, [rules]."""
    rng = np.random.default_rng([cell.n, round(1000 * cell.flips), round(1000 * loss)])
    counts = rng.multinomial(cell.n, cell.chances(loss), size=studies)[:, :2].tolist()
    return shares([verdicts(losses, gains, cell) for losses, gains in counts])


def verdicts(losses: int, gains: int, cell: Cell) -> list[bool]:
    """Of each rule."""
    return [rule(losses, gains, cell.n, cell.margin) for rule in RULES.values()]


def shares(found: list[list[bool]]) -> Values:
    """Of studies that pass, by rule."""
    return np.asarray(np.mean(found, axis=0))


def passed_in_groups(cell: Cell, loss: float, studies: int) -> Values:
    """The same of samples in groups: quantbench by group, then the rules as if there were none."""
    rng = np.random.default_rng([cell.n, round(1000 * cell.flips), round(1000 * loss)])
    groups = np.arange(cell.n) // GROUP
    found = []
    for _ in range(studies):
        shared, own = rng.choice([-1, 1, 0], size=(2, cell.n), p=cell.chances(loss))
        follows = rng.random(cell.n) < CORRELATION**0.5
        difference = np.where(follows, shared[groups], own)
        stays = rng.random(cell.n) < 0.6  # right before and now, if it does not flip
        reference = np.where(difference, difference < 0, stays)
        quantized = np.where(difference, difference > 0, stays)
        pair = PairedInfluence.between(
            (quantized.mean(), reference.mean()),
            (mean_influence(quantized), mean_influence(reference)),
            groups=groups,
        )
        by_group = pair.bounds(ALPHA)[0] > -cell.margin
        losses, gains = (int((difference == flip).sum()) for flip in (-1, 1))
        found.append([by_group, *verdicts(losses, gains, cell)])
    return shares(found)


def detectors(categories: int, seed: int) -> tuple[Matched, Matched]:
    """Matched detections of a model and of its quantized version, up to 2.9 categories an image."""
    rng = np.random.default_rng([categories, seed])
    weights = 1 / np.arange(1, categories + 1)
    reference, quantized = {}, {}
    for category, chance in enumerate(np.minimum(2.9 * weights / weights.sum(), 0.9)):
        positives = (rng.random(IMAGES) < chance) * (1 + rng.poisson(1.5, IMAGES))
        image = np.repeat(np.arange(IMAGES), positives)
        image = image[rng.random(len(image)) < 0.65]
        lies = rng.integers(0, IMAGES, rng.poisson(chance * IMAGES))
        score = np.concatenate([rng.beta(4, 2, len(image)), rng.beta(2, 4, len(lies))])
        iou = np.concatenate([0.5 + 0.5 * rng.beta(3, 1.5, len(image)), np.zeros(len(lies))])
        image = np.concatenate([image, lies])
        kept = rng.random(len(image)) >= 0.05
        scored = np.clip(score + rng.normal(0, 0.05, len(image)), 0.001, 0.999)
        moved = np.where(iou > 0, np.clip(iou + rng.normal(0, 0.02, len(iou)), 0.3, 1), 0)
        reference[category, "all"] = matched(image, score, iou, positives)
        quantized[category, "all"] = matched(image[kept], scored[kept], moved[kept], positives)
    return reference, quantized


def matched(image: NDArray[np.int64], score: Values, iou: Values, positives: Values) -> Matches:
    """Detections that overlap their own truth by `iou`; 0 where there is none."""
    order = np.argsort(-score, kind="stable")
    true = iou[order] >= IOU_THRESHOLDS[:, None]
    return Matches(
        image=image[order],
        rank=np.zeros(len(image), np.int64),
        score=score[order],
        box=np.zeros(len(image), np.int64),
        truth=np.where(true, 0, -1),
        true=true,
        counted=np.ones_like(true),
        positives=positives.astype(np.float64),
    )


def judged_detectors(categories: int, seed: int) -> tuple[float, list[tuple[float, float]]]:
    """One study: the difference in AP, and its 90 % interval by quantbench and by percentiles."""
    sides = detectors(categories, seed)
    was, value = (summarise(side, resampling_weights(IMAGES))["AP"] for side in sides)
    its, mine = (of_matches(side, "AP") for side in sides)
    if its is None or mine is None:
        raise SystemExit("a study without any object")
    ours = PairedInfluence.between((value[0], was[0]), (mine, its)).bounds(ALPHA)
    low, high = np.nanquantile((value - was)[1:], [ALPHA, 1 - ALPHA])
    return float(value[0] - was[0]), [ours, (float(low), float(high))]


def detector_row(categories: int, studies: int) -> str:
    """False passes and widths over studies, quantbench's and percentiles'."""
    found = [judged_detectors(categories, seed) for seed in range(studies)]
    differences = np.array([difference for difference, _ in found])
    low, high = np.array([intervals for _, intervals in found]).transpose(2, 1, 0)
    wrong = (low > differences.mean()).mean(axis=1)
    width = (high - low).mean(axis=1) / 2 / (Z * differences.std())
    return (
        f"{categories:>10}{differences.mean():>12.3f}{wrong[0]:>14.1%}{wrong[1]:>14.1%}"
        f"{width[0]:>14.2f}{width[1]:>14.2f}"
    )


def table(title: str, columns: list[str], cells: list[Cell], rates: list[Values]) -> str:
    """Rates [cells][columns], and the highest of each column."""
    head = f"{'n':>7}{'flips':>8}{'margin':>8}" + "".join(f"{name:>14}" for name in columns)
    rows = [*zip(map(str, cells), rates, strict=True), ("highest", np.max(rates, axis=0))]
    lines = [f"{name:>23}" + "".join(f"{rate:>14.1%}" for rate in row) for name, row in rows]
    return "\n".join([title, head, *lines, ""])


def main() -> None:
    """Print the tables and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("studies", nargs="?", type=int, default=STUDIES)
    studies = parser.parse_args().studies
    wrong = [passed(cell, cell.margin, studies) for cell in CELLS]
    right = [passed(cell, 0, studies) for cell in CELLS]
    print(f"{studies} studies a row\n")  # noqa: T201 - a script
    print(table("Right answers: false passes at the margin's edge", [*RULES], CELLS, wrong))  # noqa: T201
    print(table("Right answers: power", [*RULES], CELLS, right))  # noqa: T201
    names = ["by group", *RULES]
    in_groups = [passed_in_groups(cell, cell.margin, studies) for cell in GROUPED]
    title = "Groups of ten, which all but the first column ignore: false passes"
    print(table(title, names, GROUPED, in_groups))  # noqa: T201
    in_groups = [passed_in_groups(cell, 0, studies) for cell in GROUPED]
    print(table("Groups of ten: power", names, GROUPED, in_groups))  # noqa: T201
    few = min(studies, DETECTORS)
    print(f"AP on {IMAGES} images, {few} studies a row: false passes, then widths")  # noqa: T201
    names = ["quantbench", "percentile"] * 2
    print(f"{'categories':>10}{'difference':>12}" + "".join(f"{name:>14}" for name in names))  # noqa: T201
    for categories in CATEGORIES:
        print(detector_row(categories, few))  # noqa: T201
    worst = dict(zip(RULES, np.max(wrong, axis=0), strict=True))
    print(f"ratio: {worst['McNemar'] / worst['quantbench']:.2f}")  # noqa: T201


if __name__ == "__main__":
    main()
