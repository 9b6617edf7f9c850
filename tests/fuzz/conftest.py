"""Documents bent out of shape, as many as QUANTBENCH_FUZZ says (default 150 a target)."""

from __future__ import annotations

import copy
import json
import os
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLES = int(os.environ.get("QUANTBENCH_FUZZ", "150"))
FUZZ = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=EXAMPLES <= 150,
    suppress_health_check=list(HealthCheck),
)
# Of what takes tens of milliseconds a time: fewer in the usual suite, as many in a campaign.
SLOW_FUZZ = settings(FUZZ, max_examples=40 if EXAMPLES == 150 else EXAMPLES)
_ODD: list[Any] = [
    *(
        None,
        True,
        -1,
        0,
        1.5,
        10**30,
        -(10**12),
        10**400,
        1e308,
        "",
        "\0",
        "../../x",
        "/etc/passwd",
    ),
    *("\ud800", "<script>", "9" * 400, [], {}, [[]], {"a": {}}, [None], "NaN", -0.0),
]
_VALUES = st.sampled_from(_ODD) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@st.composite
def bent(draw: Callable[..., Any], document: Any) -> Any:
    """The document with one to four of its values replaced, removed, doubled or swapped."""
    whole = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 4))):
        holder, key = draw(st.sampled_from(_places(whole)))
        match draw(st.sampled_from(("replace", "remove", "double", "swap"))):
            case "replace":
                holder[key] = copy.deepcopy(draw(_VALUES))
            case "remove":
                del holder[key]
            case "double" if isinstance(holder, list):
                holder.append(copy.deepcopy(holder[key]))
            case _:
                other, place = draw(st.sampled_from(_places(whole)))
                holder[key] = copy.deepcopy(other[place])
        if not isinstance(whole, dict | list) or not _places(whole):
            break
    return whole


def as_text(document: Any) -> str:
    """As JSON, NaN and lone surrogates included."""
    return json.dumps(document)


@st.composite
def cut(draw: Callable[..., Any], content: bytes) -> bytes:
    """The bytes with some of them changed, cut out or put in."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        match draw(st.integers(0, 3)):
            case 0 if data:
                data[at] = draw(st.integers(0, 255))
            case 1:
                del data[at : at + draw(st.integers(1, 64))]
            case 2:
                data[at:at] = draw(st.binary(max_size=16))
            case _:
                odd = draw(st.sampled_from([0, 1, 2**31 - 1, 2**32 - 1, 2**63, 2**64 - 1]))
                data[at : at + 8] = odd.to_bytes(8, "little")
    return bytes(data)


def _places(value: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    ahead = [value]
    while ahead:
        holder = ahead.pop()
        keys = list(holder) if isinstance(holder, dict) else range(len(holder))
        for key in keys:
            found.append((holder, key))
            if isinstance(holder[key], dict | list):
                ahead.append(holder[key])
    return found
