"""COCO's twelve numbers on a val2017-sized evaluation: quantbench against the field, one run.

    python benchmarks/peers/coco_eval.py

5,000 images, 36,000 truths and 200,000 detections, synthetic, in 80 categories. Every tool starts
from Python objects in memory and ends with the twelve numbers, which must be equal. The ratio is
pycocotools' time over quantbench's, each the best of its rounds; compilation is not counted.
"""

from __future__ import annotations

import contextlib
import io
import time
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

IMAGES, TRUTHS, DETECTIONS, CATEGORIES = 5_000, 36_000, 200_000, 80
WIDTH, HEIGHT = 640, 480


def evidence() -> list[dict[str, Any]]:
    """Rows as a detection task makes them: half of the detections lie near a truth."""
    rng = np.random.default_rng(0)
    rows: list[dict[str, Any]] = [
        {"id": str(i), "width": WIDTH, "height": HEIGHT, "truths": [], "detections": []}
        for i in range(IMAGES)
    ]
    images, categories, boxes = _boxes(rng, TRUTHS)
    crowd = rng.random(TRUTHS) < 0.01
    for image, category, box, crowded in zip(images, categories, boxes, crowd, strict=True):
        rows[image]["truths"].append(
            {
                "bbox": box.tolist(),
                "area": 0.7 * float(box[2] * box[3]),  # of a mask
                "category_id": int(category),
                "iscrowd": int(crowded),
            }
        )
    half = DETECTIONS // 2
    near = rng.integers(0, TRUTHS, half)
    moved = boxes[near] + rng.normal(0, 0.08, (half, 4)) * np.tile(boxes[near, 2:], 2)
    moved[:, 2:] = np.maximum(moved[:, 2:], 2.0)
    mistaken = rng.random(half) < 0.1
    said = np.where(mistaken, rng.integers(1, CATEGORIES + 1, half), categories[near])
    stray_images, stray_categories, stray = _boxes(rng, DETECTIONS - half)
    for image, category, box, score in zip(
        np.concatenate([images[near], stray_images]),
        np.concatenate([said, stray_categories]),
        np.round(np.concatenate([moved, stray]), 3),
        np.concatenate([rng.beta(5, 3, half), rng.beta(2, 6, DETECTIONS - half)]),
        strict=True,
    ):
        rows[image]["detections"].append(
            {"bbox": box.tolist(), "score": float(score), "category_id": int(category)}
        )
    return rows


def _boxes(rng: np.random.Generator, n: int) -> tuple[Any, Any, Any]:
    extent = np.exp(rng.uniform(np.log(8), np.log(300), (n, 2)))
    corner = rng.random((n, 2)) * np.maximum([WIDTH, HEIGHT] - extent, 1)
    images, categories = rng.integers(0, IMAGES, n), rng.integers(1, CATEGORIES + 1, n)
    return images, categories, np.concatenate([corner, extent], axis=1)


def quantbench_numbers(rows: list[dict[str, Any]]) -> list[float]:
    """From rows, as the pipeline does it."""
    from quantbench.tasks.detection.metrics.average_precision import summarise
    from quantbench.tasks.detection.metrics.matching import match

    summed = summarise(match(rows, range(1, CATEGORIES + 1)), np.ones((1, len(rows))))
    return [float(values[0]) for values in summed.values()][:12]


def as_coco(rows: list[dict[str, Any]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The same as COCO's dictionary and list of results; making them is not timed."""
    truths = [{**t, "image_id": i} for i, row in enumerate(rows) for t in row["truths"]]
    described = {
        "info": {},
        "images": [{"id": i, "width": WIDTH, "height": HEIGHT} for i in range(len(rows))],
        "categories": [{"id": c, "name": str(c)} for c in range(1, CATEGORIES + 1)],
        "annotations": [{**t, "id": n} for n, t in enumerate(truths, start=1)],
    }
    results = [{**d, "image_id": i} for i, row in enumerate(rows) for d in row["detections"]]
    return described, results


def pycocotools_numbers(described: dict[str, Any], results: list[dict[str, Any]]) -> list[float]:
    """The reference implementation."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth = COCO()
    truth.dataset = described
    truth.createIndex()
    return _evaluated(COCOeval(truth, truth.loadRes(results), "bbox"))


def faster_coco_eval_numbers(
    described: dict[str, Any], results: list[dict[str, Any]]
) -> list[float]:
    """Its C++ rewrite."""
    from faster_coco_eval import COCO, COCOeval_faster

    truth = COCO(described)
    evaluation = COCOeval_faster(truth, truth.loadRes(results), "bbox", print_function=_silent)
    return _evaluated(evaluation)


def hotcoco_numbers(described: dict[str, Any], results: list[dict[str, Any]]) -> list[float]:
    """Its Rust rewrite."""
    import hotcoco

    truth = hotcoco.COCO(described)
    said = [
        (d["image_id"], *d["bbox"], d["score"], d["category_id"]) for d in results
    ]  # what it reads fastest
    return _evaluated(hotcoco.COCOeval(truth, truth.load_res(np.array(said)), "bbox"))


def _silent(*words: object) -> None:
    """Print nothing."""


def _evaluated(evaluation: Any) -> list[float]:
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return [float(number) for number in evaluation.stats][:12]


def best_of(rounds: int, work: Callable[[], list[float]]) -> tuple[float, list[float]]:
    """Seconds of the fastest round, and the numbers."""
    times = []
    numbers: list[float] = []
    for _ in range(rounds):
        started = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            numbers = work()
        times.append(time.perf_counter() - started)
    return min(times), numbers


def main() -> None:
    """Print each tool's time and its ratio to quantbench's."""
    rows = evidence()
    described, results = as_coco(rows)
    quantbench_numbers(rows[:10])  # compiles
    ours, expected = best_of(5, lambda: quantbench_numbers(rows))
    print(f"{'quantbench':<18}{ours:8.2f} s")  # noqa: T201 - a script
    peers = {
        "hotcoco": (5, hotcoco_numbers),
        "faster-coco-eval": (3, faster_coco_eval_numbers),
        "pycocotools": (1, pycocotools_numbers),
    }
    theirs = 0.0
    for name, (rounds, numbers_of) in peers.items():
        theirs, numbers = best_of(rounds, lambda of=numbers_of: of(described, results))  # type: ignore[misc]
        error = float(np.abs(np.array(numbers) - expected).max())
        if error > 1e-12:
            raise SystemExit(f"{name} says {numbers}, quantbench {expected}")
        print(f"{name:<18}{theirs:8.2f} s, {theirs / ours:6.2f} times, numbers within {error:.0e}")  # noqa: T201
    print(f"ratio: {theirs / ours:.2f}")  # noqa: T201


if __name__ == "__main__":
    main()
