"""What a runner says of itself, checked where it enters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from operator import index
from typing import TYPE_CHECKING, Any

from quantbench.errors import PredictionError
from quantbench.protocols import Facts
from quantbench.run.context import explained

if TYPE_CHECKING:
    from quantbench.protocols import Runner

_LEAST = {"threads": 1, "weights_bytes": 0}
_TEXTS = ("delegate", "kernel", "device", "evaluated_as")


def facts_of(runner: Runner) -> dict[str, Any]:
    """A runner's facts as JSON.

    Whole numbers of numpy become Python's.

    Raises:
        PredictionError: they are no `Facts`, or hold what no record can.
    """
    kind = type(runner)
    where = f"{kind.__module__}.{kind.__qualname__}.facts"
    with explained(f"asking {where}", PredictionError):
        said: Any = runner.facts()
    if not isinstance(said, Facts) or not isinstance(said.more, Mapping):
        raise PredictionError(
            "a runner does not say how it runs",
            where=where,
            expected="quantbench.protocols.Facts(threads=..., weights_bytes=..., ...)",
            got=repr(said)[:200],
        )
    facts = said.as_json()
    for name, least in _LEAST.items():
        try:
            facts[name] = index(facts[name])
        except (KeyError, TypeError):
            facts[name] = None
        if facts[name] is None or isinstance(getattr(said, name), bool) or facts[name] < least:
            raise _wrong(where, name, f"a whole number from {least}", getattr(said, name))
    for name in _TEXTS:
        if not isinstance(facts.get(name, ""), str):
            raise _wrong(where, name, "a text", facts[name])
    for name, value in facts.items():
        try:
            json.dumps({name: value}, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise _wrong(where, name, "a JSON value", value) from error
    return facts


def _wrong(where: str, name: str, expected: str, got: object) -> PredictionError:
    return PredictionError(
        f"a runner's fact {name!r} cannot be recorded",
        where=where,
        expected=expected,
        got=f"{got!r} of type {type(got).__name__}"[:200],
    )
