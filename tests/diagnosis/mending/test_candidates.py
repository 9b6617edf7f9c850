"""Which candidate is chosen."""

from __future__ import annotations

from quantbench.diagnosis.mending.candidates import Candidate, Found, chosen_of


def candidate(ops: int, agreement: float, low: float) -> Candidate[None]:
    kept = dict.fromkeys(map(str, range(ops)), "why")
    return Candidate(kept, None, b"", agreement, "", low, low)


def test_the_smallest_that_passes_with_room_and_agrees_as_well_is_chosen() -> None:
    bare, small, good, large = (
        candidate(0, 0.9, -0.014),  # within the margin, without a third of it to spare
        candidate(2, 0.7, -0.001),  # less agreement than chance explains
        candidate(4, 0.855, -0.009),
        candidate(6, 0.86, -0.002),
    )
    assert chosen_of([large, good, small, bare], 0.015) is good
    assert chosen_of([small, bare], 0.015) is small
    worse = candidate(1, 0.9, -0.2)
    assert chosen_of([worse, bare], 0.015) is bare  # none is safe: the one that came closest


def test_what_was_no_finalist_has_not_passed() -> None:
    unjudged = Candidate({}, None, b"1234", 1.0, "a rule")
    notes = Found(unjudged, "one tensor alone", 0.5, [unjudged]).as_notes()
    assert (notes["passed"], notes["low"], notes["bytes"]) == (False, None, 4)
    assert notes["tried"] == [unjudged.as_notes()]
