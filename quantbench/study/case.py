"""Model x scheme x data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from quantbench.core.settings import Device
from quantbench.errors import UsageError
from quantbench.study.freezing import freeze
from quantbench.study.scheme import Scheme

if TYPE_CHECKING:
    from quantbench.protocols import Dataset
    from quantbench.study.model import Model
    from quantbench.study.words import Expected


@dataclass(frozen=True)
class Case:
    """Model x scheme x data set; `str(case)` is its name everywhere.

    Attributes:
        expected: the outcome that the study declares, strictly: "fail" of its gate, or "error"
            when it is built or run.
        reason: why a failure or an error is declared.
        metrics: those on which a failure is declared; () for every metric.
        match: a regular expression that the message of a declared error has; "" for any.
        device: where it runs; part of the name when it is not "cpu".
    """

    model: Model
    scheme: Scheme
    dataset: Dataset
    expected: Expected = "pass"
    reason: str = ""
    device: Device = "cpu"
    metrics: tuple[str, ...] = ()
    match: str = ""

    def __post_init__(self) -> None:
        """Refuse a data set or scheme that two tests of one case could not share, and no device.

        Raises:
            UsageError: a field cannot be hashed, or the device is none.
        """
        freeze(self)
        if self.device not in get_args(Device):
            raise UsageError(
                "unknown device of a case",
                expected=", ".join(get_args(Device)),
                got=repr(self.device),
            )

    def __hash__(self) -> int:
        """Of its names: equal cases have the same, and a study's data sets are not gone through."""
        return hash((self.model.name, self.scheme.name, self.dataset.name, self.device))

    def __str__(self) -> str:
        """`model-scheme-dataset`, on another device than the processor `-device`."""
        parts = self.model.name, self.scheme.name, self.dataset.name
        return "-".join(parts if self.device == "cpu" else (*parts, self.device))

    def under(self, scheme: Scheme) -> Case:
        """The same model on the same data and device under another scheme; nothing is declared."""
        return Case(self.model, scheme, self.dataset, device=self.device)

    def expects(self, metric: str) -> Expected:
        """What the study declares of a gate on this metric."""
        elsewhere = self.expected == "fail" and self.metrics and metric not in self.metrics
        return "pass" if elsewhere else self.expected

    @property
    def reference(self) -> Case:
        """The case that this one is judged against (itself for the reference).

        Raises:
            UsageError: the model has none.
        """
        if self.model.reference is None:
            raise UsageError(
                f"{self.model.name} has no float reference to be judged against",
                remedy="gate on the evaluation alone: evaluation.estimate(metric)",
            )
        other = self.model.reference
        model = self.model if isinstance(other, str) else other
        schemes = {scheme.name: scheme for scheme in map(Scheme.parse, model.schemes)}
        return Case(model, schemes[str(model.reference)], self.dataset, device=self.device)

    @property
    def task(self) -> str:
        """Entry point (group `quantbench.tasks`) that makes and sums up its evidence."""
        return self.dataset.task

    @property
    def is_reference(self) -> bool:
        """Whether this is the float case of its model."""
        return self.scheme.name == self.model.reference
