"""Simulated detectors on COCO-like images: pairs of models whose true difference is known.

What decides over an interval is not only how many images there are, but what they look like: how
many categories, how often each occurs, whether the quantized model loses a little everywhere or
all of it in few images or categories. Detections are drawn already matched, for speed.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Literal

import numpy as np

from quantbench.stats.influences import PairedInfluence
from quantbench.tasks.detection.metrics.average_precision import summarise
from quantbench.tasks.detection.metrics.coco_influence import of_matches
from quantbench.tasks.detection.metrics.matching import IOU_THRESHOLDS, Matches

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Values = NDArray[np.float64]
    # Image, score, IoU (0: no truth there), and whether the object, or the lie, is small.
    Side = tuple[NDArray[np.int64], Values, Values, NDArray[np.bool_]]
    Matched = Mapping[tuple[int, str], Matches]

_SMALL = 0.35  # share of objects
_MOST_SHOWN = 0.9  # share of images with the most frequent category


@dataclass(frozen=True)
class World:
    """A detector, its quantized version, and the images they see.

    Attributes:
        categories: of the data set.
        frequency: how often they occur: alike; as 1 / rank; alike and in few images.
        drop: chance that the quantized model drops a detection.
        jitter: standard deviation of its scores around the float model's.
        shift: the same of IoUs.
        collapse: chance that it says nothing in an image.
        spread: how unequal the drop is over categories (variance of a gamma over its mean).
        group: images of a group share how hard they are, and whether they collapse.
    """

    categories: int
    frequency: Literal["even", "skewed", "sparse"] = "even"
    drop: float = 0.05
    jitter: float = 0.05
    shift: float = 0.02
    collapse: float = 0.0
    spread: float = 0.0
    group: int = 1

    def shown(self) -> Values:
        """Chance that an image shows each category, [categories]; 2.9 of them on average."""
        weights = 1 / np.arange(1, self.categories + 1) if self.frequency == "skewed" else None
        share = np.ones(self.categories) if weights is None else weights
        wanted = 2.9 * (0.3 if self.frequency == "sparse" else 1)
        chance = share / share.sum() * min(wanted, _MOST_SHOWN * self.categories)
        for _ in range(20):  # what is over the most goes to the others
            over = chance > _MOST_SHOWN
            extra = (chance[over] - _MOST_SHOWN).sum()
            chance[over] = _MOST_SHOWN
            if extra == 0 or over.all():
                break
            chance[~over] += extra * chance[~over] / chance[~over].sum()
        return np.asarray(np.minimum(chance, _MOST_SHOWN))

    def study(self, images: int, seed: int) -> tuple[Matched, Matched]:
        """Matched detections of the float and the quantized model on the same new images."""
        rng = np.random.default_rng([seed, images, zlib.crc32(repr(self).encode())])
        groups = np.arange(images) // self.group
        collapsed = (rng.random(images) < self.collapse)[groups]
        hard = rng.normal(0, 0.6, images)[groups]
        drops = np.full(self.categories, self.drop)
        if self.spread:
            fixed = np.random.default_rng(12345)  # the same in every study
            drops *= fixed.gamma(1 / self.spread, self.spread, self.categories)
        reference: dict[tuple[int, str], Matches] = {}
        quantized: dict[tuple[int, str], Matches] = {}
        for category, chance in enumerate(self.shown()):
            positives, said = _detections(rng, chance, hard)
            fewer = self._quantized(rng, said, drops[category], collapsed)
            for side, boxes in ((reference, said), (quantized, fewer)):
                for area, truths in positives.items():
                    side[category, area] = _matches(boxes, truths, small=area == "small")
        return reference, quantized

    def _quantized(
        self, rng: np.random.Generator, said: Side, drop: float, collapsed: NDArray[np.bool_]
    ) -> Side:
        image, score, iou, small = said
        kept = (rng.random(len(image)) >= min(drop, 1.0)) & ~collapsed[image]
        score = np.clip(score + self.jitter * rng.normal(size=len(score)), 0.001, 0.999)
        moved = np.clip(iou + self.shift * rng.normal(size=len(iou)), 0.3, 1.0)
        return image[kept], score[kept], np.where(iou > 0, moved, 0.0)[kept], small[kept]


def _detections(
    rng: np.random.Generator, chance: float, hard: Values
) -> tuple[dict[str, Values], Side]:
    """Truths of one category by image, and what the float model says of them and beside them.

    Truths of all sizes, and the small ones, a third of them.
    """
    images = len(hard)
    seen = np.flatnonzero(rng.random(images) < chance)
    objects = 1 + rng.poisson(1.5, len(seen))
    image = np.repeat(seen, objects)
    small = rng.random(len(image)) < _SMALL
    positives = {
        "all": np.bincount(image, minlength=images).astype(float),
        "small": np.bincount(image[small], minlength=images).astype(float),
    }
    found = rng.random(len(image)) < 1 / (1 + np.exp(-0.6 - hard[image]))
    image, small = image[found], small[found]
    lies = rng.integers(0, images, rng.poisson(chance * images))
    return positives, (
        np.concatenate([image, lies]),
        np.concatenate([rng.beta(4, 2, len(image)), rng.beta(2, 4, len(lies))]),
        np.concatenate([0.5 + 0.5 * rng.beta(3, 1.5, len(image)), np.zeros(len(lies))]),
        np.concatenate([small, rng.random(len(lies)) < _SMALL]),
    )


def _matches(said: Side, positives: Values, *, small: bool) -> Matches:
    """Of one range of areas: what matches an object of another, or lies elsewhere, is ignored."""
    order = np.argsort(-said[1], kind="stable")
    image, score, iou = said[0][order], said[1][order], said[2][order]
    counted = np.tile(said[3][order] | (not small), (len(IOU_THRESHOLDS), 1))
    true = (iou[None] >= IOU_THRESHOLDS[:, None]) & counted
    nothing = np.zeros(len(image), np.int64)
    return Matches(
        image=image,
        rank=nothing,
        score=score,
        box=nothing,
        truth=np.where(true, 0, -1),
        true=true,
        counted=counted,
        positives=positives,
    )


def compared(
    world: World, images: int, seed: int, metric: str = "AP", *, by_group: bool = False
) -> PairedInfluence:
    """One study's difference."""
    sides = world.study(images, seed)
    was, value = (value_of(side, images, metric) for side in sides)
    its, mine = (of_matches(side, metric) for side in sides)
    assert its is not None
    assert mine is not None
    groups = np.arange(images) // world.group if by_group else None
    return PairedInfluence.between((value, was), (mine, its), groups=groups)


def value_of(matches: Matched, images: int, metric: str) -> float:
    return float(summarise(matches, np.ones((1, images)))[metric][0])


@dataclass(frozen=True)
class Rates:
    """What a set of studies says of an interval whose ends are each to miss in 5 %.

    Attributes:
        difference: mean over studies, which the interval is about.
        deviation: standard deviation over studies.
        false_passes: share of studies whose lower bound lies above the true difference.
        false_failures: share whose upper bound lies below it.
        width: half of the interval over 1.645 standard deviations, mean.
    """

    difference: float
    deviation: float
    false_passes: float
    false_failures: float
    width: float


@cache
def rates(
    world: World, images: int, studies: int, metric: str = "AP", *, by_group: bool = False
) -> Rates:
    """Simulate; the truth is the mean difference over studies of this many images."""
    found = [compared(world, images, seed, metric, by_group=by_group) for seed in range(studies)]
    values = np.array([each.value for each in found])
    bounds = np.array([each.bounds(0.05) for each in found])
    truth, deviation = float(values.mean()), float(values.std())
    return Rates(
        truth,
        deviation,
        float((bounds[:, 0] > truth).mean()),
        float((bounds[:, 1] < truth).mean()),
        float((bounds[:, 1] - bounds[:, 0]).mean() / 2 / (1.645 * deviation)),
    )


def losing(world: World, loss: float, images: int) -> World:
    """The same with a drop at which AP falls by about `loss`."""
    per_drop = -rates(replace(world, drop=0.1), images, 20).difference / 0.1
    return replace(world, drop=min(loss / per_drop, 0.95))
