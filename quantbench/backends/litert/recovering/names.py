"""Names of schemes that are trained back: `int8_static_distilled`, `int4_weight_aeq_qat_2k`.

This module is read with the backend's description: it imports no framework.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from quantbench.study import Scheme

USUAL_SAMPLES = 8000
_TOOLS = ("litert", "aeq", "mended")  # that write a `.tflite` from the float model
_BYTE = 8
_NAME = re.compile(r"(?P<base>.+)_(?P<method>distilled|qat)(?:_(?P<thousand>[1-9]\d{0,4})k)?")


@dataclass(frozen=True)
class Recovery:
    """What the name of a scheme that is trained back says.

    Attributes:
        base: name of the scheme whose artifact is trained, without a seed.
        labelled: whether the model's own trainer trains it, on labels (`_qat`); else it learns
            what the float model says (`_distilled`).
        samples: that are shown to it, one shown twice being two.
    """

    base: str
    labelled: bool
    samples: int

    @classmethod
    def parse(cls, name: str) -> Recovery | None:
        """Decode a name without its seed; None where it is no such scheme's."""
        if (match := _NAME.fullmatch(name)) is None:
            return None
        samples = 1000 * int(match["thousand"]) if match["thousand"] else USUAL_SAMPLES
        return cls(match["base"], match["method"] == "qat", samples)

    @classmethod
    def of(cls, scheme: Scheme) -> Recovery:
        """Of a scheme that is trained back."""
        found = cls.parse(scheme.unseeded)
        if found is None:
            raise ValueError(f"{scheme.name} is not trained back")
        return found

    def scheme(self, name: str, base: Scheme | None) -> Scheme | None:
        """The scheme of this name; None where its base is not rounded before it runs.

        Weights of a byte beside float activations are `int8_dynamic`: these are rounded while they
        run, by scales that no file holds.
        """
        if base is None or base.quantizer not in _TOOLS:
            return None
        if not (base.static or base.bits < _BYTE):
            return None
        return replace(base, name=name, quantizer="recovered")
