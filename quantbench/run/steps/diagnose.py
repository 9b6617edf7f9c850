"""Why a case is worse than its reference, and how fast both are side by side."""

from __future__ import annotations

import json
from contextlib import ExitStack, closing
from functools import partial
from typing import TYPE_CHECKING, Any

from quantbench.core.plugins import resolve
from quantbench.core.progress import Steps
from quantbench.errors import UsageError
from quantbench.measure.rounds import medians_in_turn_ns
from quantbench.run.steps.resolve import protocol_of
from quantbench.study import Scheme
from quantbench.study.registry import backends, find_backend

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from quantbench.protocols import Runner, Task
    from quantbench.run.context import Context
    from quantbench.store.artifacts import Artifact
    from quantbench.study import Case

_DIAGNOSIS = "diagnosis.json"
_SAMPLES = 16


def float_beside(case: Case) -> Case:
    """The float case that a diagnosis lays beside a case: of the same model and backend.

    That is the reference where it runs there too, else the first scheme of the model that stores
    and computes in float32 there.

    Raises:
        UsageError: it is a float model itself, there is none beside it, or its backend has no
            diagnosis.
    """
    backend = find_backend(case.scheme.backend)
    if not backend.diagnosis:
        raise UsageError(
            f"the backend {backend.name} says nothing about why its models are worse",
            expected="one that does: "
            + ", ".join(each.name for each in backends().values() if each.diagnosis),
        )
    if case.is_reference or _is_float(case.scheme):
        raise UsageError(f"{case} is the float model: there is nothing to explain")
    reference = case.reference
    if reference.model != case.model:
        raise UsageError(
            f"{case} is judged against another model: no diagnosis lays the two side by side",
            got=str(reference),
        )
    if reference.scheme.backend == backend.name:
        return reference
    own = [scheme for scheme in map(Scheme.parse, case.model.schemes) if _is_float(scheme)]
    for scheme in own:
        if scheme.backend == backend.name:
            return case.under(scheme)
    raise UsageError(
        f"{case} has no float model of its own backend: no diagnosis lays it beside its reference",
        expected=f"a scheme of {backend.name} in float32 among the model's",
        got=f"{backend.name}, and {reference.scheme.backend} for {reference}",
        remedy="add it to Model(schemes=...): it also shows how far the runtimes differ in float",
    )


def _is_float(scheme: Scheme) -> bool:
    return {scheme.weights, scheme.activations} == {"float32"}


def diagnose(
    context: Context,
    case: Case,
    artifacts: tuple[Artifact, Artifact],
    samples: Sequence[Any],
    task: Callable[[], Task],
    *,
    alone: bool,
) -> dict[str, Any]:
    """The diagnosis of a case's backend, as JSON. Made once: the store keeps it.

    Args:
        context: where it is kept.
        case: a quantized one.
        artifacts: the float model's and the case's own.
        samples: of the calibration split; the first 16 are looked at.
        task: makes the case's task.
        alone: whether to quantize each op alone, which takes minutes.
    """
    backend = find_backend(case.scheme.backend)
    before, built = artifacts
    samples = samples[:_SAMPLES]
    ingredients = {
        "artifacts": [before.sha256, built.sha256],
        "samples": [sample.fingerprint for sample in samples],
        "protocol": protocol_of(case),
        "alone": alone,
        "version": [backend.name, backend.diagnosed],
    }

    def write(folder: Path) -> None:
        made = task()
        with context.progress.working(f"preparing samples for {case}"):
            prepared = [made.prepare(sample) for sample in samples]
        with Steps(context.progress, f"diagnosing {case}") as step:
            look = resolve(backend.diagnosis)
            found = look(before.path, built.path, prepared, step, alone=alone)
        (folder / _DIAGNOSIS).write_text(json.dumps(found.as_json(), allow_nan=False))

    kept = context.get("diagnosis", ingredients, f"diagnosing {case}", write)
    diagnosis: dict[str, Any] = json.loads((kept.path / _DIAGNOSIS).read_text())
    return diagnosis


def compare_speed(
    runners: Sequence[Callable[[], Runner]], prepared: Sequence[Any], rounds: int = 30
) -> list[float]:
    """Median seconds of one inference of each runner, timed in turn.

    Args:
        runners: each opens one.
        prepared: the sample that each predicts, prepared for it.
        rounds: that are timed, after three that are not.
    """
    with ExitStack() as opened:
        held = [opened.enter_context(closing(each())) for each in runners]
        calls = [
            partial(runner.predict, sample) for runner, sample in zip(held, prepared, strict=True)
        ]
        return [1e-9 * taken for taken in medians_in_turn_ns(calls, rounds)]
