"""Whether a quantizer calibrates: what it says itself, never what a scheme is called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantbench.errors import UsageError

if TYPE_CHECKING:
    from quantbench.protocols import Quantizer
    from quantbench.study.scheme import Scheme


def calibrates(quantizer: Quantizer, scheme: Scheme) -> bool | None:
    """Whether the quantizer calibrates this scheme on samples; None where nobody says.

    It says so by `calibrated`, a boolean or a method that is asked with the scheme. Integer
    activations have ranges: where the quantizer says nothing, such a scheme is calibrated.

    Raises:
        UsageError: it says something else than True or False.
    """
    said = getattr(quantizer, "calibrated", None)
    if callable(said):
        said = said(scheme)
    if said is None:
        return True if scheme.static else None
    if not isinstance(said, bool):
        kind = type(quantizer)
        raise UsageError(
            f"the quantizer {scheme.quantizer} does not say whether it calibrates {scheme.name}",
            where=f"{kind.__module__}.{kind.__qualname__}.calibrated",
            expected="True or False, or a method that answers so for a scheme",
            got=repr(said)[:80],
        )
    return said
