"""A built model's answers beside those of the framework that it comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Answers = Mapping[str, NDArray[Any]]

_REORDERED = 1e-4  # of the largest answer: what rows that swapped may differ by
_MOST_ROWS = 1000  # that are matched with each other


def check_finite(said: Answers, where: str) -> None:
    """Refuse answers with NaN or infinity.

    Raises:
        BuildError: an output has some.
    """
    for name, values in said.items():
        if not np.isfinite(values).all():
            raise BuildError(
                f"output {name!r} of the built model holds NaN or infinity",
                where=where,
                got=f"{int((~np.isfinite(values)).sum())} of {values.size} values",
                remedy="an op's quantization breaks it: leave that op in float, or look for "
                "infinite constants in the float model",
            )


def difference(said: Answers, meant: Answers, where: str) -> tuple[float, bool]:
    """Largest difference in shares of the largest answer (at least 1), and whether in order.

    Each output counts in shares of its own. What is not finite differs by infinity.

    Rows sorted by score may swap where scores are nearly equal: whole rows are the same then. That
    rows of several outputs swapped alike is not looked at: what is decoded says so.

    Args:
        said: by the built model, by output.
        meant: by the framework; an importer may drop outputs that nobody reads.
        where: the model, for an error.

    Raises:
        BuildError: an output is not the framework's, of another shape, or not finite in the
            framework itself.
    """
    most, in_order = 0.0, True
    for name, values in said.items():
        if name not in meant:
            raise BuildError(
                f"output {name!r} is none of the framework's",
                where=where,
                expected=", ".join(meant),
                got=", ".join(said),
            )
        error, same = _difference(values, meant[name], name, where)
        most, in_order = max(most, error), in_order and same
    return most, in_order


def _difference(
    said: NDArray[Any], meant: NDArray[Any], name: str, where: str
) -> tuple[float, bool]:
    if said.shape != meant.shape:
        raise BuildError(
            f"output {name!r} changed its shape on the way",
            where=where,
            expected=meant.shape,
            got=said.shape,
        )
    if not np.isfinite(meant).all():
        raise BuildError(
            f"the source framework's own output {name!r} holds NaN or infinity",
            where=where,
            got=f"{int((~np.isfinite(meant)).sum())} of {meant.size} values",
        )
    if not np.isfinite(said).all():
        return float("inf"), True
    scale = max(1.0, float(np.abs(meant).max(initial=0.0)))
    error = float(np.abs(said - meant).max(initial=0.0)) / scale
    if error <= _REORDERED:
        return error, True
    if (least := _matched(said, meant) / scale) <= _REORDERED:
        return least, False
    return error, True


def _matched(said: NDArray[Any], meant: NDArray[Any]) -> float:
    """Largest difference where whole rows may swap: detections, each a row of [1, n, ...]."""
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    n = said.shape[1] if said.ndim > 1 and said.shape[0] == 1 else len(said)
    if not 0 < n <= _MOST_ROWS:
        return float("inf")
    rows = [np.asarray(each, np.float64).reshape(n, -1) for each in (said, meant)]
    apart = cdist(*rows, metric="chebyshev")
    return float(apart[linear_sum_assignment(apart)].max())
