"""The backend, described. Importing this file imports no numpy: code is named, not loaded."""

from __future__ import annotations

import re
from dataclasses import dataclass

from quantbench import Scheme
from quantbench.protocols import Backend, Import

_HERE = "quantbench_linear"
_NAME = re.compile(r"linear_(?P<weights>float64|int8|int4)")


@dataclass(frozen=True)
class LinearSchemes:
    """`linear_float64`, `linear_int8` and `linear_int4`; activations stay in float64."""

    backend: str

    @property
    def names(self) -> tuple[str, ...]:
        """All three."""
        return "linear_float64", "linear_int8", "linear_int4"

    @property
    def patterns(self) -> tuple[str, ...]:
        """The same, shorter."""
        return "linear_float64", "linear_int{4,8}"

    def parse(self, name: str) -> Scheme | None:
        """The scheme of this name, None where it is another backend's."""
        match = _NAME.fullmatch(name)
        return Scheme(name, self.backend, "linear", match["weights"], "float64") if match else None


BACKEND = Backend(
    name="numpy_linear",
    schemes=LinearSchemes("numpy_linear"),
    runner=f"{_HERE}.runner:LinearRunner",
    quantizers={"linear": f"{_HERE}.quantizer:LinearQuantizer"},
    starts_from=("linear_npz",),
    importers={"linear_csv": Import("linear_csv", "linear_npz", f"{_HERE}.importer:CSVImporter")},
    diagnosis=f"{_HERE}.looks:linear_looks",
)
