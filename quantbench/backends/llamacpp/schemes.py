"""The names of GGUF schemes: `gguf_q4_k_m` is what llama.cpp calls Q4_K_M.

The numbers are `enum llama_ftype` in llama.h. A file type is a mixture: it names the type of most
tensors, and llama.cpp stores some in wider ones, and rows that do not fit a block in others. The
record of a case says what each became, and how many bits a weight that is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from quantbench.errors import UsageError
from quantbench.study import Scheme

FLOATS = {"f32": 0, "f16": 1, "bf16": 32}
_WEIGHTS = {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}
ROUNDED = {
    "q8_0": 7,
    "q6_k": 18,
    "q5_k_m": 17,
    "q5_k_s": 16,
    "q5_1": 9,
    "q5_0": 8,
    "q4_k_m": 15,
    "q4_k_s": 14,
    "q4_1": 3,
    "q4_0": 2,
    "iq4_nl": 25,
    "iq4_xs": 30,
    "q3_k_l": 13,
    "q3_k_m": 12,
    "q3_k_s": 11,
    "iq3_m": 27,
    "iq3_s": 26,
    "iq3_xs": 22,
    "iq3_xxs": 23,
    "q2_k": 10,
    "tq2_0": 37,
    "tq1_0": 36,
    "q1_0": 40,
}
# Below three bits llama.cpp refuses these without an importance matrix.
ONLY_WEIGHTED = {
    "q2_k_s": 21,
    "iq2_m": 29,
    "iq2_s": 28,
    "iq2_xs": 20,
    "iq2_xxs": 19,
    "iq1_m": 31,
    "iq1_s": 24,
}
FILE_TYPES = {**FLOATS, **ROUNDED, **ONLY_WEIGHTED}
AS_SHIPPED = "gguf_as_shipped"
_NAME = re.compile(r"gguf_(?P<kind>[a-z0-9_]+?)(?P<weighted>_im)?")


@dataclass(frozen=True)
class GGUFSchemes:
    """A `SchemeFamily`: each file type, with `_im` weighted by an importance matrix."""

    backend: str = "llamacpp"

    @property
    def names(self) -> tuple[str, ...]:
        """All, the widest first."""
        plain = [f"gguf_{kind}" for kind in {**FLOATS, **ROUNDED}]
        weighted = [f"gguf_{kind}_im" for kind in {**ROUNDED, **ONLY_WEIGHTED}]
        return (*plain, *weighted, AS_SHIPPED)

    @property
    def patterns(self) -> tuple[str, ...]:
        """The file types, and that most may be weighted."""
        plain = ",".join({**FLOATS, **ROUNDED})
        return (
            f"gguf_{{{plain}}}",
            f"gguf_{{q..., iq..., tq..., {','.join(ONLY_WEIGHTED)}}}_im",
            AS_SHIPPED,
        )

    def parse(self, name: str) -> Scheme | None:
        """The scheme of this name.

        Raises:
            UsageError: llama.cpp does not make this one without an importance matrix.
        """
        if f"{name}_im" in self.names and name not in self.names:
            raise UsageError(
                f"llama.cpp makes no {name} without an importance matrix",
                expected=f"{name}_im, which observes the model on the calibration samples",
            )
        if name not in self.names:
            return None
        if name == AS_SHIPPED:
            return Scheme(name, self.backend, "gguf_as_shipped", "as shipped", "float")
        match = _NAME.fullmatch(name)
        assert match is not None  # noqa: S101 - it is one of the names
        kind = match["kind"]
        if kind in FLOATS:
            activations = "float32" if kind == "f32" else "float"
            return Scheme(name, self.backend, "gguf_float", _WEIGHTS[kind], activations)
        quantizer = "gguf_weighted" if match["weighted"] else "gguf_rounded"
        return Scheme(name, self.backend, quantizer, kind, "float")


def file_type(scheme: Scheme) -> int:
    """`enum llama_ftype` of a scheme."""
    kinds = {weights: kind for kind, weights in _WEIGHTS.items()}
    return FILE_TYPES[kinds.get(scheme.weights, scheme.weights)]
