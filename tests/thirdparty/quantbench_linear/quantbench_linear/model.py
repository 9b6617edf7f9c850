"""The float model, described: ten classes, their weights in a text file beside this one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from quantbench import Model
from quantbench_linear.data import GaussianClusters


@dataclass(frozen=True)
class Vectors:
    """What goes into a linear classifier.

    Attributes:
        features: numbers of a sample, without the constant that the bias is multiplied by.
        labels: names of the classes, in the order of the scores.
    """

    task: ClassVar[str] = "vector_classification"
    features: int
    labels: tuple[str, ...]


MODEL = Model(
    name="gaussian_lda",
    source=f"file:{Path(__file__).with_name('weights.csv')}",
    format="linear_csv",
    reference="linear_float64",
    schemes=("linear_float64", "linear_int8", "linear_int4"),
    datasets=(GaussianClusters(),),
    interface=Vectors(features=16, labels=tuple(f"cluster {i}" for i in range(10))),
    note="linear discriminant analysis of 2,000 training vectors",
    license="Apache-2.0",
)
