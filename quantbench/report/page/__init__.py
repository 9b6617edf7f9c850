"""One self-contained HTML page of record files: no network, no script from elsewhere."""

from __future__ import annotations

import base64
import binascii
import hashlib
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantbench.core.words import plural
from quantbench.report.drawing import as_svg
from quantbench.report.energies import joules, table, told
from quantbench.report.energies import notes as notes_of_energy
from quantbench.report.figures import drawn
from quantbench.report.numbers import difference, estimate, flips, margin, milliseconds, rate, size
from quantbench.report.outcome import outcome, undecided
from quantbench.report.runtimes import (
    FASTEST,
    FASTEST_NOTE,
    OWN_DIFFERENCE,
    by_runtime,
    fastest,
    fastest_header,
)
from quantbench.report.speed import HEADER
from quantbench.report.views import studies_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from quantbench.report.views import Study, View

_HERE = Path(__file__).parent
_WORDS = ("verdict", "scheme", "runtime", "model and data")
_NUMBERS = (
    "quality",
    "difference to float",
    "lost/won",
    "size",
    "latency",
    "tokens/s",
    "peak memory",
    "energy",
)
_EXAMPLES = 10
_CASES_AT_MOST = 1000  # rows of the table
_BUDGET = 2_700_000  # characters: more is slow to open, and nobody looks at it
_ROW = 1100  # characters of a case in the table, about
_ENERGY_ROW = 500  # in the table of its study's energy
_TAG = 60  # characters of markup around a text, about
_CLIPPED = 2000  # characters of a message that are shown
_REASONS, _SKIPPED = 50, 20  # reasons, and cases of each, that are listed


def as_html(views: Sequence[View], runs: Sequence[Mapping[str, Any]]) -> str:
    """The page.

    Args:
        views: cases, worst first.
        runs: of each record file `file`, `facts` (name to text) and `skipped` (reason to cases).
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup, escape

    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined
    )
    environment.filters |= {
        "anchor": _anchor,
        "difference": lambda judged: _whole(difference(judged)),
        "estimate": lambda number: _whole(estimate(number)),
        "clipped": lambda text: text[:_CLIPPED],
        "first_line": lambda text: next(iter(text.splitlines()), "")[:200],
        "flips": flips,
        "margin": margin,
        "size": size,
        "milliseconds": milliseconds,
        "rate": rate,
        "joules": joules,
        "told": told,
        "undecided": undecided,
        "breakable": lambda name: Markup("_<wbr>").join(escape(name).split("_")),
        "visible": lambda word: word.replace("\n", "\u21b5").replace(" ", "\u2423", 1),
        "word": lambda verdict: verdict.rpartition(" ")[2],
    }
    css, script = ((_HERE / f"report.{kind}").read_text() for kind in ("css", "js"))
    shown = by_runtime(views[:_CASES_AT_MOST])
    runtimes = any(len(study.runtimes) > 1 for study in studies_of(shown))
    listed = [_listed(run) for run in runs]
    rows = sum(_ROW + 2 * len(view.model + view.scheme + view.dataset) for view in shown)
    rows += _ENERGY_ROW * sum(view.joules is not None for view in shown)
    rendered = _Rendered(shown, rows + _length(listed))
    decoding = any(view.decoded_per_s for view in views)
    energy = any(view.joules is not None for view in views)
    any_flips = any(view.judged and view.judged.flips for view in views)
    shown_where = {
        "lost/won": any_flips,
        "runtime": runtimes,
        "tokens/s": decoding,
        "energy": energy,
    }
    page: str = environment.get_template("report.html.jinja").render(
        policy=_policy(script),
        css=Markup(css),  # noqa: S704 - this package's own file
        script=Markup(script),  # noqa: S704 - this package's own file
        title=", ".join(str(run["file"]) for run in runs),
        outcome=outcome(views),
        choices={
            name: sorted({getattr(view, name) for view in shown})
            for name in ("model", "scheme", *["runtime"] * runtimes, "verdict")
        },
        columns=[
            {"name": name, "number": name in _NUMBERS}
            for name in (*_WORDS, *_NUMBERS)
            if shown_where.get(name, True)
        ],
        runtimes=runtimes,
        own_difference=OWN_DIFFERENCE,
        speed_header=HEADER,
        fastest_title=FASTEST,
        fastest_note=FASTEST_NOTE,
        any_flips=any_flips,
        decoding=decoding,
        energy=energy,
        views=shown,
        notes=_left_out(len(views) - len(shown), rendered),
        studies=rendered.studies,
        told=rendered.told,
        runs=listed,
    )
    return page


def _listed(run: Mapping[str, Any]) -> dict[str, Any]:
    """A run with as much of what it skipped as somebody reads."""
    reasons = list(run["skipped"].items())
    more = [("and other reasons", [case for _, cases in reasons[_REASONS:] for case in cases])]
    shown = reasons[:_REASONS] + (more if len(reasons) > _REASONS else [])
    return {
        **run,
        "skipped": [
            {"reason": reason, "n": len(cases), "cases": cases[:_SKIPPED]}
            for reason, cases in shown
        ],
    }


def _left_out(cases: int, rendered: _Rendered) -> list[str]:
    """What the page would be too large with."""
    where = "every metric: quantbench report --format csv"
    studies = "1 study" if rendered.undrawn == 1 else f"{rendered.undrawn} studies"
    return [
        f"Left out for the page's size: {what}; {where}."
        for n, what in (
            (cases, f"{plural(cases, 'case')}, no worse than these"),
            (rendered.undrawn, f"figures and examples of {studies}, no worse than those shown"),
            (rendered.untold, f"full numbers of {plural(rendered.untold, 'case')}"),
        )
        if n
    ]


def _policy(script: str) -> str:
    """Nothing may be loaded, and no script run but this one; figures bring inline styles."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


_NOTHING: dict[str, list[Any]] = {"figures": [], "pictures": [], "named": [], "passages": []}


class _Rendered:
    """The studies, worst first, as far as they fit into the page."""

    def __init__(self, views: Sequence[View], taken: int) -> None:
        """Choose and draw; `undrawn` studies and `untold` cases did not fit.

        Args:
            views: cases, worst first: what is left out is the least bad.
            taken: characters that the rest of the page has.
        """
        self._left = _BUDGET - taken
        self.told = {(view.case, view.run) for view in views if self._fits(_told(view))}
        self.untold = len(views) - len(self.told)
        self.undrawn = 0
        self.studies = [self._study(i, study) for i, study in enumerate(studies_of(views))]

    def _fits(self, size: int) -> bool:
        if size > self._left:
            return False
        self._left -= size
        return True

    def _study(self, place: int, study: Study) -> dict[str, Any]:
        shown = _most_telling(study)
        looked_at = _NOTHING if self.undrawn else _looked_at(place, study, shown)
        if self.undrawn or not self._fits(_length(looked_at)):
            looked_at = _NOTHING  # drawing takes a second: what follows is not tried
            self.undrawn += 1
        return {
            **looked_at,
            "model": study.model,
            "title": study.title,
            "notes": sorted({case.note[:_CLIPPED] for case in study.cases if case.note}),
            "cases": [case for case in study.cases if (case.case, case.run) in self.told],
            "runtimes": study.runtimes if len(study.runtimes) > 1 else (),
            "fastest": fastest(study),
            "fastest_header": fastest_header(study),
            "energy": table(study.cases),
            "energy_notes": list(notes_of_energy(study.cases)),
            "example_scheme": shown.scheme if shown else "",
        }


def _told(view: View) -> int:
    """Characters that a case's full numbers take, about."""
    tags = 130 * (len(view.metrics) + 3 * len(view.judgements) + len(view.facts) + 5)
    causes = view.diagnosis.causes if view.diagnosis else ()
    said = [[each.cause, *each.ops[:3], each.text, each.remedy] for each in causes]
    said += [list(each[:2]) for each in view.flipped[:10]]
    timed = view.speed.inferences if view.speed else ()
    said += [
        [each.headline, *each.causes, *(cell for row in each.rows for cell in row.cells)]
        for each in timed
    ]
    return tags + _length(
        [view.facts, told(view.energies), view.note, view.reason, view.error or "", said]
    )


def _length(value: Any) -> int:
    """Characters of the texts in a value, and what markup each takes."""
    if isinstance(value, str):
        return len(value) + _TAG
    if isinstance(value, dict):
        return sum(map(_length, value.values()))
    return sum(map(_length, value)) if isinstance(value, list | tuple) else _TAG


def _looked_at(place: int, study: Study, shown: View | None) -> dict[str, Any]:
    from markupsafe import Markup

    examples = shown.examples[:_EXAMPLES] if shown else ()
    return {
        "figures": [
            {
                "id": f"figure-{place}-{figure.name}",
                "name": figure.name,
                "title": figure.title,
                "caption": figure.caption,
                # matplotlib escapes what it is told to write.
                "svg": Markup(as_svg(figure, f"{place}")),  # noqa: S704
            }
            for figure in drawn(study)
        ],
        "pictures": [
            _picture(example, f"picture-{place}-{i}", shown.labels)
            for i, example in enumerate(examples)
            if shown and _kind(example) == "boxes"
        ],
        "named": [
            {**example, "source": _as_source(example["picture"])}
            for example in examples
            if _kind(example) == "named"
        ],
        "passages": [example for example in examples if _kind(example) == "passage"],
    }


def _kind(example: Mapping[str, Any]) -> str:
    """How it is shown: a picture with boxes or with named answers, a passage, or not at all."""
    if "picture" in example and _is_jpeg(example["picture"]):
        boxes = [isinstance(example[side], list) for side in ("float", "quantized")]
        return "boxes" if all(boxes) else "" if any(boxes) else "named"
    words = all(isinstance(example.get(side), dict) for side in ("float", "quantized"))
    return "passage" if "context" in example and words else ""


def _as_source(picture: str) -> str:
    return f"data:image/jpeg;base64,{picture}"


def _most_telling(study: Study) -> View | None:
    """Of the cases with examples the one that loses most and still works, else any."""
    known = [case for case in study.cases if case.examples]
    working = [case for case in known if "declared" not in case.verdict and not case.error]
    return max(working or known, key=attrgetter("loss"), default=None)


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
        "source": _as_source(example["picture"]),
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


def _whole(text: str) -> str:
    """With its interval on one line."""
    return text.replace(", ", ",\u00a0")


def _anchor(view: View) -> str:
    """An id without spaces, the same for the same case."""
    return "case-" + hashlib.sha256(f"{view.case}\n{view.run}".encode()).hexdigest()[:12]
