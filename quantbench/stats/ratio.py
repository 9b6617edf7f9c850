"""The estimator that several metrics share: a ratio of weighted sums."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def ratio(
    above: NDArray[np.float64], below: NDArray[np.float64], weights: NDArray[Any]
) -> NDArray[np.float64]:
    """Weighted sum of `above` [samples] over that of `below`; NaN where that is zero."""
    total = np.asarray(weights @ below)
    result = np.full(len(weights), np.nan)
    np.divide(weights @ above, total, out=result, where=total != 0)
    return result
