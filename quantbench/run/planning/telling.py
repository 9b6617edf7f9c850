"""A plan in words: the sentence that comes first, and a line for each case."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantbench.run.planning.plan import Total, of_case

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quantbench.run.planning.plan import CasePlan, Plan

_UNITS = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
_MINUTE, _HOUR = 60, 3600
_WHOLE = 9.95  # from here on without a decimal
_MOST_NAMES = 3


def sentence(plan: Plan) -> str:
    """Whether the study fits, and the numbers that say so."""
    if obstacles := plan.obstacles:
        what, needed, there = obstacles[0]
        where = f" for {needed.at}" if needed.at else ""
        more = "".join(
            f"; it needs {size(need.known)} of {name} too, of {size(has)}"
            for name, need, has in obstacles[1:]
        )
        has = f"{size(there)} are free" if what == "disk" else f"this machine has {size(there)}"
        return (
            f"{_models(plan)} will not fit: needs {_at_least(needed)}{size(needed.known)} "
            f"of {what}{where}, {has}{more}"
        )
    if not any(case.needs for case in plan.cases):
        return "fits: everything is in the store, nothing is fetched, built or predicted"
    return (
        f"fits: fetches {_quantity(plan.fetch)}, {_quantity(plan.disk)} of disk, "
        f"{_quantity(plan.memory)} of memory, {_duration(plan.seconds)}"
    )


def unknowns(plan: Plan) -> list[str]:
    """A sentence for each quantity that is not wholly known."""
    named = {
        "bytes to fetch": plan.fetch,
        "disk": plan.disk,
        "memory": plan.memory,
        "time": plan.seconds,
    }
    return [
        f"{what} not known of {_listed(total.unknown)}"
        for what, total in named.items()
        if total.unknown
    ]


def table(plan: Plan) -> Iterator[tuple[str, ...]]:
    """Rows of cells, the first the headings; the last cell says what the seconds rest on."""
    yield "case", "fetch", "disk", "memory", "time", "rests on"
    for case in plan.cases:
        if not case.needs:
            yield case.case, "0", "0", "0", "0", "in the store"
            continue
        yield (
            case.case,
            _cell(of_case(case, "fetch_bytes")),
            _cell(of_case(case, "disk_bytes")),
            _cell(of_case(case, "memory_bytes")),
            _cell(of_case(case, "seconds"), seconds=True),
            _basis(case),
        )


def size(number: float) -> str:
    """Bytes in powers of 1,000: "2.3 GB", "27 GB"."""
    for unit, name in _UNITS:
        if number >= 0.995 * unit:
            scaled = number / unit
            return f"{scaled:.1f} {name}" if scaled < _WHOLE else f"{scaled:.0f} {name}"
    return f"{number:.0f} bytes" if number else "0"


def duration(seconds: float) -> str:
    """Seconds as people say them: "40 seconds", "12 minutes", "4 hours"."""
    for unit, name, least in ((_HOUR, "hour", 1.5 * _HOUR), (_MINUTE, "minute", 1.5 * _MINUTE)):
        if seconds >= least:
            scaled = seconds / unit
            return f"{scaled:.1f} {name}s" if scaled < _WHOLE else f"{scaled:.0f} {name}s"
    return f"{seconds:.0f} seconds"


def _models(plan: Plan) -> str:
    found = list(dict.fromkeys(case.model for case in plan.cases))
    schemes = list(dict.fromkeys(case.scheme for case in plan.cases))
    return f"{_listed(tuple(found))} under {_listed(tuple(schemes))}"


def _listed(names: tuple[str, ...]) -> str:
    if len(names) <= _MOST_NAMES:
        return ", ".join(names)
    return f"{', '.join(names[: _MOST_NAMES - 1])} and {len(names) - _MOST_NAMES + 1} more"


def _at_least(total: Total) -> str:
    return "at least " if total.unknown else ""


def _quantity(total: Total) -> str:
    if total.unknown and not total.known:
        return "an unknown number of bytes"
    if not total.known:
        return "nothing"
    return _at_least(total) + size(total.known)


def _duration(total: Total) -> str:
    return ("at least " if total.unknown else "about ") + duration(total.known)


def _cell(total: Total, *, seconds: bool = False) -> str:
    if total.unknown and not total.known:
        return "unknown"
    mark = ">" if total.unknown else ""
    return mark + (duration(total.known) if seconds else size(total.known))


def _basis(case: CasePlan) -> str:
    found = dict.fromkeys(need.rests_on for need in case.needs if need.rests_on)
    return ", ".join(found) or "no time"
