"""Numbers of answers that are there already: no model, no pictures."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from quantbench.errors import AnchorError
from quantbench.tasks.classification.metrics import agreement, answers, calibration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from quantbench.protocols import Influence, Row

_FEWEST = 5  # pictures of a class that say what it is taken for
_LISTED = 5


class AnswerNumbers:
    """Rows in, numbers out: the half of classification that needs no model."""

    lower_is_better = frozenset(
        {"cross_entropy", "calibration_error", "lost", "gained", "kl_divergence"}
    )
    signed: frozenset[str] = frozenset()

    def summarise(
        self, rows: Sequence[Row], weights: NDArray[Any]
    ) -> Mapping[str, NDArray[np.float64]]:
        """top1, top5, cross_entropy, calibration_error (`metrics/answers.py`)."""
        return answers.summarise(rows, weights)

    def agree(
        self, rows: Sequence[Row], reference: Sequence[Row], weights: NDArray[Any]
    ) -> Mapping[str, NDArray[np.float64]]:
        """agreement_top1, lost, gained, agreement_overlap, kl_divergence."""
        return agreement.agree(rows, reference, weights)

    @staticmethod
    def per_sample(
        rows: Sequence[Row], reference: Sequence[Row] | None = None
    ) -> Mapping[str, NDArray[Any]]:
        """All of them but the calibration error, which is no mean over pictures."""
        if reference is None:
            return answers.per_picture(rows)
        return agreement.per_picture(rows, reference)

    def influence(
        self, metric: str, rows: Sequence[Row], reference: Sequence[Row] | None = None
    ) -> Influence | None:
        """How much each picture moves the calibration error (`metrics/calibration.py`)."""
        if metric != "calibration_error" or reference is not None:
            return None
        return calibration.influence(rows)

    def explain(self, rows: Sequence[Row]) -> Mapping[str, Any]:
        """`by_class`: pictures and right answers; `confused`: the most frequent mistakes."""
        return {
            "by_class": answers.recall_by_class(rows),
            "confused": answers.confusions(rows),
        }

    def explain_change(self, rows: Sequence[Row], reference: Sequence[Row]) -> Mapping[str, Any]:
        """`change_by_class`: right now and before; `flipped`: from which class to which."""
        return {
            "change_by_class": answers.change_by_class(rows, reference),
            "flipped": answers.flipped(rows, reference),
        }

    def check_reference(self, rows: Sequence[Row]) -> None:
        """Refuse a float model that says another class for most classes.

        Its index map is wrong, or what it is fed: right answers by chance against right answers
        by chance would pass any gate. A class has a say that five pictures show.

        Raises:
            AnchorError: the commonest answer is a wrong one, for more than half of these classes.
        """
        by_class: dict[str, Counter[str]] = {}
        for row in rows:
            by_class.setdefault(row["label"], Counter())[answers.said(row)] += 1
        shown = {label: said for label, said in by_class.items() if said.total() >= _FEWEST}
        mistaken = {
            label: said.most_common(1)[0][0]
            for label, said in sorted(shown.items())
            if said[label] < max(said.values())
        }
        if len(mistaken) <= len(shown) / 2:
            return
        pairs = [f"{said} for {label}" for label, said in mistaken.items()]
        raise AnchorError(
            "the float model's commonest answer is wrong for most classes",
            expected="the class itself, as the commonest answer to its pictures",
            got=f"for {len(mistaken)} of {len(shown)} classes another: "
            f"{', '.join(pairs[:_LISTED])}{', ...' if len(pairs) > _LISTED else ''}",
            remedy="give class_ids in the order of the output channels, and mean, std, "
            "value_range and channels as the model was trained",
        )
