"""1,000 paired bootstrap replicates of COCO's numbers: quantbench against hotcoco, one run.

    python benchmarks/peers/bootstrap.py

Two models on the val2017-sized evidence of `coco_eval.py`; the second says other scores and has
lost detections. Each tool starts from Python objects in memory and uses every core.

- quantbench's time: reading and matching both models' rows, drawing the weights, and the twelve
  numbers of both models for each of the 1,001 rows of weights. Compilation is not counted.
- hotcoco's time: loading truths and both models' results, `evaluate()` of both, and
  `compare(n_bootstrap=1000)`, which resamples images and gives intervals of the same twelve
  numbers' differences.

Both tools' numbers of each model must be equal, and quantbench's replicates those of a second run,
bit for bit. The ratio is hotcoco's time over the slower of quantbench's two runs. Standard errors
differ: hotcoco 1.3.0 takes an image that is drawn several times once, which leaves its replicates
63 % of the images, and its standard errors 0.8 of a bootstrap's.
"""

from __future__ import annotations

import resource
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from coco_eval import (  # type: ignore[import-not-found]  # the script beside this one
    CATEGORIES,
    DETECTIONS,
    as_coco,
    evidence,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

REPLICATES, SEED = 1000, 0
MEMORY_BYTES = 2 * 1024**3
NUMBERS = {  # hotcoco's name: quantbench's
    **{name: name for name in ("AP", "AP50", "AP75")},
    "APs": "AP_small",
    "APm": "AP_medium",
    "APl": "AP_large",
}


def changed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a quantized model might say: noisy scores, and one detection in twenty lost."""
    rng = np.random.default_rng(1)
    noise = iter(rng.normal(0, 0.05, DETECTIONS))
    kept = iter(rng.random(DETECTIONS) > 0.05)
    return [
        row
        | {
            "detections": [
                d | {"score": float(np.clip(d["score"] + next(noise), 0, 1))}
                for d in row["detections"]
                if next(kept)
            ]
        }
        for row in rows
    ]


def quantbench_replicates(
    models: list[list[dict[str, Any]]], replicates: int = REPLICATES
) -> list[dict[str, NDArray[np.float64]]]:
    """The numbers of each model from its rows, the same weights for all, [1 + replicates] each."""
    from quantbench.stats.bootstrap import resampling_weights
    from quantbench.tasks.detection.metrics.average_precision import summarise
    from quantbench.tasks.detection.metrics.matching import match

    resampling_weights.cache_clear()  # each run draws its own
    weights = resampling_weights(len(models[0]), replicates, SEED)
    return [summarise(match(rows, range(1, CATEGORIES + 1)), weights) for rows in models]


def hotcoco_comparison(
    described: dict[str, Any], reference: list[dict[str, Any]], quantized: list[dict[str, Any]]
) -> dict[str, Any]:
    """What `compare` says of two models' results."""
    import hotcoco

    truth = hotcoco.COCO(described)

    def evaluated(results: list[dict[str, Any]]) -> hotcoco.COCOeval:
        said = [(d["image_id"], *d["bbox"], d["score"], d["category_id"]) for d in results]
        evaluation = hotcoco.COCOeval(truth, truth.load_res(np.array(said)), "bbox")
        evaluation.evaluate()
        return evaluation

    return hotcoco.compare(
        evaluated(reference), evaluated(quantized), n_bootstrap=REPLICATES, seed=SEED
    )


def main() -> None:
    """Print both tools' times, their numbers side by side, and the ratio."""
    models = [evidence(), changed(evidence())]
    quantbench_replicates([rows[:10] for rows in models], 1)  # compiles
    runs, times = [], []
    for _ in range(2):
        started = time.perf_counter()
        runs.append(quantbench_replicates(models))
        times.append(time.perf_counter() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"quantbench {times[0]:7.2f} s, then {times[1]:.2f} s, peak {peak / 2**20:.0f} MiB")  # noqa: T201 - a script
    if peak >= MEMORY_BYTES:
        raise SystemExit("more than 2 GiB")
    for first, second in zip(*runs, strict=True):
        if any(first[name].tobytes() != second[name].tobytes() for name in first):
            raise SystemExit("two runs with one seed differ")

    described, results = as_coco(models[0])
    _, changed_results = as_coco(models[1])
    started = time.perf_counter()
    compared = hotcoco_comparison(described, results, changed_results)
    theirs = time.perf_counter() - started
    print(f"hotcoco    {theirs:7.2f} s")  # noqa: T201
    reference, quantized = runs[0]
    print_numbers(reference, quantized, compared)
    print(f"ratio: {theirs / max(times):.2f}")  # noqa: T201


def print_numbers(
    reference: dict[str, NDArray[np.float64]],
    quantized: dict[str, NDArray[np.float64]],
    compared: dict[str, Any],
) -> None:
    """Both models' numbers, and the standard error of their difference, by both tools."""
    print("           quantbench          less hotcoco's      standard error    hotcoco's")  # noqa: T201
    for name, own in NUMBERS.items():
        ours = np.array([reference[own][0], quantized[own][0]])
        error = ours - [compared["metrics_a"][name], compared["metrics_b"][name]]
        spread = (quantized[own] - reference[own])[1:].std()
        theirs = compared["ci"][name]["std_err"]
        print(  # noqa: T201
            f"{own:<10} {ours[0]:.6f} {ours[1]:.6f}   {error[0]:+.0e} {error[1]:+.0e}"
            f"       {spread:.6f}          {theirs:.6f}"
        )
        if np.abs(error).max() > 1e-12:
            raise SystemExit(f"{own} differs")


if __name__ == "__main__":
    main()
