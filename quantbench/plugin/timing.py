"""What pytest-benchmark timed in a test, for the case's record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quantbench.pipeline import Bench
    from quantbench.study import Case


def with_timing(
    record: dict[str, Any], bench: Bench, case: Case, funcargs: dict[str, Any]
) -> dict[str, Any]:
    """The record with what the test timed, if it timed the case's runner."""
    from quantbench.record.schema import with_decoding, with_latency

    timing = _timing(funcargs)
    if timing is None:
        return record
    if "decoding" in funcargs:
        return with_decoding(record, timing, funcargs["decoding"].tokens)
    bench.timed(case, timing.data)
    return with_latency(record, timing, funcargs["sample"], funcargs["quantized"].facts())


def _timing(funcargs: dict[str, Any]) -> Any:
    """pytest-benchmark's statistics of the case's runner; None where nothing was timed."""
    timing = funcargs.get("benchmark")
    if timing is None or not timing.stats or not {"quantized", "sample"} <= set(funcargs):
        return None
    return timing.stats.stats
