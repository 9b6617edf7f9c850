"""What descriptions of models that take pictures have in common: words, and their checks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

from quantbench.errors import UsageError, meant

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

Channels = Literal["rgb", "bgr"]
Layout = Literal["nhwc", "nchw"]
WORDS = {"channels": get_args(Channels), "layout": get_args(Layout)}


def check_words(described: Any, what: str, words: Mapping[str, Sequence[str]]) -> None:
    """Refuse a field that holds a word that means nothing.

    Args:
        described: the description.
        what: it describes, for people.
        words: those that each field may hold, beside the order of colours and axes.

    Raises:
        UsageError: one does.
    """
    for name, known in {**WORDS, **words}.items():
        if getattr(described, name) not in known:
            raise UsageError(
                f"unknown {name} of a {what}",
                expected=", ".join(known),
                got=repr(getattr(described, name)),
                remedy=meant(str(getattr(described, name)), known),
            )
    if 0 in described.std:
        raise UsageError(f"a standard deviation of a {what}'s input is zero", got=described.std)


def check_labels(
    ids: Collection[Any], labels: Sequence[str], unused: Collection[Any], what: str, of: str
) -> None:
    """Refuse names and unused ones that do not go with the ids.

    Args:
        ids: of the output channels.
        labels: a name for each, or none.
        unused: those of the ids that no data set has.
        what: is described, for people.
        of: what the ids are of: "categories", "classes".

    Raises:
        UsageError: there are more or fewer labels, or an unused id is none of them.
    """
    if strange := set(unused) - set(ids):
        raise UsageError(
            f"a {what}'s unused {of} are none of its own",
            expected="ids among those of its output channels",
            got=sorted(strange),
        )
    if labels and len(labels) != len(ids):
        raise UsageError(
            f"a {what} needs a label for each of its {of}, or none",
            expected=f"{len(ids)} labels",
            got=len(labels),
        )
