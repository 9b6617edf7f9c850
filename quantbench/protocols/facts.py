"""What a reader of a runner's times must know."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, kw_only=True)
class Facts:
    """How an opened model runs.

    Attributes:
        threads: of the processor, at least 1.
        weights_bytes: what the weights weigh as they are stored, at least 0.
        delegate: the kernels that take the model over, "none" where the runtime's own do.
        kernel: whose kernels run.
        device: "cpu" or "cuda".
        evaluated_as: "stored", or in words how the weights are evaluated where that is not as
            they are stored: memory and speed of evaluation then say nothing of the artifact.
        more: further JSON values by name, for the record.
    """

    threads: int
    weights_bytes: int
    delegate: str = "none"
    kernel: str | None = None
    device: str | None = None
    evaluated_as: str | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """One flat object in the order of its names; what is None is left out."""
        own = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "more"}
        known = {name: value for name, value in own.items() if value is not None}
        return dict(sorted({**known, **self.more}.items()))
