"""The models that quantbench knows by name. Light to import: descriptions only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantbench.catalog.classifiers import CLASSIFIERS
from quantbench.catalog.datasets import find_dataset
from quantbench.catalog.declarations import Declarations, Errors, Failures
from quantbench.catalog.detectors import DETECTORS
from quantbench.catalog.language_models import LANGUAGE_MODELS
from quantbench.errors import UsageError, meant
from quantbench.study import Case, Device, Model, Scheme
from quantbench.study.freezing import several
from quantbench.study.model import RANDOM_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quantbench.protocols import Dataset

MODELS = {model.name: model for model in (*DETECTORS, *CLASSIFIERS, *LANGUAGE_MODELS)}
_OF_TEXT = {"last_word", "perplexity"}  # tasks of any language model

# The study that runs anywhere: data sets of its models.
EMBEDDED = {
    "digits_centernet": ("digit_scenes",),
    "digits_classifier": ("digits",),
    "smollm2_135m_instruct": ("kjv",),
}


def find_model(name: str) -> Model:
    """The catalog's model of this name; `NAME_random` is the same with random weights.

    Raises:
        UsageError: there is none; the message lists what exists. Or nothing makes its architecture.
    """
    described = MODELS.get(name.removesuffix(RANDOM_SUFFIX))
    if described is not None and name.endswith(RANDOM_SUFFIX):
        return described.with_random_weights()
    if described is None:
        raise UsageError(
            f"unknown model {name!r}",
            expected=", ".join(sorted(MODELS)),
            remedy=meant(name, MODELS),
        )
    return described


def cases(
    model: str | Model,
    *,
    schemes: Sequence[str | Scheme] | None = None,
    datasets: Sequence[str | Dataset] | None = None,
    known_failures: Failures | None = None,
    known_errors: Errors | None = None,
    device: Device = "cpu",
) -> list[Case]:
    """List a model's cases, for a test's parametrization by `case` with `ids=str`.

    Args:
        model: a name from the catalog, or your own `Model`.
        schemes: to take instead of the model's own; the reference is a case like any other.
        datasets: names, or data sets of your own, to take instead of the model's own.
        known_failures: scheme, or `scheme-dataset`, to the reason why it is known to fail its
            gates; or to reasons by metric, `{"int8_static": {"AP50": "why"}}`: then gates on other
            metrics are asked as usual. What is declared must fail: an unexpected pass is an error
            too.
        known_errors: the same for what cannot be built or run at all. To a reason, or to a pair
            of reason and regular expression: the error's message must match it. Memory that ran
            out, and errors that are no `BuildError` or `PredictionError`, are never meant.
        device: "cuda" to run and time on a GPU; its tests count as marked `gpu`.

    Raises:
        UsageError: an unknown model, scheme or data set, or a declaration of no case.
    """
    described = find_model(model) if isinstance(model, str) else model
    declared = Declarations(known_failures or {}, known_errors or {})
    tasks = _tasks_of(described)
    found = []
    wanted = several("schemes", schemes or described.schemes)
    for dataset in map(find_dataset, several("datasets", datasets or described.datasets)):
        if dataset.task not in tasks:
            raise UsageError(
                f"{described.name} cannot be studied on {dataset.name}",
                expected=f"a data set for {' or '.join(sorted(tasks))}",
                got=f"one for {dataset.task}",
            )
        found += [
            declared.of(Case(described, scheme, dataset, device=device))
            for scheme in map(Scheme.parse, wanted)
        ]
    declared.check_used(described, found)
    return found


def _tasks_of(model: Model) -> set[str]:
    """What its interface is for, else what its own data sets are for; a text serves both tasks."""
    own = getattr(model.interface, "task", None)
    found = {own} if own else {find_dataset(each).task for each in model.datasets}
    return found | _OF_TEXT if found & _OF_TEXT else found
