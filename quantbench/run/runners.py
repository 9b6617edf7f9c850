"""Which model is open: one at a time, where nobody holds another."""

from __future__ import annotations

from contextlib import ExitStack, closing, contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from quantbench.core.settings import Machine
from quantbench.errors import PredictionError
from quantbench.measure.memory import PeakMemory, peak_memory
from quantbench.run.context import explained, versions
from quantbench.run.energies import Energies
from quantbench.run.facts import facts_of
from quantbench.study.registry import runner_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from quantbench.protocols import Runner
    from quantbench.run.context import Context
    from quantbench.store.artifacts import Artifact
    from quantbench.study import Case

_WARM_UP_CALLS = 3


def machine_of(context: Context, case: Case) -> Machine:
    """What the case's runner may use."""
    return Machine(context.settings.threads, case.device)


def runner_identity(context: Context, case: Case) -> list[Any]:
    """What of a runner, and of the machine that it runs on, decides over its answers."""
    runner = runner_for(case)
    variant = context.executor.variants.get(case)
    if variant is None:
        variant = runner.variant(machine_of(context, case))
    return [case.scheme.backend, variant, versions(runner.tools)]


def opened(context: Context, case: Case, artifact: Artifact) -> Runner:
    """The artifact, opened by the runner of its scheme's backend.

    Raises:
        PredictionError: it cannot be opened.
    """
    opener: Callable[..., Runner] = runner_for(case)
    with explained(f"opening {case}", PredictionError):
        return opener(artifact.path, machine_of(context, case))


class Runners:
    """Opens artifacts, and keeps the last one open until another case asks for its own."""

    def __init__(self, context: Context, artifact: Callable[[Case], Artifact]) -> None:
        """Open nothing yet; `artifact` builds what is opened."""
        self._context, self._artifact = context, artifact
        self._open: tuple[Case, Runner] | None = None
        self._in_use = False
        self.facts: dict[Case, Mapping[str, Any]] = {}
        self.peaks: dict[Case, PeakMemory] = {}
        self.energies = Energies(context)

    def of(self, case: Case) -> Runner:
        """The opened artifact."""
        if self._open is None or self._open[0] != case:
            self.close()
            runner = opened(self._context, case, self._artifact(case))
            try:
                self.facts[case] = facts_of(runner)
            except PredictionError:
                runner.close()
                raise
            self._open = case, runner
        return self._open[1]

    @contextmanager
    def warmed(self, case: Case, prepared: Any) -> Iterator[Runner]:
        """The runner after a few predictions, whose peak memory and energy the record keeps.

        Inside the block it stays open, whatever else is asked for.

        Raises:
            PredictionError: a prediction failed, or the delegate that the artifact was built and
                checked with is not there: its times would be those of other kernels.
        """
        runner = self.of(case)
        _check_delegated(case, self._artifact(case).details, self.facts[case])
        with self._context.executor.alone():
            with explained(f"running {case}", PredictionError):
                with peak_memory(case.device) as memory:
                    for _ in range(_WARM_UP_CALLS):
                        runner.predict(prepared)
                tokens = len(getattr(prepared, "tokens", ()))
                self.energies.measure(case, lambda: runner.predict(prepared), tokens)
            self.peaks[case] = memory
            self._in_use = True
            try:
                yield runner
            finally:
                self._in_use = False

    @contextmanager
    def when_needed(self, case: Case) -> Iterator[Callable[[], Runner]]:
        """Opens the case's runner when it is first called for.

        Two models are open at once only where a test holds one while another case is evaluated.
        """
        if not self._in_use or (self._open is not None and self._open[0] == case):
            yield lambda: self.of(case)
            return
        with ExitStack() as held:
            artifact = self._artifact(case)
            yield cache(lambda: held.enter_context(closing(opened(self._context, case, artifact))))

    def close(self) -> None:
        """Close the open runner."""
        if self._open is not None:
            self._open[1].close()
            self._open = None


def _check_delegated(case: Case, built: Mapping[str, Any], opened: Mapping[str, Any]) -> None:
    delegate, now = built.get("delegate", "none"), opened.get("delegate", "none")
    # A runtime that refuses the model says so in the facts, and is one that people have.
    if delegate not in {"none", now} and "delegate_refused" not in opened:
        raise PredictionError(
            f"{case} would be timed on other kernels than it was built and checked with",
            expected=f"{delegate}, which took {built.get('delegated_ops')} of {built.get('ops')} "
            "ops when it was built",
            got=f"delegate {now}",
            remedy="time it where the runtime has its delegate, opened with its defaults",
        )
