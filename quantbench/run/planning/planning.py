"""The plan of a study: its cases looked at, and what is missing of them estimated."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from quantbench.errors import QuantbenchError, UsageError
from quantbench.measure.rates import rate_in
from quantbench.measure.room import device_bytes, disk_bytes, memory_bytes
from quantbench.protocols import LOADED
from quantbench.run.context import explained
from quantbench.run.planning.estimating import Estimating
from quantbench.run.planning.learning import learned
from quantbench.run.planning.looking import Looking
from quantbench.run.planning.plan import CasePlan, Plan, Room
from quantbench.run.planning.weighing import needs_of
from quantbench.sources.sizes import declared, size_of
from quantbench.store.artifacts import default_root

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from quantbench.core.settings import Settings
    from quantbench.protocols import Rate
    from quantbench.run.planning.looking import Found
    from quantbench.study import Case

_RATES = Path(__file__).with_name("rates.json")


def plan(
    cases: Iterable[Case],
    settings: Settings,
    *,
    room: Room | None = None,
    sizes: Callable[[str], int | None] = size_of,
) -> Plan:
    """What it takes to build and evaluate cases and their references, beyond what is done.

    Nothing is fetched or built. Samples that are here are read; a team's store is not asked.

    Args:
        cases: of the study.
        settings: of the run.
        room: what the machine has; this one's where it is left out.
        sizes: bytes of a source that is not here, by its text; None where nobody knows.
    """
    root = settings.cache or default_root()
    wanted = _with_references(cases)
    estimating = Estimating(learned(root), cache(sizes))
    looking = Looking(settings, root)
    planned = [_of_case(case, looking.at, estimating) for case in wanted]
    room = room or _room(root, wanted)
    run = rate_in(_RATES, "run")
    started = run.seconds(0) if run is not None else 0.0
    return Plan(tuple(planned), room, _kept(wanted, planned), started)


def too_large(
    cases: Iterable[Case], settings: Settings, room: Room | None = None
) -> dict[Case, Plan]:
    """Those that need more memory or disk than there is, of which that is known.

    Quick where everything fits: only what might not is looked for in the store. No network is
    asked. A case that cannot be planned is not among them.

    Args:
        cases: each for itself, without its reference.
        settings: of the run.
        room: as of `plan`.
    """
    root = settings.cache or default_root()
    wanted = list(dict.fromkeys(cases))
    room = room or _room(root, wanted)
    looking = Looking(settings, root)
    estimating = Estimating((), declared)
    found: dict[Case, Plan] = {}
    for case in wanted:
        for look in (looking.briefly, looking.at):
            with suppress(QuantbenchError):  # what is wrong with a case, its tests say
                made = Plan((_of_case(case, look, estimating),), room)
                if not made.fits:
                    continue
            break
        else:
            found[case] = made
    return found


def _of_case(case: Case, look: Callable[[Case], Found], estimating: Estimating) -> CasePlan:
    with explained(f"planning {case}", UsageError):
        found = look(case)
        needs = tuple(estimating.needs(case, found))
    return CasePlan(str(case), case.model.name, case.scheme.name, needs, found.lacks)


def _room(root: Path, cases: Iterable[Case]) -> Room:
    device = device_bytes() if any(case.device == "cuda" for case in cases) else None
    return Room(memory_bytes(), disk_bytes(root), device)


def _with_references(cases: Iterable[Case]) -> list[Case]:
    """Each once, references beside their cases."""
    found: dict[Case, None] = {}
    for case in cases:
        if case.model.reference is not None:
            found.setdefault(case.reference)
        found.setdefault(case)
    return list(found)


def _kept(cases: Sequence[Case], planned: Sequence[CasePlan]) -> float:
    """What libraries keep of all but the hungriest, where they work one by one in a process."""
    loaded: dict[Rate, None] = {}  # a backend's own, or one of a quantizer's library
    for case, each in zip(cases, planned, strict=True):
        needs = needs_of(case.scheme.backend)
        rate = needs.rate(LOADED, case.scheme) if needs is not None and each.needs else None
        if rate is not None:
            loaded.setdefault(rate)
    return sum(sorted(rate.base_bytes for rate in loaded)[:-1])
