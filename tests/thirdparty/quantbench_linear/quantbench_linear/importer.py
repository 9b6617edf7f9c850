"""From `linear_csv`, a text that anyone can write, to `linear_npz`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from quantbench.errors import BuildError
from quantbench_linear.storage import write_float

if TYPE_CHECKING:
    from pathlib import Path

    from quantbench import Model


class CSVImporter:
    """A line a class: its label, its bias, its weights; one line above them names the columns."""

    tools = ("numpy",)
    version = 1

    def build(self, model: Model, source: Path, folder: Path) -> None:
        """Write `linear.npz`.

        Raises:
            BuildError: the labels are not 0, 1, 2, ... in order, or weights are no numbers.
        """
        (path,) = source.glob("*.csv")
        table = np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2)
        labels, bias, weights = table[:, 0], table[:, 1], table[:, 2:]
        if labels.tolist() != list(range(len(labels))) or not np.isfinite(table).all():
            raise BuildError(
                f"the weights of {model.name} cannot be read",
                where=path.name,
                expected="labels 0, 1, 2, ... in order, and finite numbers",
                got=f"labels {labels.tolist()}"[:200],
            )
        write_float(np.column_stack([weights, bias]), folder)
