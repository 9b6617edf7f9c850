"""Prediction: from an artifact and samples to rows, shard by shard."""

from __future__ import annotations

import json
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from quantbench.core.overlap import ahead
from quantbench.errors import IntegrityError
from quantbench.measure.machines import kind_in_words, machine_kind
from quantbench.measure.memory import peak_memory
from quantbench.run.facts import facts_of
from quantbench.run.steps.resolve import protocol_of
from quantbench.store.evidence import ROWS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from quantbench.protocols import Runner, Task
    from quantbench.store.artifacts import Artifact
    from quantbench.store.evidence import Evidence
    from quantbench.study import Case


@dataclass(frozen=True)
class Shard:
    """Consecutive samples of a case that one artifact predicts: data, nothing that is open.

    Attributes:
        case: whose samples they are.
        artifact: digest of the artifact that predicts them.
        runner: what of the runner decides over its answers.
        samples: in their order.
        what: words for it.
    """

    case: Case
    artifact: str
    runner: tuple[Any, ...]
    samples: tuple[Any, ...]
    what: str

    def ingredients(self) -> dict[str, Any]:
        """Of its key in the store."""
        return {
            "artifact": self.artifact,
            "samples": [[sample.id, sample.fingerprint] for sample in self.samples],
            "protocol": protocol_of(self.case),
            "runner": list(self.runner),
        }


def predict(
    shard: Shard,
    runner: Runner,
    task: Task,
    folder: Path,
    advance: Callable[[int], None],
) -> Mapping[str, Any]:
    """Write the rows of a shard into the folder; returns what was measured meanwhile.

    Args:
        shard: what is predicted.
        runner: of its artifact, open.
        task: of its case.
        folder: that the rows go to.
        advance: is told of each row.
    """
    tokens, device = 0, shard.case.device

    def prepare(sample: Any) -> Any:
        nonlocal tokens
        prepared = task.prepare(sample)
        tokens += len(getattr(prepared, "tokens", ()))
        return prepared

    with peak_memory(device) as memory, (folder / ROWS).open("w") as file:
        facts = facts_of(runner)
        started = time.perf_counter()
        # Streamed: a data set's images need not fit in memory. While one sample is predicted,
        # the next is prepared and the last one's answer is read.
        with closing(ahead(prepare, ((sample,) for sample in shard.samples))) as prepared:
            answered = zip(shard.samples, runner.predict_all(prepared), strict=True)
            with closing(ahead(task.evidence, answered)) as rows:
                for row in rows:
                    file.write(json.dumps(row, allow_nan=False) + "\n")
                    advance(1)
        predict_s = time.perf_counter() - started
    # What was not evaluated as it is stored says nothing about its memory.
    as_stored = facts.get("evaluated_as", "stored") == "stored"
    return {
        "predict_s": round(predict_s, 3),
        "tokens": tokens,
        "peak_rss_bytes": memory.peak_rss_bytes if as_stored else None,
        "peak_device_bytes": memory.peak_device_bytes if as_stored else None,
        "runner": facts,
        "artifact": shard.artifact,
        "machine": machine_kind(device),
    }


def check_one_kind(case: Case, found: Evidence, *, mixed: bool) -> None:
    """Let no case be judged by rows that machines of several kinds predicted.

    Kernels of quantized models differ with the instruction sets: their answers need not be equal.

    Raises:
        IntegrityError: one would be, and nobody has allowed it.
    """
    kinds = {kind_in_words(each): each["processor"] for each in found.machines}
    if len(kinds) > 1 and not mixed:
        raise IntegrityError(
            f"parts of {case} were predicted by machines of {len(kinds)} kinds",
            where=found.shards[0].path.parents[1],
            expected="rows of one kind of machine, as the instruction sets tell it",
            got="; ".join(f"{name} ({sets})" for sets, name in kinds.items()),
            remedy="evaluate it on one kind (another --quant-cache DIR), or allow it: "
            "--quant-mixed on",
        )


def check_predicted_by(shard: Shard, kept: Artifact) -> None:
    """Rows say by which artifact they were predicted; those of earlier versions do not.

    Raises:
        IntegrityError: it is another than the shard's.
    """
    by = kept.details.get("artifact", shard.artifact)
    if by != shard.artifact:
        raise IntegrityError(
            f"the evidence of {shard.case} is that of another artifact",
            where=kept.path,
            expected=f"rows predicted by sha256 {shard.artifact[:12]}",
            got=f"rows predicted by sha256 {by[:12]}",
            remedy="report it, and take another cache folder (--quant-cache DIR): "
            "evidence must be kept under its artifact's digest",
        )
