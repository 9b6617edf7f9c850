"""The record of a case of a run: what is known of it so far."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quantbench.measure.grid import parse_grid
from quantbench.record.energy import build_energy, carbon_as_json, energy_as_json, evaluation_energy
from quantbench.record.schema import empty_record, with_artifact, with_evaluation, with_peaks

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
    if case in session.runners.peaks:
        record = with_peaks(record, session.runners.peaks[case])
    if case in session.diagnoses:
        record["diagnosis"] = dict(session.diagnoses[case])
    if session.speeds.get(case):
        record["speed"] = dict(session.speeds[case])
    return with_energies(record, session, case)


def with_energies(record: dict[str, Any], session: Session, case: Case) -> dict[str, Any]:
    """The record with what is known of the case's energy by now, and what its grid emits."""
    watts, grid = session.settings.watts, session.settings.grid
    evaluation = session.evaluations.get(case)
    artifact = evaluation.artifact if evaluation else session.artifacts.get(case)
    energy = energy_as_json(session.runners.energies.of(case))
    if artifact is not None:
        energy["build"] = build_energy(artifact.details, artifact.build_s, watts)
    if evaluation is not None:
        shards = [shard.details for shard in evaluation.evidence.shards]
        energy["evaluation"] = evaluation_energy(shards, watts)
    carbon = carbon_as_json(parse_grid(grid), energy["joules_per_sample"]) if grid else None
    return {**record, "energy": energy, "carbon": carbon}
