"""Names of recovered schemes: `gptq_int3_g64_lora16`, `bnb_nf4_lora16_60k`, `gptq_int2_g64_eora16`.

This module is read with the backend's description: it imports no framework.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from quantbench.study import Scheme

BASES = ("gptq", "bitsandbytes")  # quantizers whose checkpoints can be unpacked for training
USUAL_TOKENS = 100_000
_NAME = re.compile(
    r"(?P<base>.+)_(?:lora(?P<lora>[1-9]\d{0,3})(?:_(?P<thousand>[1-9]\d{0,5})k)?"
    r"|eora(?P<eora>[1-9]\d{0,3}))"
)


@dataclass(frozen=True)
class Recovery:
    """What a recovered scheme's name says.

    Attributes:
        base: name of the scheme whose checkpoint gets the adapters, without a seed.
        rank: of each adapter.
        tokens: that it is trained on; 0 where nothing is trained.
    """

    base: str
    rank: int
    tokens: int

    @classmethod
    def parse(cls, name: str) -> Recovery | None:
        """Decode a name without its seed; None where it is no recovered scheme's."""
        if (match := _NAME.fullmatch(name)) is None:
            return None
        if match["eora"]:
            return cls(match["base"], int(match["eora"]), 0)
        tokens = 1000 * int(match["thousand"]) if match["thousand"] else USUAL_TOKENS
        return cls(match["base"], int(match["lora"]), tokens)

    @classmethod
    def of(cls, scheme: Scheme) -> Recovery:
        """Of a scheme that is recovered."""
        found = cls.parse(scheme.unseeded)
        if found is None:
            raise ValueError(f"{scheme.name} is no recovered scheme")
        return found

    def scheme(self, name: str, base: Scheme | None) -> Scheme | None:
        """The recovered scheme of this name; None where its base cannot be recovered."""
        if base is None or base.quantizer not in BASES:
            return None
        return replace(base, name=name, quantizer="recovered")
