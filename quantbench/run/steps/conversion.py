"""A conversion judged by what matters: what is decoded from its answers."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.diagnosis.answers import difference
from quantbench.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from quantbench.protocols import Runner, Task
    from quantbench.run.steps.resolve import Link
    from quantbench.study import Case

_CHECKED = 3  # samples that each importer's source framework answers
_ENOUGH = 0.99  # of agreement


def check_conversion(
    case: Case,
    facts: Mapping[str, Any],
    task: Task,
    samples: Sequence[tuple[Any, Any]],
    answers: tuple[Callable[[], Iterable[Any]], Callable[[], Runner]],
    where: str | None = None,
) -> dict[str, Any]:
    """Refuse a float model that does not answer as the framework that it comes from.

    Answers within the model's tolerance are right. Beyond it the rows are compared that the task
    makes of both: raw outputs may differ (logs of box sizes, scores next to zero) where what is
    decoded does not.

    Args:
        case: of the float model.
        facts: of its build; `float_difference` is in shares of the framework's largest answer.
        task: of the case.
        samples: with what was prepared of each.
        answers: gives the framework's, and opens the built model.
        where: the conversion's name, for an error.

    Returns:
        Facts to add: the agreement, where it was asked for.

    Raises:
        BuildError: they differ.
    """
    difference = facts.get("float_difference")
    near = difference is not None and difference <= case.model.tolerance
    if difference is None or (near and not facts.get("rows_reordered")):
        return {}
    agreement = float("nan")
    if (metric := getattr(task, "agreement", None)) is not None and samples:
        framework, opened = answers
        meant = [
            task.evidence(sample, answer)
            for (sample, _), answer in zip(samples, framework(), strict=True)
        ]
        with closing(opened()) as runner:
            said = [task.evidence(sample, runner.predict(each)) for sample, each in samples]
        agreement = float(task.agree(said, meant, np.ones((1, len(said))))[metric][0])
        if agreement >= _ENOUGH:
            return {"float_agreement": agreement}
    shown = "unknown" if np.isnan(agreement) else f"{agreement:.4f}"
    raise BuildError(
        f"{case} does not answer as the framework that it comes from",
        where=where,
        expected=f"answers within {case.model.tolerance:g} of the largest, or decoded answers that "
        f"agree to {_ENOUGH:g}",
        got=f"a difference of {difference:.3g}, agreement {shown} on {len(samples)} samples",
        remedy="compare both on pictures of your own; where the difference does no harm, say so: "
        "Model(tolerance=...)",
    )


def checked_links(case: Case, links: Sequence[Link]) -> list[Link]:
    """The importers of a float case whose source framework can be asked, in their order."""
    stored = {case.scheme.weights, case.scheme.activations}
    return [link for link in links if stored == {"float32"} and hasattr(link.importer, "answers")]


def _numbers(answers: Mapping[str, Any], names: Sequence[str] | None) -> dict[str, Any]:
    """Outputs as arrays: those that are compared, or all."""
    return {
        name: np.asarray(values)
        for name, values in answers.items()
        if names is None or name in names
    }


def check_links(
    case: Case,
    links: Sequence[Link],
    task: Task,
    samples: Sequence[tuple[Any, Any]],
    opened: Callable[[], Runner],
) -> dict[str, Any]:
    """Refuse a float model that does not answer as what its importers took.

    Args:
        case: of the float model.
        links: `checked_links`.
        task: of the case.
        samples: with what was prepared of each.
        opened: opens the built model.

    Returns:
        `import_differences`: by importer, how far the built model's answers are from those of the
        framework that the importer starts from, in shares of its largest; `import_agreements`: of
        what is decoded, where that had to be asked; nothing without samples.

    Raises:
        BuildError: they differ, and so does what is decoded of them.
    """
    seen = samples[:_CHECKED]
    if not seen:
        return {}
    with closing(opened()) as runner:
        said = [runner.predict(prepared) for _, prepared in seen]
    found: dict[str, float] = {}
    agreed: dict[str, float] = {}
    for link in links:
        meant = list(link.importer.answers(link.before.path, [prepared for _, prepared in seen]))  # type: ignore[attr-defined]
        names = getattr(link.importer, "compared", None)
        pairs = [[_numbers(each, names) for each in pair] for pair in zip(said, meant, strict=True)]
        apart = [difference(mine, each, link.name) for mine, each in pairs]
        found[link.name] = max(most for most, _ in apart)
        reordered = not all(in_order for _, in_order in apart)
        facts = {"float_difference": found[link.name], "rows_reordered": reordered}
        asked = (lambda meant=meant: meant), opened
        where = f"what importer {link.name} takes"
        if more := check_conversion(case, facts, task, seen, asked, where):
            agreed[link.name] = more["float_agreement"]
    return {"import_differences": found, **({"import_agreements": agreed} if agreed else {})}
