"""What pytest-benchmark timed in a test, for the case's record.

Only `benchmark(quantized.predict, sample)` is the latency of a case, and only `benchmark(decoding)`
its decoding; `benchmark.pedantic` counts the same. Whatever else a test times stays in
pytest-benchmark's own table.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from quantbench.study.words import UNTRAINED

if TYPE_CHECKING:
    from quantbench.run.session import Session
    from quantbench.study import Case

_NOT_RECORDED = (
    "timed something else than the case's model, which is not recorded as its latency: "
    "that is benchmark(quantized.predict, sample), or benchmark(decoding)"
)


def watch(benchmark: Any, case: Case) -> None:
    """Let pytest-benchmark's fixture remember what it times, and name the case in its record."""
    from pytest_benchmark.fixture import BenchmarkFixture

    if type(benchmark) is BenchmarkFixture:
        # The object itself, not a wrapper of it: other fixtures may hold it already.
        benchmark.__class__ = _watched()
    if isinstance(benchmark, BenchmarkFixture):
        benchmark.extra_info["case"] = str(case)
        if case.model.has_random_weights:
            benchmark.name = f"{benchmark.name} ({UNTRAINED})"


@cache
def _watched() -> type[Any]:
    from pytest_benchmark.fixture import BenchmarkFixture

    class Watched(BenchmarkFixture):  # type: ignore[misc]
        """Keeps the function that it times, and its arguments."""

        timed: tuple[Any, tuple[Any, ...]] | None = None

        def __call__(self, function_to_benchmark: Any, *args: Any, **kwargs: Any) -> Any:
            # A second call is refused, and times nothing.
            self.timed = self.timed or (function_to_benchmark, (*args, *kwargs.values()))
            return super().__call__(function_to_benchmark, *args, **kwargs)

        def pedantic(
            self, target: Any, args: Any = (), kwargs: Any = None, *more: Any, **how: Any
        ) -> Any:
            self.timed = self.timed or (target, (*args, *(kwargs or {}).values()))
            return super().pedantic(target, args, kwargs, *more, **how)

    return Watched


def with_timing(
    record: dict[str, Any], bench: Session, case: Case, funcargs: dict[str, Any]
) -> dict[str, Any]:
    """The record with what the test timed, if it timed the case's runner."""
    from quantbench.record.recording import with_energies
    from quantbench.record.schema import with_decoding, with_latency

    benchmark: Any = funcargs.get("benchmark")
    timed = getattr(benchmark, "timed", None)
    if timed is None or not benchmark.stats:
        return record
    timing = benchmark.stats.stats
    function, args = timed
    if "decoding" in funcargs and function is funcargs["decoding"]:
        bench.runners.energies.estimate_decoding(case, timing.data, function.tokens)
        record = with_decoding(record, timing, function.tokens)
        return with_energies(record, bench, case)
    if _is_prediction(function, args, funcargs):
        bench.timed(case, timing.data)
        record = with_latency(record, timing, funcargs["sample"], bench.runners.facts[case])
        return with_energies(record, bench, case)
    return record


def not_recorded(funcargs: dict[str, Any]) -> str:
    """What is said of a test that timed something else, though it has the case's runner."""
    benchmark: Any = funcargs.get("benchmark")
    timed = getattr(benchmark, "timed", None)
    if timed is None or not benchmark.stats or "quantized" not in funcargs:
        return ""
    function, args = timed
    if function is funcargs.get("decoding") or _is_prediction(function, args, funcargs):
        return ""
    return _NOT_RECORDED


def _is_prediction(function: Any, args: tuple[Any, ...], funcargs: dict[str, Any]) -> bool:
    """Whether it is the case's own runner, on the case's own sample."""
    runner = funcargs.get("quantized")
    whole = runner is not None and function == runner.predict and len(args) == 1
    return bool(whole and args[0] is funcargs.get("sample"))
