"""Judged results as records: the file that `report`, `compare` and `accept` read."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from quantbench.core.digests import digest_of
from quantbench.record.environment import environment
from quantbench.record.schema import (
    as_json,
    blank_record,
    document,
    judged_together,
    verdict_as_json,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from quantbench.judge.coco_files import Lost
    from quantbench.run.results import Results
    from quantbench.stats.gates import Verdict

_PROTOCOL = "quantbench judge 1"
_MODEL = "results"


def document_of(
    sets: Sequence[Sequence[Results]],
    verdicts: Sequence[tuple[Results, Verdict]],
    lost: Sequence[Lost] | None = None,
) -> dict[str, Any]:
    """A record file's content.

    Args:
        sets: judged results, each set with its reference first.
        verdicts: with the results that each is on.
        lost: of COCO's results, which are one set, what each one's AP50 lacks.
    """
    records = records_of([each for one in sets for each in one], verdicts)
    judged_together(records)
    if lost is not None:
        for record, errors in zip(records, lost, strict=True):
            record["explanation"] = {"lost_AP50": errors}
    return {"quantbench": document(records, {}, environment())}


def records_of(
    everything: Iterable[Results], verdicts: Sequence[tuple[Results, Verdict]]
) -> list[dict[str, Any]]:
    """A record each.

    Args:
        everything: judged results, each after its reference.
        verdicts: with the results that each is on.
    """
    records: list[dict[str, Any]] = []
    reference = ""
    for results in everything:
        dataset = results.dataset["name"]
        case = f"{_MODEL}-{results.name}-{dataset}"
        reference = case if results.is_reference else reference
        rows = digest_of(results.rows)
        # Files of equal answers may be two models': `compare` must not take them for one.
        records.append(
            {
                **blank_record(case, _MODEL, results.name, "judge"),
                "reference": reference,
                "dataset": dict(results.dataset),
                "artifact": {"sha256": digest_of([results.identity, rows]), "size_bytes": None},
                "evidence": {"keys": [], "sha256": rows, "protocol": digest_of(_PROTOCOL)},
                "metrics": {
                    name: as_json(results.estimate(name))
                    for name, values in results.replicates.items()
                    if math.isfinite(values[0])
                },
                "verdicts": [verdict_as_json(each) for on, each in verdicts if on is results],
            }
        )
    return records
