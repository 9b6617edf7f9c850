"""What must be true of a reference before anything is judged against it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantbench.errors import AnchorError, BuildError, UntrainedError
from quantbench.run.context import explained

if TYPE_CHECKING:
    from quantbench.protocols import Task
    from quantbench.run.evaluation import Evaluation
    from quantbench.store.artifacts import Artifact
    from quantbench.study import Case


def check_trained(case: Case) -> None:
    """Nothing that a model with random weights answers is a result.

    Raises:
        UntrainedError: the case's model has them, or the one that it is judged against.
    """
    other = case.model.reference
    models = [case.model, *([] if other is None or isinstance(other, str) else [other])]
    for model in models:
        if model.has_random_weights:
            raise UntrainedError(
                f"random weights: the answers of {model.name} are neither evaluated nor judged",
                where=str(case),
                remedy="size, memory and latency are measured as usual; for the rest take the "
                "trained weights, without --quant-random-weights",
            )


def check_other(case: Case, artifact: Artifact, reference: Evaluation) -> None:
    """A quantized model that is the float one, byte for byte, would pass every gate.

    Raises:
        BuildError: it is.
    """
    if case != reference.case and artifact.sha256 == reference.artifact.sha256:
        raise BuildError(
            f"the artifact of {case} is the float model's own",
            expected="other bytes than those of " + str(reference.case),
            got=f"sha256 {reference.artifact.sha256[:12]} for both",
            remedy="look at what the quantizer wrote: nothing was quantized, or two were mixed",
        )


def check_anchor(reference: Evaluation) -> None:
    """The reference reproduces its known scores, where it saw what they were measured on.

    Raises:
        AnchorError: it does not.
    """
    seen = reference.case.dataset.name, len(reference.rows)
    for anchor in reference.case.model.anchors:
        value = reference.value(anchor.metric) if seen == (anchor.dataset, anchor.n) else None
        if value is None or abs(value - anchor.value) <= anchor.tolerance:
            continue
        raise AnchorError(
            f"{reference.case} does not reproduce its known score",
            expected=f"{anchor.metric} {anchor.value:g} +- {anchor.tolerance:g}, {anchor.source}",
            got=f"{value:.4g} on {anchor.n} samples",
            remedy="the model is fed or decoded wrongly, or is another: mend that first; "
            "quantized cases mean nothing until then",
        )


def check_reference(reference: Evaluation, task: Task) -> None:
    """Let the task refuse a float model that nothing may be judged against.

    Raises:
        AnchorError: it does.
    """
    if (check := getattr(task, "check_reference", None)) is not None:
        with explained(f"checking the answers of {reference.case}", AnchorError):
            check(reference.rows)
