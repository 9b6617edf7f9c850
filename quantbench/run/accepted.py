"""What a baseline accepted of a case."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from quantbench.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quantbench.stats.comparison import Estimate


@dataclass(frozen=True)
class Entry:
    """What was accepted of a case.

    Attributes:
        dataset: sha256 of the evaluated samples.
        protocol: digest of how they became numbers.
        evidence: keys of its rows in the store of the machine that accepted.
        metrics: by name.
    """

    dataset: str
    protocol: str
    evidence: tuple[str, ...]
    metrics: Mapping[str, Estimate]

    def check(self, case: str, dataset: str, protocol: str) -> None:
        """Make sure that a case is compared with its like.

        Raises:
            RecordError: it was accepted on other samples, or under another protocol.
        """
        for what, was, now in (
            ("other samples", self.dataset, dataset),
            ("another protocol", self.protocol, protocol),
        ):
            if was != now:
                raise RecordError(
                    f"{case} was accepted on {what}",
                    expected=f"sha256 {was[:12]}",
                    got=f"sha256 {now[:12]}",
                    remedy="compare like with like (--quant-samples), or accept a run anew: "
                    "quantbench accept out.json",
                )
