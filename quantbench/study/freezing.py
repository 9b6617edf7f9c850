"""Make the lists of a description tuples, and refuse what cannot be hashed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from quantbench.errors import UsageError


def freeze(described: Any) -> None:
    """Make the lists of a frozen description tuples, and refuse what cannot be hashed.

    Cases are told apart by their hashes. The lists are those of whoever described the model, who
    writes them while it is being made; `object.__setattr__` is how a frozen class sets its own.

    Raises:
        UsageError: a field holds something else that cannot be hashed.
    """
    for each in fields(described):
        value = getattr(described, each.name)
        object.__setattr__(described, each.name, value := _frozen(value))
        try:
            hash(value)
        except TypeError as error:
            raise UsageError(
                f"the {each.name} of a {type(described).__name__.lower()} cannot be hashed",
                expected="texts, numbers, tuples, and frozen dataclasses of these "
                "(@dataclass(frozen=True))",
                got=f"{error}: {value!r}"[:200],
            ) from error


def several(what: str, given: Any) -> tuple[Any, ...]:
    """What was given where several are asked for, as a tuple.

    Raises:
        UsageError: it is one text, which Python would take for its letters, or nothing to go
            through; `what` names it, e.g. "the schemes of mine".
    """
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise UsageError(
            f"{what} are several", expected=f"a tuple, e.g. ({given!r},)", got=repr(given)
        )
    return tuple(given)


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
