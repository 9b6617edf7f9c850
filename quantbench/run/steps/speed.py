"""Where the time of a case goes, beside its float model's in the same runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quantbench.core.plugins import resolve
from quantbench.core.progress import Steps
from quantbench.diagnosis.speed.compared import pairs_of
from quantbench.diagnosis.speed.roofline import Peaks
from quantbench.errors import PredictionError, UsageError
from quantbench.measure.peaks import fast_arithmetic, operations_per_s, read_bytes_per_s
from quantbench.run.context import explained
from quantbench.run.runners import machine_of
from quantbench.study import Scheme
from quantbench.study.registry import backends, find_backend

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quantbench.protocols import Profile
    from quantbench.run.context import Context
    from quantbench.store.artifacts import Artifact
    from quantbench.study import Case


def float_beside(case: Case) -> Case:
    """The float case whose time a case's is laid beside.

    The reference where it runs in the same backend, else the same model under the backend's plain
    scheme.

    Raises:
        UsageError: it is the float case itself, or its backend times no ops.
    """
    backend = find_backend(case.scheme.backend)
    if not backend.profile:
        raise UsageError(
            f"the backend {backend.name} does not say where the time of its models goes",
            expected="one that does: "
            + ", ".join(each.name for each in backends().values() if each.profile),
        )
    reference = case.reference if case.model.reference else None
    if reference is not None and reference.scheme.backend == backend.name:
        beside = reference
    elif backend.plain:
        beside = case.under(Scheme.parse(backend.plain))
    else:
        raise UsageError(f"{case} has no float model in its own runtime to be laid beside")
    if beside.scheme == case.scheme:
        raise UsageError(f"{case} is the float model of its runtime: nothing to lay beside")
    return beside


def compare(
    context: Context,
    cases: Sequence[Case],
    artifacts: Sequence[Artifact],
    prepared: Sequence[Sequence[Any]],
) -> dict[str, Any]:
    """Profile two models and lay them side by side, as JSON.

    Args:
        context: who is told of progress, and how many threads compute.
        cases: the float one and the quantized one.
        artifacts: their built models.
        prepared: samples of each; the first is run.

    Raises:
        PredictionError: one of them cannot be run, or both ran nothing in common.
    """
    profiles: list[list[Profile]] = []
    for case, artifact, samples in zip(cases, artifacts, prepared, strict=True):
        machine = machine_of(context, case)
        look = resolve(find_backend(case.scheme.backend).profile)
        with (
            Steps(context.progress, f"timing {case}") as step,
            explained(f"timing {case} op by op", PredictionError),
        ):
            profiles.append(list(look(artifact.path, samples, machine, step)))
    peaks = _peaks(context, profiles[1])
    pairs = pairs_of(profiles[0], profiles[1], peaks)
    if not pairs:
        ran = [", ".join(each.what for each in side) for side in profiles]
        raise PredictionError(
            f"{cases[1]} and its float model were not timed on the same",
            expected=ran[0],
            got=ran[1],
        )
    return {"beside": str(cases[0]), "inferences": [pair.as_json() for pair in pairs]}


def _peaks(context: Context, profiles: Sequence[Profile]) -> Peaks | None:
    """Of this machine's processor, where the work of an inference on it is known."""
    if not any(each.work for each in profiles):
        return None
    threads, arithmetic = context.settings.threads, fast_arithmetic()
    with context.progress.working("measuring the machine's memory and arithmetic"):
        return Peaks(read_bytes_per_s(threads), operations_per_s(threads, arithmetic), arithmetic)
