"""Building: from the float model to the quantized one, and the search of a recipe for it."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from quantbench.core.digests import sha256_of
from quantbench.core.plugins import resolve
from quantbench.diagnosis.recipe_files import RECIPE
from quantbench.errors import UsageError
from quantbench.measure.energy.spent import SEARCHED, SPENT
from quantbench.measure.processor import instruction_sets
from quantbench.run.context import explained, versions
from quantbench.run.runners import machine_of
from quantbench.run.steps.conversion import check_conversion, check_links, checked_links
from quantbench.run.steps.preparing import check_samples, counted, prepared
from quantbench.run.steps.recover import recovered
from quantbench.run.steps.resolve import identity, protocol_of
from quantbench.study.calibration import calibrates
from quantbench.study.registry import find_backend, find_quantizer, find_task, runner_for

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from quantbench.protocols import Mending, Quantizer, Task
    from quantbench.run.context import Context
    from quantbench.run.samples import Samples
    from quantbench.run.steps.resolve import FloatModel
    from quantbench.store.artifacts import Artifact
    from quantbench.study import Case, Gate


def build(
    context: Context,
    case: Case,
    samples: Samples,
    float_model: FloatModel,
    task: Callable[[], Task],
) -> Artifact:
    """The quantized model, built and verified.

    Args:
        context: where it is kept.
        case: whose model it is.
        samples: of the run.
        float_model: that it is made from.
        task: makes the case's task, when samples are prepared.
    """
    quantizer, made = find_quantizer(case.scheme), float_model.made
    if hasattr(quantizer, "base"):
        base = partial(build, context, samples=samples, float_model=float_model, task=task)
        return recovered(context, case, samples, made, base, task)
    calibrated = _calibrated(case, quantizer)
    calibration = samples.calibrating(case) if calibrated else []
    scheme, recipe, searched = case.scheme, {}, {}
    if mending_of(case) is not None:
        if not scheme.recipe:
            found = search_recipe(context, case, samples, made, task)
            scheme = replace(scheme, recipe=str(found.path / RECIPE))
            searched = {SEARCHED: {"seconds": found.build_s, **found.details.get(SPENT, {})}}
        recipe = {"recipe": sha256_of(Path(scheme.recipe))}
    samples.check_disjoint(case, calibration)
    seen = samples.probes(case) if calibrated is None else calibration
    ingredients = {
        "float_model": identity(made),
        "scheme": {k: v for k, v in asdict(scheme).items() if k != "recipe"},
        **recipe,
        "version": quantizer.version,
        "calibration": [sample.fingerprint for sample in seen],
        "tools": versions(quantizer.tools),
    }
    answers = getattr(quantizer, "answers", None)  # of a float model that it converts
    links = checked_links(case, float_model.links)
    if answers is not None or links:
        ingredients["tolerance"] = case.model.tolerance
        # Compared with the framework on these, or on none where they are not at hand yet.
        ingredients["compared_on"] = [each.fingerprint for each in samples.probes(case)]
        ingredients["protocol"] = protocol_of(case)
    if seen:  # what the quantizer sees is the samples as the task prepares them
        ingredients["protocol"] = protocol_of(case)

    def write(folder: Path) -> Mapping[str, Any]:
        shown = samples.probes(case) if calibrated is False else seen
        inputs = prepared(context, case, task(), shown)
        facts = dict(quantizer.build(made.path, scheme, inputs, folder))
        opener: Any = runner_for(case)
        opened = lambda: opener(folder, machine_of(context, case))  # noqa: E731
        pairs = list(zip(shown, inputs, strict=True))
        if answers is not None:
            both = lambda: answers(made.path, inputs), opened
            facts |= check_conversion(case, facts, task(), pairs, both)
        if links:
            facts |= check_links(case, links, task(), pairs, opened)
        if imported_by := made.details.get("imported_by"):
            facts["imported_by"] = imported_by
        facts |= {"calibration_samples": len(calibration)} if calibration else {}
        return facts | searched

    what = f"building {case}"
    return context.get("artifact", ingredients, what, counted(context, case, write))


def mending_of(case: Case) -> Mending | None:
    """The search that finds the recipes of a case's scheme; None where it needs none."""
    return find_backend(case.scheme.backend).mendings.get(case.scheme.quantizer)


def usual_gate(case: Case, mending: Mending) -> Gate:
    """What a recipe must pass where nobody says: the task's own gate, else the search's."""
    own: Gate | None = getattr(find_task(case.task), "mending_gate", None)
    return own or mending.gate


def task_gate(case: Case) -> Gate:
    """What a case of this task and backend must pass where nobody says, whatever its scheme.

    Raises:
        UsageError: neither says it.
    """
    backend = find_backend(case.scheme.backend)
    own: Gate | None = getattr(find_task(case.task), "mending_gate", None)
    known = [own] if own else [mending.gate for mending in backend.mendings.values()]
    if not known:
        raise UsageError(f"nobody says what {case} must pass", remedy="give --metric and --margin")
    return known[0]


class Wanted(NamedTuple):
    """What a recipe is searched for.

    Attributes:
        gate: that it must pass; the task's own, or the search's, where none is said.
        for_speed: the fastest one on this machine, and not the one with the fewest ops in float.
    """

    gate: Gate | None = None
    for_speed: bool = False


def search_recipe(
    context: Context,
    case: Case,
    samples: Samples,
    made: Artifact,
    task: Callable[[], Task],
    wanted: Wanted | None = None,
) -> Artifact:
    """A recipe that passes the gate on the calibration split, searched; `recipe.json`.

    The first samples calibrate, all others judge.

    Args:
        context: where it is kept.
        case: of a scheme that has a recipe.
        samples: of the run.
        made: the float model.
        task: makes the case's task.
        wanted: what it is searched for.

    Raises:
        UsageError: there are too few samples to judge by, the scheme has no recipe, or nothing
            searches one for speed.
    """
    mending = mending_of(case)
    if mending is None:
        raise UsageError(f"{case.scheme.name} is not built from a recipe")
    gate, for_speed = wanted or Wanted()
    if for_speed and not mending.for_speed:
        raise UsageError(
            f"nothing searches a recipe of {case.scheme.name} for speed",
            remedy="leave --for out: its recipes are searched for accuracy at a size",
        )
    machine = machine_of(context, case)
    gate = gate or usual_gate(case, mending)
    used = samples.read(case, "calibration", None)[: mending.most]
    samples.check_disjoint(case, used)
    check_samples(case, task(), used)
    quantizer = find_quantizer(case.scheme)
    ingredients = {
        "float_model": identity(made),
        "samples": [sample.fingerprint for sample in used],
        "protocol": protocol_of(case),
        "gate": asdict(gate),
        "version": [quantizer.version, mending.version],
        "tools": versions(quantizer.tools),
        # Which recipe is the fastest depends on the processor.
        **({"machine": [asdict(machine), instruction_sets()]} if for_speed else {}),
    }
    what = f"mending {case}"

    def write(folder: Path) -> Mapping[str, Any]:
        search = resolve(mending.search)
        search = search.on(machine) if for_speed else search
        found = search(made.path, task(), used, gate, context.progress, what)
        (folder / RECIPE).write_text(found.as_json())
        return dict(found.notes)

    return context.get("recipe", ingredients, what, counted(context, case, write))


def _calibrated(case: Case, quantizer: Quantizer) -> bool | None:
    """What the quantizer says.

    Raises:
        UsageError: it does not calibrate, and the scheme asks for a draw of samples.
    """
    scheme = case.scheme
    with explained(f"asking whether {scheme.quantizer} calibrates {scheme.name}", UsageError):
        calibrated = calibrates(quantizer, scheme)
    if scheme.seed and not calibrated:
        raise UsageError(
            f"{scheme.name} is not calibrated: a seed changes nothing",
            where=f"quantizer {scheme.quantizer}",
            got=f"seed {scheme.seed}",
        )
    return calibrated
