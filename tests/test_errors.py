"""One tree, and messages that say what to do."""

from __future__ import annotations

import inspect
import pickle
from pathlib import Path

import pytest

from quantbench import errors


def tree() -> list[type[errors.QuantbenchError]]:
    members = [each for _, each in inspect.getmembers(errors, inspect.isclass)]
    return [each for each in members if issubclass(each, errors.QuantbenchError)]


@pytest.mark.parametrize("error", tree())
def test_every_error_is_in_the_drawn_tree(error: type[errors.QuantbenchError]) -> None:
    assert error.__name__ in (errors.__doc__ or "")
    assert error.__doc__


def test_a_message_names_its_parts_and_leaves_out_what_is_not_known() -> None:
    error = errors.BuildError("it failed", where="here", got=0, remedy="try again")
    assert str(error).splitlines() == [
        "it failed",
        "  where:    here",
        "  got:      0",
        "  next:     try again",
    ]


def test_its_parts_can_be_asked_for_and_not_changed() -> None:
    error = errors.BuildError("it failed", where=Path("here"), got=0, remedy="try again")
    parts = (error.what, error.where, error.expected, error.got, error.remedy)
    assert parts == ("it failed", "here", None, "0", "try again")
    for part in ("what", "where", "expected", "got", "remedy"):
        with pytest.raises(AttributeError):
            setattr(error, part, "else")


def test_its_parts_travel_to_another_process() -> None:
    error = errors.BuildError("it failed", where="here", expected="a model", remedy="try again")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - what was pickled a moment ago
    assert str(again) == str(error)
    assert (again.what, again.where, again.expected) == ("it failed", "here", "a model")


def test_every_lack_has_its_word() -> None:
    from quantbench.core.settings import REQUIREMENTS

    lacks = errors.OutOfReachError.__subclasses__()
    assert {lack.requirement for lack in lacks} <= set(REQUIREMENTS)
