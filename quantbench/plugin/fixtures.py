"""The fixtures of a study's tests. Nothing heavy is imported until one is used."""

from __future__ import annotations

import os
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from quantbench.errors import UsageError
from quantbench.plugin.state import (
    BENCH,
    EXECUTOR,
    FAMILY,
    HEARD,
    RESULTS,
    SETTINGS,
    progress_of,
    within_reach,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from quantbench.judge.verdicts import Kind
    from quantbench.protocols import Runner
    from quantbench.run.evaluation import Evaluation
    from quantbench.run.results import Results
    from quantbench.run.session import Session
    from quantbench.stats.gates import Verdict
    from quantbench.study import Case


@pytest.fixture(scope="session")
def _bench(pytestconfig: pytest.Config) -> Generator[Session]:
    if "PYTEST_XDIST_WORKER" in os.environ:
        # Read when a framework loads. Threads that spin while they wait starve the other
        # workers'; alone they must spin: waking them doubled the latency of a 135M model here.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from quantbench.run.executors.local import Local
    from quantbench.run.session import Session

    settings = pytestconfig.stash[SETTINGS]
    baseline = None
    if settings.baseline is not None:
        from quantbench.record.baseline import read_baseline

        baseline = read_baseline(settings.baseline)
    progress = progress_of(pytestconfig)
    executor = pytestconfig.stash.get(EXECUTOR, None) or Local()
    bench = Session(settings, progress, baseline=baseline, executor=executor)
    bench.family = pytestconfig.stash[FAMILY]
    pytestconfig.stash[BENCH] = bench
    yield bench
    bench.close()


@pytest.fixture
def case() -> Case:
    """The case under test; tests say which by `parametrize("case", cases(...), ids=str)`."""
    raise pytest.UsageError(
        "a test that uses quantbench's fixtures needs "
        '@pytest.mark.parametrize("case", cases("MODEL"), ids=str)'
    )


@pytest.fixture
def sample(case: Case, _bench: Session, pytestconfig: pytest.Config) -> Any:
    """The case's first evaluation sample, prepared for the model."""
    return within_reach(pytestconfig, lambda: _bench.sample(case))


@pytest.fixture
def quantized(
    case: Case, sample: Any, _bench: Session, pytestconfig: pytest.Config
) -> Generator[Runner]:
    """The opened artifact, warmed up on `sample`: the first timed round is like the others.

    `quantized.predict(sample)` is the model alone: `benchmark(quantized.predict, sample)` times it.
    """
    with ExitStack() as held:
        lend = _bench.warmed(case, sample)
        runner: Runner = within_reach(pytestconfig, lambda: held.enter_context(lend))
        yield runner


@pytest.fixture
def decoding(case: Case, quantized: Runner, sample: Any, _bench: Session) -> Callable[[], None]:
    """A callable that generates the next 16 tokens after `sample`, from a filled cache.

    Of language models: `benchmark.pedantic(decoding, rounds=5)` times it.
    """
    decoder = getattr(quantized, "decoder", None)
    if decoder is None:
        raise UsageError(f"{case} has a runner that does not generate", expected="a language model")
    decode: Callable[[], None] = decoder(sample)
    decode()  # warmed up
    _bench.runners.energies.measure_decoding(case, decode, decode.tokens)  # type: ignore[attr-defined]
    return decode


@pytest.fixture
def evaluation(case: Case, _bench: Session, pytestconfig: pytest.Config) -> Evaluation:
    """The case's evidence and estimates, on the evaluated samples.

    `evaluation.estimate("AP")` looks at a metric without judging it.
    """
    evaluated: Evaluation = within_reach(pytestconfig, lambda: _bench.evaluate(case))
    return evaluated


@pytest.fixture
def reference(case: Case, _bench: Session, pytestconfig: pytest.Config) -> Evaluation:
    """The evaluation of the float case that this one is judged against.

    Both gain the metrics of agreement, which need no labels.
    """
    evaluated: Evaluation = within_reach(pytestconfig, lambda: _bench.reference(case))
    return evaluated


@pytest.fixture
def results(
    request: pytest.FixtureRequest, pytestconfig: pytest.Config
) -> Callable[..., list[Results]]:
    """`results("coco", annotations, float, int8)`: results out of files, the reference first.

    As `quantbench.judge.results`; verdicts on them decide the test like any other.
    """

    def read(kind: Kind, *sources: Any, **fields: Any) -> list[Results]:
        from quantbench.judge import results as read_results

        found: list[Results] = within_reach(
            pytestconfig, lambda: read_results(kind, *sources, **fields)
        )
        heard = request.node.stash.setdefault(HEARD, [])
        for each in found:
            each.on_verdict = partial(_hear, heard, each)
            each.undecided_passes = pytestconfig.stash[SETTINGS].inconclusive_passes
        request.node.stash.setdefault(RESULTS, []).extend(found)
        return found

    return read


def _hear(heard: list[tuple[Results, Verdict]], on: Results, verdict: Verdict) -> None:
    heard.append((on, verdict))


@pytest.fixture
def record(case: Case, _bench: Session) -> dict[str, Any]:
    """What is known of the case so far, as it will stand in the JSON file."""
    from quantbench.record.recording import record_of

    return record_of(_bench, case)
