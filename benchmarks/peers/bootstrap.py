"""1,000 paired bootstrap replicates of COCO's numbers: quantbench against hotcoco, one run.

    python benchmarks/peers/bootstrap.py

Two models on the val2017-sized evidence of `coco_eval.py`; the second says other scores and has
lost detections. Each tool starts from Python objects in memory and uses every core.

- quantbench's time: reading and matching both models' rows, drawing the weights, and the twelve
  numbers of both models for each of the 1,001 rows of weights. Compilation is not counted.
- hotcoco's time: loading truths and both models' results, `evaluate()` of both, and
  `compare(n_bootstrap=1000)`, which resamples images and gives intervals of the same twelve
  numbers' differences.

Both tools' numbers must be equal, and quantbench's replicates those of a second run, bit for bit.
The ratio is hotcoco's time over the slower of quantbench's two runs.
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
    **{"APs": "AP_small", "APm": "AP_medium", "APl": "AP_large"},
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
    from quantbench.metrics.average_precision import summarise
    from quantbench.metrics.matching import match
    from quantbench.stats.bootstrap import resampling_weights

    resampling_weights.cache_clear()  # each run draws its own
    weights = resampling_weights(len(models[0]), replicates, SEED)
    return [summarise(match(rows, range(1, CATEGORIES + 1)), weights) for rows in models]


def hotcoco_comparison(described: dict[str, Any], models: list[list[dict[str, Any]]]) -> Any:
    """What `compare` says of two models' results."""
    import hotcoco

    truth = hotcoco.COCO(described)
    evaluations = []
    for results in models:
        said = np.array(
            [(d["image_id"], *d["bbox"], d["score"], d["category_id"]) for d in results]
        )
        evaluations.append(hotcoco.COCOeval(truth, truth.load_res(said), "bbox"))
        evaluations[-1].evaluate()
    return hotcoco.compare(*evaluations, n_bootstrap=REPLICATES, seed=SEED)


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
    ours, (reference, quantized) = max(times), runs[0]
    print(f"quantbench{min(times):8.2f} and {ours:.2f} s, peak memory {peak / 2**20:.0f} MiB")  # noqa: T201 - a script
    if peak >= MEMORY_BYTES:
        raise SystemExit("more than 2 GiB")
    for first, second in zip(*runs, strict=True):
        if any(first[name].tobytes() != second[name].tobytes() for name in first):
            raise SystemExit("two runs with one seed differ")
    print("two runs with one seed agree bit for bit")  # noqa: T201

    described, results = as_coco(models[0])
    started = time.perf_counter()
    compared = hotcoco_comparison(described, [results, as_coco(models[1])[1]])
    theirs = time.perf_counter() - started
    print(f"hotcoco   {theirs:8.2f} s")  # noqa: T201
    print("           reference            quantized            standard error of the difference")  # noqa: T201
    for name, own in NUMBERS.items():
        points = [reference[own][0], quantized[own][0]]
        expected = [compared["metrics_a"][name], compared["metrics_b"][name]]
        spread = (quantized[own] - reference[own])[1:].std()
        print(  # noqa: T201
            f"{own:<10}"
            + "".join(f" {a:.6f} ({b - a:+.0e})   " for a, b in zip(points, expected, strict=True))
            + f"{spread:.6f} (hotcoco {compared['ci'][name]['std_err']:.6f})"
        )
        if np.abs(np.subtract(points, expected)).max() > 1e-12:
            raise SystemExit(f"hotcoco says {expected}, quantbench {points}")
    print(f"ratio: {theirs / ours:.2f}")  # noqa: T201


if __name__ == "__main__":
    main()
