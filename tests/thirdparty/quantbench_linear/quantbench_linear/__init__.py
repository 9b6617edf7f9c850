"""Linear classifiers in numpy: a backend, a task, a data set and a model for quantbench."""

from __future__ import annotations

from quantbench_linear.data import GaussianClusters
from quantbench_linear.model import MODEL, Vectors

__all__ = ["MODEL", "GaussianClusters", "Vectors"]
