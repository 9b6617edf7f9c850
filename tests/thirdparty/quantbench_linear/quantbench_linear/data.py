"""Vectors around ten centres, drawn one by one from seeds: no files are needed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

CLASSES, FEATURES = 10, 16
_SEED = 2024
_SPREAD, _OFFSET = 0.7, 0.5  # of the centres; vectors have a standard deviation of 1 around theirs
_SHIFT = 0.2  # of a session, which moves all of its vectors alike
_SPLITS = {"evaluation": 0, "calibration": 1, "training": 2}
_DECIMALS = 6  # so that no last bit depends on the machine


@dataclass(frozen=True)
class Vector:
    """One sample."""

    id: str
    values: tuple[float, ...]
    label: int
    group: str | None = None

    @property
    def digest(self) -> str:
        """Of the numbers, without the label."""
        return hashlib.sha256(repr(self.values).encode()).hexdigest()

    @property
    def fingerprint(self) -> str:
        """Of the numbers and the label."""
        return hashlib.sha256(repr((self.values, self.label)).encode()).hexdigest()


@dataclass(frozen=True)
class GaussianClusters:
    """Any number of labelled vectors.

    Attributes:
        sessions: groups that the vectors come in, 0 for vectors that come one by one.
    """

    name: str = "clusters"
    task: str = "vector_classification"
    source: str | None = None
    calibration_source: str | None = None
    default_n: int = 2000
    calibration_n: int = 32
    sessions: int = 0

    def samples(self, files: Mapping[str, Path], split: str, n: int | None) -> Sequence[Vector]:
        """The first `n` vectors of `split`, "evaluation", "calibration" or "training"."""
        del files
        return [self._drawn(split, i) for i in range(self.default_n if n is None else n)]

    def _drawn(self, split: str, index: int) -> Vector:
        import numpy as np

        drawn: Any = np.random.default_rng([_SEED, _SPLITS[split], index])
        label = int(drawn.integers(CLASSES))
        values = _centres()[label] + drawn.standard_normal(FEATURES)
        group = None
        if self.sessions:
            session = index % self.sessions
            group = f"session-{session:03d}"
            shift = np.random.default_rng([_SEED, len(_SPLITS) + _SPLITS[split], session])
            values = values + _SHIFT * shift.standard_normal(FEATURES)
        numbers = tuple(values.round(_DECIMALS).tolist())
        return Vector(f"{split}-{index:05d}", numbers, label, group)


@cache
def _centres() -> NDArray[Any]:
    """[classes, features]."""
    import numpy as np

    drawn = np.random.default_rng(_SEED).standard_normal((CLASSES, FEATURES))
    return _OFFSET + _SPREAD * drawn
