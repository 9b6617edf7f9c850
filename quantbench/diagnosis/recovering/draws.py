"""Which draw of calibration samples a scheme starts from that improves on another."""

from __future__ import annotations

from quantbench.study import Scheme
from quantbench.study.calibration import calibrates
from quantbench.study.registry import find_quantizer


def drawn_as(scheme: Scheme, name: str) -> Scheme:
    """The scheme of this name with the draw of another, where it calibrates at all.

    Args:
        scheme: whose draw is taken.
        name: without a seed.
    """
    base = Scheme.parse(name)
    seeded = scheme.seed and calibrates(find_quantizer(base), base)
    return Scheme.parse(f"{base.name}_s{scheme.seed}") if seeded else base
