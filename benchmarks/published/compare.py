"""One page: what the studies published, their protocol run again, corrected, and the verdicts.

    python -m benchmarks.published.compare out.json [more.json ...] > page.md

The files are those of `pytest benchmarks/published --benchmark-json out.json`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.published.figures import (
    LAMBADA_5000,
    LAMBADA_ALL,
    PUBLISHED,
    VAL2017,
    VAL2017_1500,
    known_score,
)
from benchmarks.published.questions import answers
from quantbench.errors import QuantbenchError
from quantbench.report.exports import row
from quantbench.report.numbers import difference, megabytes, milliseconds, quality
from quantbench.report.reports import gathered
from quantbench.report.tables import escaped
from quantbench.study.model import RANDOM_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from quantbench.report.views import View

HEADER = (
    *("model", "scheme", "published", "protocol run again", "corrected", "difference", "verdict"),
    *("MB", "latency"),
)
NONE = "-"
RERUN = (VAL2017_1500.name, LAMBADA_5000.name)
# CenterNet's protocol has all 5,000 images, as the corrected study has.
CORRECTED = (VAL2017.name, LAMBADA_ALL.name)
ALSO_RERUN = "centernet_resnet50v2"
AT_K = ("top1", "top5")  # what the study of language models published shares of


def page(paths: Sequence[Path]) -> str:
    """Markdown.

    Raises:
        RecordError: a file is no record file, or none has a case.
    """
    views, _ = gathered(paths)
    lines = ["# The published studies, run again", ""]
    if any(view.random_weights for view in views):
        lines += ["**Rows of models with random weights are sizes and times alone.**", ""]
    lines += [row(HEADER), row(["---"] * len(HEADER))]
    lines += [row(map(escaped, cells)) for cells in table(views)]
    for question, said in answers(views):
        lines += ["", f"## {question}", "", *(f"- {escaped(each)}" for each in said)]
    return "\n".join(lines) + "\n"


def table(views: Sequence[View]) -> Iterator[tuple[str, ...]]:
    """A row for each model under each scheme."""
    found: dict[tuple[str, str], dict[str, View]] = {}
    for view in views:
        if view.dataset in (*RERUN, *CORRECTED):
            found.setdefault((view.model, view.scheme), {})[view.dataset] = view
    for (model, scheme), by_data in sorted(found.items()):
        again = next((by_data[name] for name in RERUN if name in by_data), None)
        now = next((by_data[name] for name in CORRECTED if name in by_data), None)
        if again is None and model.removesuffix(RANDOM_SUFFIX) == ALSO_RERUN:
            again = now
        shown = now or again
        if shown is None:
            continue
        judged = now.judged if now else None
        yield (
            model,
            scheme,
            published(model.removesuffix(RANDOM_SUFFIX), scheme, shown),
            rerun(again),
            quality(now, now.headline) if now and now.headline else NONE,
            difference(judged) if judged else NONE,
            now.verdict if now else shown.verdict,
            megabytes(shown.weights_bytes) if shown.weights_bytes else NONE,
            milliseconds(shown.latency_s) if shown.latency_s else NONE,
        )


def published(model: str, scheme: str, shown: View) -> str:
    """Its figures, of the float model the authors' score too."""
    figures = [
        f"{figure.value:g} {figure.what}"
        for figure in PUBLISHED
        if (figure.model, figure.scheme) == (model, scheme)
    ]
    known = known_score(model)
    if known is not None and shown.is_reference:
        figures.insert(0, f"{known.metric} {known.value:.3f}")
    return ", ".join(figures) or NONE


def rerun(view: View | None) -> str:
    """Point estimates, as the studies gave them."""
    if view is None:
        return NONE
    names = AT_K if "top1" in view.metrics else ("AP",)
    values = [(name, view.metrics[name].value) for name in names if name in view.metrics]
    return ", ".join(f"{name} {value:.3f}" for name, value in values if value is not None) or NONE


if __name__ == "__main__":
    try:
        sys.stdout.write(page([Path(each) for each in sys.argv[1:]]))
    except QuantbenchError as error:
        sys.exit(str(error))
