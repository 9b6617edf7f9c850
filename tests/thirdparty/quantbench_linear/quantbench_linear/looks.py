"""Why a quantized classifier is worse: the noise of each class's score."""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.diagnosis.decibels import decibels
from quantbench.diagnosis.findings import Diagnosis, Finding
from quantbench.diagnosis.flags import flag
from quantbench_linear.storage import read_weights

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from quantbench.core.progress import Step


def linear_looks(
    float_model: Path,
    built: Path,
    samples: Sequence[NDArray[Any]],
    step: Step,
    *,
    alone: bool,
) -> Diagnosis:
    """Compare the scores of both models on these samples, class by class.

    Args:
        float_model: folder of the reference's artifact.
        built: folder of the quantized one.
        samples: prepared, of the calibration split.
        step: is told what is done next and of how many parts; what it returns is called with 1
            after each.
        alone: changes nothing: no class reads another's weights, so each is always alone.
    """
    del alone
    started = time.perf_counter()
    told = step("side by side", 1)
    inputs = np.stack(samples, axis=1)  # [features + 1, samples]
    weights, quantized = read_weights(float_model)[0], read_weights(built)[0]
    meant, said = weights @ inputs, quantized @ inputs
    snr_db = [
        decibels(float(np.square(was).mean()), float(np.square(now - was).mean()))
        for was, now in zip(meant, said, strict=True)
    ]
    told(1)
    names = [f"class {label}" for label in range(len(snr_db))]
    return Diagnosis(
        findings=(_noisiest(weights, snr_db, names),),
        profile=[
            {"place": place, "op": names[place], "kind": "score", "snr_db": round(value, 2)}
            for place, value in enumerate(snr_db)
        ],
        flagged=tuple(flag({n: {"score": s} for n, s in zip(names, snr_db, strict=True)})),
        seconds={"side by side": time.perf_counter() - started},
    )


def _noisiest(weights: NDArray[Any], snr_db: Sequence[float], names: Sequence[str]) -> Finding:
    worst = int(np.argmin(snr_db))
    row = np.abs(weights[worst])
    crest = float(row.max() / np.sqrt(np.square(row).mean()))
    usual = median(snr_db)
    return Finding(
        cause="noisy class",
        ops=(names[worst],),
        place=worst,
        text=f"its score stands {snr_db[worst]:.1f} dB above the noise, the median class's "
        f"{usual:.1f}; its largest weight is {crest:.1f} times the root mean square of its row",
        numbers={
            "snr_db": round(snr_db[worst], 2),
            "median_db": round(usual, 2),
            "crest": round(crest, 2),
        },
        remedy="more bits for its row, or a scale of its own for the bias",
        weight=usual - snr_db[worst],
    )
