"""One self-contained HTML page of record files: no network, no script from elsewhere."""

from __future__ import annotations

import base64
import binascii
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantbench.report.drawing import as_svg
from quantbench.report.figures import drawn
from quantbench.report.numbers import difference, estimate, flips, margin, milliseconds, size
from quantbench.report.views import outcome, studies_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from quantbench.report.views import Study, View

_HERE = Path(__file__).parent
_WORDS = ("verdict", "scheme", "model and data")
_NUMBERS = (
    "quality",
    "difference to float",
    "lost/won",
    "size",
    "latency",
    "peak memory",
    "energy",
)
_EXAMPLES = 10
_DRAWN_AT_MOST = 40  # studies with figures; the table holds every case


def as_html(views: Sequence[View], runs: Sequence[Mapping[str, Any]]) -> str:
    """The page.

    Args:
        views: cases, worst first.
        runs: of each record file `file`, `facts` (name to text) and `skipped` (reason to cases).
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined
    )
    environment.filters |= {
        "anchor": _anchor,
        "difference": difference,
        "estimate": estimate,
        "first_line": lambda text: next(iter(text.splitlines()), ""),
        "flips": flips,
        "margin": margin,
        "size": size,
        "milliseconds": milliseconds,
        "visible": lambda word: word.replace("\n", "\u21b5").replace(" ", "\u2423", 1),
        "word": lambda verdict: verdict.rpartition(" ")[2],
    }
    css, script = ((_HERE / f"report.{kind}").read_text() for kind in ("css", "js"))
    studies = studies_of(views)
    any_flips = any(view.judged and view.judged.flips for view in views)
    page: str = environment.get_template("report.html.jinja").render(
        policy=_policy(script),
        css=Markup(css),  # noqa: S704 - this package's own file
        script=Markup(script),  # noqa: S704 - this package's own file
        title=", ".join(str(run["file"]) for run in runs),
        outcome=outcome(views),
        choices={
            name: sorted({getattr(view, name) for view in views})
            for name in ("model", "scheme", "verdict")
        },
        columns=[
            {"name": name, "number": name in _NUMBERS}
            for name in (*_WORDS, *_NUMBERS)
            if any_flips or name != "lost/won"
        ],
        any_flips=any_flips,
        views=views,
        notes=_notes(studies),
        studies=[_study(i, study) for i, study in enumerate(studies)],
        runs=runs,
    )
    return page


def _policy(script: str) -> str:
    """Nothing may be loaded, and no script run but this one; figures bring inline styles."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def _notes(studies: Sequence[Study]) -> list[str]:
    left = len(studies) - _DRAWN_AT_MOST
    if left <= 0:
        return []
    return [f"Figures are drawn for the first {_DRAWN_AT_MOST} studies; {left} more have none."]


def _study(place: int, study: Study) -> dict[str, Any]:
    from markupsafe import Markup

    figures = drawn(study) if place < _DRAWN_AT_MOST else []
    shown = _most_telling(study)
    examples = shown.examples[:_EXAMPLES] if shown else ()
    return {
        "model": study.model,
        "title": study.title,
        "notes": sorted({case.note for case in study.cases if case.note}),
        "cases": study.cases,
        "figures": [
            {
                "id": f"figure-{place}-{figure.name}",
                "name": figure.name,
                "title": figure.title,
                "caption": figure.caption,
                # matplotlib escapes what it is told to write.
                "svg": Markup(as_svg(figure, f"{place}")),  # noqa: S704
            }
            for figure in figures
        ],
        "example_scheme": shown.scheme if shown else "",
        "pictures": [
            _picture(example, f"picture-{place}-{i}", shown.labels)
            for i, example in enumerate(examples)
            if shown and "picture" in example and _is_jpeg(example["picture"])
        ],
        "passages": [example for example in examples if "context" in example],
    }


def _most_telling(study: Study) -> View | None:
    """Of the cases with examples the one that loses most and still works, else any."""
    known = [case for case in study.cases if case.examples]
    working = [case for case in known if "declared" not in case.verdict and not case.error]
    return min(working or known, key=_change, default=None)


def _change(case: View) -> float:
    judged = case.judged
    if judged is None or judged.difference is None:
        return 0.0
    return -judged.difference if judged.lower_is_better else judged.difference


def _picture(example: Mapping[str, Any], key: str, labels: Mapping[str, str]) -> dict[str, Any]:
    sides = {
        side: [
            (*box[:5], labels.get(box[5], box[5]), any(_alike(box, one) for one in example[other]))
            for box in example[side]
        ]
        for side, other in (("float", "quantized"), ("quantized", "float"))
    }
    return {
        **example,
        **sides,
        "key": key,
        "source": f"data:image/jpeg;base64,{example['picture']}",
        "type": round((example["width"] or 1) / 22, 1),  # letters of about 10 pixels as shown
    }


def _alike(box: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    """The same category, and an IoU of at least .5."""
    across = min(box[0] + box[2], other[0] + other[2]) - max(box[0], other[0])
    down = min(box[1] + box[3], other[1] + other[3]) - max(box[1], other[1])
    shared = max(across, 0) * max(down, 0)
    union = box[2] * box[3] + other[2] * other[3] - shared
    return bool(box[5] == other[5] and union > 0 and shared >= union / 2)


def _is_jpeg(text: str) -> bool:
    """Whether it is base64 of what starts as a JPEG: nothing else is put into the page."""
    try:
        return base64.b64decode(text, validate=True).startswith(b"\xff\xd8\xff")
    except (binascii.Error, ValueError):
        return False


def _anchor(view: View) -> str:
    """An id without spaces, the same for the same case."""
    return "case-" + hashlib.sha256(f"{view.case}\n{view.run}".encode()).hexdigest()[:12]
