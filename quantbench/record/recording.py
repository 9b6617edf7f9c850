"""The record of a case of a run: what is known of it so far."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quantbench.record.schema import empty_record, with_artifact, with_cost, with_evaluation

if TYPE_CHECKING:
    from quantbench.run.session import Session
    from quantbench.study import Case


def record_of(session: Session, case: Case) -> dict[str, Any]:
    """What the session knows of the case, as it will stand in the JSON file."""
    record = empty_record(case)
    evaluation = session.evaluations.get(case)
    if evaluation is not None:
        verdicts = [each for each in session.verdicts if each.case == str(case)]
        record = with_evaluation(record, evaluation, verdicts)
        if session.baseline is not None and evaluation.accepted is None:
            record["baseline"] = "not in it"
    elif case in session.artifacts:
        record = with_artifact(record, session.artifacts[case], session.runners.facts.get(case))
    if case in session.runners.costs:
        record = with_cost(record, session.runners.costs[case])
    if case in session.diagnoses:
        record["diagnosis"] = dict(session.diagnoses[case])
    if case in session.speeds:
        record["speed"] = dict(session.speeds[case])
    return record
