"""The steps of a diagnosis that compares two graphs, cheapest first."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quantbench.diagnosis.findings import Diagnosis, ranked
from quantbench.diagnosis.noise_findings import judged

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from collections.abc import Set as AbstractSet

    from quantbench.core.progress import Step
    from quantbench.diagnosis.findings import Finding
    from quantbench.diagnosis.noise import TensorNoise


@dataclass(frozen=True)
class Looks:
    """What a backend can say of a float graph and of what was built of it.

    Attributes:
        scan: what constants and scales give away without running anything.
        side_by_side: both graphs on the same samples, tensor by tensor.
        at_the_end: names of the ops of the output tail (`diagnosis.wiring.tail`).
        alone: each op quantized alone, which takes minutes: those that stand out, and findings.
    """

    scan: Callable[[], Sequence[Finding]]
    side_by_side: Callable[[], Sequence[TensorNoise]]
    at_the_end: AbstractSet[str]
    alone: Callable[[], tuple[list[str], list[Finding]]]


def diagnosed(looks: Looks, step: Step, *, alone: bool) -> Diagnosis:
    """Take all looks.

    Args:
        looks: of a backend.
        step: is told what is done next and of how many parts; what it returns is called with 1
            after each.
        alone: whether to quantize each op alone.
    """
    seconds: dict[str, float] = {}
    started = time.perf_counter()
    findings = list(looks.scan())
    seconds["scan"] = time.perf_counter() - started

    started = time.perf_counter()
    advance = step("side by side", 1)
    noise = looks.side_by_side()
    advance(1)
    findings += judged(noise, looks.at_the_end)
    seconds["side by side"] = time.perf_counter() - started

    flagged: list[str] = []
    if alone:
        started = time.perf_counter()
        flagged, more = looks.alone()
        findings += more
        seconds["one op alone"] = time.perf_counter() - started
    profile = [
        {"place": n.place, "op": n.op, "kind": n.kind, "snr_db": round(n.snr_db, 2)} for n in noise
    ]
    return Diagnosis(ranked(findings), profile, tuple(flagged), seconds)
