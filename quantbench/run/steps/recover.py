"""A scheme that improves on another scheme's artifact: that one first, then this one."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantbench.core.digests import sha256_of
from quantbench.core.plugins import resolve
from quantbench.core.progress import Steps
from quantbench.errors import UsageError
from quantbench.measure.energy.spent import SEARCHED, SPENT
from quantbench.protocols import Start
from quantbench.run.context import explained, versions
from quantbench.run.steps.preparing import check_samples, counted, prepared
from quantbench.run.steps.resolve import identity, protocol_of
from quantbench.study import Case, Scheme
from quantbench.study.calibration import calibrates
from quantbench.study.registry import find_backend, find_quantizer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from quantbench.protocols import Backend, Task
    from quantbench.run.context import Context
    from quantbench.run.samples import Samples
    from quantbench.store.artifacts import Artifact


def unrecovered(case: Case) -> Case:
    """The case whose artifact this one improves on; itself where it improves on none."""
    quantizer: Any = find_quantizer(case.scheme)
    if not hasattr(quantizer, "base"):
        return case
    return case.under(quantizer.base(case.scheme))


def recovering(case: Case, budget: str = "") -> Case:
    """The case that its backend trains back from this one; itself where it is such a case.

    Args:
        case: a quantized one.
        budget: what is spent, as the scheme's name says it: "60k" tokens or samples; "" for the
            usual.

    Raises:
        UsageError: nothing recovers such a scheme, or its name says the budget already.
    """
    scheme, backend = case.scheme, find_backend(case.scheme.backend)
    if unrecovered(case) is not case:
        if budget:
            raise UsageError(f"{scheme.name} says its budget itself", got=f"budget {budget}")
        return case
    seed = f"_s{scheme.seed}" if scheme.seed else ""
    name = backend.recovered.format(scheme=scheme.unseeded)
    try:
        found = Scheme.parse(f"{name}{f'_{budget}' if budget else ''}{seed}" if name else "")
    except UsageError as error:
        raise UsageError(
            f"nothing recovers {scheme.name}" + (f" with a budget of {budget!r}" if budget else ""),
            where=f"backend {backend.name}",
            expected=", ".join(_patterns(backend)) or None,
        ) from error
    return case.under(found)


def _patterns(backend: Backend) -> list[str]:
    """Of the names of its schemes, those that are trained back as its usual one is."""
    method = backend.recovered.removeprefix("{scheme}").rstrip("0123456789")
    return [each for each in backend.schemes.patterns if method and method in each]


def _trainer(case: Case, quantizer: Any) -> Callable[..., Any] | None:
    """The model's own trainer, for a scheme that is trained by it."""
    if not (hasattr(quantizer, "labelled") and quantizer.labelled(case.scheme)):
        return None
    named, scheme = case.model.trainer, case.scheme.name
    if not named:
        backend, base = find_backend(case.scheme.backend), unrecovered(case).scheme
        usual = backend.recovered.format(scheme=base.unseeded)
        raise UsageError(
            f"{scheme} is trained on labels, and {case.model.name} has no trainer",
            expected='Model(trainer="module:function")',
            remedy="name a function that trains it, or let it learn from the float model, which "
            f"needs no labels: {usual}",
        )
    with explained(f"importing the trainer {named}", UsageError):
        found = resolve(named)
    if not callable(found):
        raise UsageError(
            f"the trainer of {case.model.name} is no function", where=named, got=repr(found)[:80]
        )
    trainer: Callable[..., Any] = found
    return trainer


def _code_of(named: str) -> str:
    """Digest of the file that `module:function` stands in."""
    return sha256_of(Path(str(sys.modules[named.partition(":")[0]].__file__)))


def recovered(
    context: Context,
    case: Case,
    samples: Samples,
    made: Artifact,
    build: Callable[[Case], Artifact],
    task: Callable[[], Task],
) -> Artifact:
    """The improved artifact, built on samples that calibrated nothing and are not evaluated.

    Args:
        context: where it is kept.
        case: whose model it is.
        samples: of the run.
        made: the float model.
        build: gives the artifact of the case that it improves on.
        task: makes the case's task, when samples are prepared.

    Raises:
        DataError: a sample that it learns from is evaluated, by content.
        UsageError: the scheme is trained on labels, and the model's trainer cannot be used.
    """
    quantizer: Any = find_quantizer(case.scheme)
    before = unrecovered(case)
    calibrated = calibrates(find_quantizer(before.scheme), before.scheme)
    used = samples.calibrating(before) if calibrated else []
    learned = samples.learned(case, used, quantizer.most)
    samples.check_disjoint(case, learned, "learn from")
    check_samples(case, task(), learned)
    trainer = _trainer(case, quantizer)
    base = build(before)
    ingredients = {
        "float_model": identity(made),
        "base": base.sha256,
        "scheme": {k: v for k, v in asdict(case.scheme).items() if k != "recipe"},
        "version": quantizer.version,
        "settings": dict(quantizer.settings(case.scheme)),
        "learned": [sample.fingerprint for sample in learned],
        "protocol": protocol_of(case),
        "tools": versions(quantizer.tools),
        **({"trainer": [case.model.trainer, _code_of(case.model.trainer)]} if trainer else {}),
    }
    what = f"recovering {case}"

    def write(folder: Path) -> Mapping[str, Any]:
        inputs = prepared(context, case, task(), learned)
        with Steps(context.progress, what) as step:
            kept = context.store.kept("artifact", ingredients)
            resumed = kept.exists()
            start = Start(base.path, step, kept, trainer, learned if trainer else ())
            facts = quantizer.build(made.path, case.scheme, inputs, folder, start)
        before_it = {"seconds": base.build_s, **base.details.get(SPENT, {})}
        known = {"base": base.sha256, SEARCHED: before_it, "learned_from": len(learned)}
        # What a killed process spent on it nobody has counted.
        return {**facts, **known, **({"resumed": True} if resumed else {})}

    return context.get("artifact", ingredients, what, counted(context, case, write))
