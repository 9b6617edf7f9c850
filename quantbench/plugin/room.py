"""Cases that this machine has no room for: refused before anything is fetched for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from quantbench.errors import MissingRoomError
from quantbench.plugin.state import REFUSED_CASES, SETTINGS, TERMINAL, case_of, within_reach

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

    from quantbench.study import Case


def look_for_room(session: pytest.Session) -> None:
    """Note which cases need more memory or disk than there is, and say so in a sentence each."""
    config = session.config
    cases = list(dict.fromkeys(case for item in session.items for case in _cases(item)))
    elsewhere = config.stash[SETTINGS].executor != "local"
    if not cases or elsewhere or config.option.collectonly:
        return
    from quantbench.run.planning.planning import too_large
    from quantbench.run.planning.telling import sentence

    found = too_large(cases, config.stash[SETTINGS])
    config.stash[REFUSED_CASES] = {case: sentence(made) for case, made in found.items()}
    terminal = config.stash.get(TERMINAL, None)
    if terminal is not None:
        for told in dict.fromkeys(config.stash[REFUSED_CASES].values()):
            print(told, file=terminal)


def refuse_without_room(item: pytest.Item) -> None:
    """Skip a test of such a case, or whose reference is one."""
    refused = item.config.stash.get(REFUSED_CASES, {})
    for case in _cases(item):
        if case in refused:
            told = refused[case]

            def refuse(told: str = told) -> NoReturn:
                raise MissingRoomError(
                    told,
                    remedy="free some, or run it on a larger machine: `quantbench plan` says what "
                    "it takes",
                )

            within_reach(item.config, refuse)


def _cases(item: pytest.Item) -> Iterator[Case]:
    """Those that the test asks something of."""
    case, names = case_of(item), set(getattr(item, "fixturenames", ()))
    if case is None or not names & {"sample", "quantized", "evaluation", "reference"}:
        return
    yield case
    if "reference" in names and case.model.reference is not None:
        yield case.reference
