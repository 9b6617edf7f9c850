"""Models built in memory, and how they are asked: what looks and judges need of a backend."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray

Answers = Mapping[str, NDArray[np.float32]]  # a model's outputs by name
Model = Callable[[NDArray[Any]], Answers]  # asked by one prepared sample
# A model's content, to the model for the time of a `with` block. Opening and asking raise
# PredictionError where the runtime cannot.
OpenModel = Callable[[bytes], AbstractContextManager[Model]]
