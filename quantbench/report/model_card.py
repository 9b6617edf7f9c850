"""What a published quantized model says of itself on the Hugging Face Hub.

The metadata are the Hub's `model-index` (huggingface_hub's own classes write it); the section
below is for people.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from quantbench.errors import MissingExtraError, UsageError
from quantbench.report.exports import row
from quantbench.report.numbers import difference, margin, milliseconds, quality, size, times
from quantbench.report.tables import escaped
from quantbench.study.registry import find_task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quantbench.report.views import Judgement, View


def as_model_card(views: Sequence[View], case: str = "") -> str:
    """A card's metadata and its section on quantization, of one case.

    Args:
        views: of record files.
        case: its name; may be left out where one case alone is no reference.

    Raises:
        UsageError: there is no such case, it has not been evaluated, or its weights are random.
    """
    from huggingface_hub import EvalResult, ModelCardData

    view = _chosen(views, case)
    if view.random_weights:
        raise UsageError(
            f"{view.model} has random weights: there is no model to publish",
            where=view.case,
            expected="a case with trained weights",
        )
    metrics = list(dict.fromkeys([*_gated(view), *([view.headline] if view.headline else [])]))
    known = {name: view.metrics[name] for name in metrics if name in view.metrics}
    results = [
        EvalResult(
            task_type=_hub_task(view.task),
            dataset_type=view.dataset,
            dataset_name=view.dataset,
            metric_type=name,
            metric_name=name,
            metric_value=number.value,
            metric_args={
                "interval": [number.low, number.high],
                "confidence": number.confidence,
                **({} if view.n is None else {"n": view.n}),
            },
        )
        for name, number in known.items()
        if number.value is not None
    ]
    if not results:
        raise UsageError(
            f"{view.case} has no metrics that a model card could name",
            remedy="evaluate it: a test that takes the fixture `evaluation`",
        )
    data = ModelCardData(model_name=f"{view.model}-{view.scheme}", eval_results=results)
    return f"---\n{data.to_yaml()}\n---\n\n{_section(view)}"


def _chosen(views: Sequence[View], case: str) -> View:
    found = [view for view in views if view.case == case or (not case and view.reference)]
    found = [view for view in found if case or view.reference != view.case]
    if len(found) != 1:
        raise UsageError(
            f"no case {case!r} in these records" if case else "a model card is one case's",
            expected=f"one of {', '.join(view.case for view in views)}",
            remedy="name it with --case",
        )
    return found[0]


def _gated(view: View) -> list[str]:
    return [judged.metric for judged in view.judgements if judged.against == "reference"]


def _hub_task(task: str) -> str:
    """The Hub's word for a task; the task's own name where its code is not at hand."""
    try:
        return getattr(find_task(task), "hub_task", task)
    except (UsageError, MissingExtraError):
        return task


def _section(view: View) -> str:
    judged = [each for each in view.judgements if each.against == "reference"]
    n = "" if view.n is None else f"{view.n:,} "
    said = (
        f"`{view.scheme}` of `{view.model}`, compared with `{view.reference}` on the same "
        f"{n}samples of `{view.dataset}` by quantbench {version('quantbench')}."
    )
    lines = ["## Quantization", "", said, ""]
    if judged:
        header = ("metric", "quantized", "difference", "may lose", "verdict")
        lines += [row(header), row(["---"] * len(header))]
        lines += [row(_judged(view, each)) for each in judged]
        lines += ["", f"Each bound holds at {100 * judged[0].confidence:g} %."]
    lines += ["", *_bought(view)]
    return "\n".join(lines).rstrip() + "\n"


def _judged(view: View, judged: Judgement) -> list[str]:
    cells = quality(view, judged.metric), difference(judged), margin(judged), judged.word
    return [escaped(cell) for cell in (judged.metric, *cells)]


def _bought(view: View) -> list[str]:
    lines = []
    if view.weights_bytes is not None:
        ratio = f", {times(view.size_ratio)} the reference's" if view.size_ratio else ""
        lines.append(f"- Weights: {size(view.weights_bytes)}{ratio}.")
    if view.latency_s is not None:
        ratio = f", {times(view.latency_ratio)} the reference's" if view.latency_ratio else ""
        where = f" ({view.timed_by})" if view.timed_by else ""
        lines.append(f"- One inference: {milliseconds(view.latency_s)}{ratio}{where}.")
    return lines
