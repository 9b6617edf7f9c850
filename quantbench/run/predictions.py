"""Rows of the cases of a run: predicted shard by shard, each once."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.errors import PredictionError
from quantbench.protocols import Step
from quantbench.run.context import explained
from quantbench.run.runners import runner_identity
from quantbench.run.steps.predict import Shard, check_one_kind, check_predicted_by, predict
from quantbench.run.steps.preparing import check_samples
from quantbench.run.steps.summarise import Rows
from quantbench.store.evidence import Evidence, blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from quantbench.protocols import Task
    from quantbench.run.context import Context
    from quantbench.run.runners import Runners
    from quantbench.run.samples import Samples
    from quantbench.store.artifacts import Artifact
    from quantbench.study import Case


class Predictions:
    """Evidence of cases, block by block of their samples."""

    def __init__(
        self,
        context: Context,
        samples: Samples,
        runners: Runners,
        task: Callable[[Case], Task],
        artifact: Callable[[Case], Artifact],
    ) -> None:
        """Predict nothing yet; `task` and `artifact` make those of a case."""
        self._context, self._samples, self._runners = context, samples, runners
        self._task, self._artifact = task, artifact

    def blocks(self, case: Case) -> list[range]:
        """How the case's evaluated samples are cut."""
        n = len(self._samples.of(case, "evaluation"))
        return blocks(n, growing=self._context.settings.sequential)

    def of(self, case: Case, looks: int | None, known: Evidence | None) -> Evidence:
        """Rows for every evaluated sample (`Session.evidence`)."""
        found = known or Evidence(())
        if not found.shards:
            check_samples(case, self._task(case), self._samples.of(case, "evaluation"))
        cut = self.blocks(case)[:looks][len(found.shards) :]
        with self._predicting(case, cut) as predicted:
            for block in cut:
                self._context.executor.settle(Step("predict", case, block.start, block.stop))
                found = found.extended(predicted(block))
        check_one_kind(case, found, mixed=self._context.settings.mixed)
        return found

    def shard(self, case: Case, block: range) -> Artifact:
        """Rows of one block."""
        with self._predicting(case, [block]) as predicted:
            return predicted(block)

    def rows(self, case: Case) -> Rows:
        """Every row of the case, as they are summed up; read when they are counted."""
        found, groups = self.of(case, None, None), self._samples.groups(case)
        numbers = None if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
        n = len(self._samples.of(case, "evaluation"))
        return Rows(case, lambda: found.rows, n, found.sha256, numbers)

    @contextmanager
    def _predicting(
        self, case: Case, cut: Sequence[range]
    ) -> Iterator[Callable[[range], Artifact]]:
        """Lends what gives the rows of a block, out of the store or predicted.

        For all blocks of the cut the runner is opened once, when the first has to be predicted.
        """
        samples, artifact = self._samples.of(case, "evaluation"), self._artifact(case)
        task = cache(lambda: self._task(case))  # a language model's reads a tokenizer
        # Asked for with the first block: who predicts it may not be known before.
        runner = cache(lambda: tuple(runner_identity(self._context, case)))
        advance: Callable[[int], None] | None = None
        with self._runners.when_needed(case) as opener, ExitStack() as watched:

            def write(shard: Shard, left: int, folder: Path) -> Mapping[str, Any]:
                nonlocal advance
                if advance is None:  # the first block that the store does not have
                    working = self._context.progress.working(f"evaluating {case}", left)
                    advance = watched.enter_context(working)
                with explained(shard.what, PredictionError):
                    opened = opener()
                    with self._context.spent(case.device) as used:
                        measured = predict(shard, opened, task(), folder, advance)
                return {**measured, **used.as_details()}

            def predicted(block: range) -> Artifact:
                what = f"evaluating {case}"
                if len(block) < len(samples):
                    what += f", samples {block.start} to {block.stop} of {len(samples)}"
                mine = tuple(samples[i] for i in block)
                shard = Shard(case, artifact.sha256, runner(), mine, what)
                writing = partial(write, shard, cut[-1].stop - block.start)
                kept = self._context.store.get("evidence", shard.ingredients(), writing)
                check_predicted_by(shard, kept)
                return kept

            yield predicted
