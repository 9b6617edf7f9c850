"""What samples said of a model: how much each moves a metric."""

from __future__ import annotations

import numpy as np
import pytest

from quantbench.errors import UsageError
from quantbench.run.results import Results


def test_a_mean_is_moved_by_its_samples_alone() -> None:
    values = np.array([True, False, True, True])
    results = Results(
        name="r",
        rows=[{"id": str(i)} for i in range(4)],
        replicates={"accuracy": np.array([0.75])},
        lower_is_better=frozenset(),
        dataset={"name": "d"},
        per_sample={"accuracy": values},
    )
    moved = results.influence("accuracy")
    assert moved.change == pytest.approx((values - 0.75)[None] / 4)
    assert (moved.least, moved.most) == (0.0, 1.0)
    with pytest.raises(UsageError, match="latency of r is no metric of its samples"):
        results.influence("latency")
