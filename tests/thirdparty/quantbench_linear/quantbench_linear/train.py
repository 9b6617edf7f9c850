"""Write `weights.csv`: `python -m quantbench_linear.train`, in closed form, in a second.

Linear discriminant analysis with one variance for all features: a score is the logarithm of the
density of a class, but for what all classes share.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from quantbench_linear.data import CLASSES, GaussianClusters

WEIGHTS = Path(__file__).with_name("weights.csv")


def weights_csv(n: int = 2000) -> str:
    """The file's text: a line a class, its label, its bias, its weights."""
    samples = GaussianClusters().samples({}, "training", n)
    values = np.array([sample.values for sample in samples])
    labels = np.array([sample.label for sample in samples])
    means = np.array([values[labels == label].mean(axis=0) for label in range(CLASSES)])
    variance = float(np.square(values - means[labels]).mean())
    lines = []
    for label, mean in enumerate(means):
        row = [-float(mean @ mean) / (2 * variance), *(mean / variance).tolist()]
        lines.append(",".join([str(label), *(f"{number:.6f}" for number in row)]))
    return "\n".join(["label,bias," + ",".join(f"w{i}" for i in range(means.shape[1])), *lines, ""])


if __name__ == "__main__":
    WEIGHTS.write_text(weights_csv(), encoding="utf-8")
