"""What the samples of a case said, with where they are kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from quantbench.run.results import Results

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from quantbench.store.artifacts import Artifact
    from quantbench.store.evidence import Evidence
    from quantbench.study import Case


@dataclass(repr=False, kw_only=True)
class Evaluation(Results):
    """Results of a case.

    Attributes:
        case: the case.
        artifact: the evaluated artifact.
        evidence: where the rows are kept, with what was measured while they were made.
        summarise_s: seconds for all metrics of all replicates.
        explanation: what the loss is made of (`Task.explain`).
        changes: the samples that departed furthest from the reference (`Task.changes`).
        protocol: digest of how samples became rows, and rows numbers.
    """

    case: Case
    artifact: Artifact
    evidence: Evidence
    summarise_s: float = 0.0
    explanation: Mapping[str, Any] = field(default_factory=dict)
    changes: Sequence[Mapping[str, Any]] = ()
    protocol: str = ""

    def declares_failure(self, metric: str) -> bool:
        """Whether the study says that the gate on this metric must fail."""
        return self.case.expects(metric) == "fail"
