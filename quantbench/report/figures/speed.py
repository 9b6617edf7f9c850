"""Where a case loses time, or gains it: two bars for each kind of op."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantbench.report.drawing import (
    INK,
    Drawn,
    blank,
    looks,
    named_rows,
    rows_height,
    write_beside,
)

if TYPE_CHECKING:
    from quantbench.report.speed import Inference
    from quantbench.report.views import Study, View

_SEEN = 0.01  # of the longest bar: what is shorter is no bar
_NAMED = 3  # worst losses that are written beside their bars


def speed(study: Study) -> Drawn | None:
    """Time by kind of op, float above quantized, of the case that lost most against float."""
    known = [(each, each.speed.slowest) for each in study.cases if each.speed]
    timed = [(case, found) for case, found in known if found]
    if not timed:
        return None
    case, worst = max(timed, key=lambda pair: pair[1].after_ms / pair[1].before_ms)
    most = max(max(row.before_ms, row.after_ms) for row in worst.rows)
    if most <= 0:
        return None
    rows = [row for row in worst.rows if max(row.before_ms, row.after_ms) > _SEEN * most]
    figure, axes = blank(rows_height(2 * len(rows)))
    places = range(len(rows))
    colour = looks(study.cases)[case.scheme]["color"]
    axes.barh([p - 0.2 for p in places], [max(row.before_ms, 0) for row in rows], height=0.36,
              color="none", edgecolor=INK, label="float")  # fmt: skip
    axes.barh([p + 0.2 for p in places], [max(row.after_ms, 0) for row in rows], height=0.36,
              color=colour, label=case.scheme)  # fmt: skip
    named_rows(axes, [row.kind for row in rows])
    lost = sorted(places, key=lambda place: -rows[place].lost_ms)[:_NAMED]
    for place in lost:
        if rows[place].lost_ms > 0:
            write_beside(axes, place + 0.2, rows[place].after_ms, f"+{rows[place].lost_ms:.2f} ms")
    axes.set_xlim(0, most * 1.15)
    axes.set_xlabel("milliseconds of one inference, all ops of a kind")
    figure.legend(loc="outside lower center", ncols=2)
    return Drawn("speed", "Time by kind of op", _caption(case, worst), figure)


def _caption(case: View, worst: Inference) -> str:
    why = f" {worst.causes[0]}." if worst.causes else ""
    return f"{case.scheme}, {worst.headline}.{why}"
