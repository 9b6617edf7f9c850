"""What of the processor decides over the speed and the exactness of int8 kernels."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

_TOLD = (
    *("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_bf16", "amx_int8"),
    *("asimd", "asimddp", "i8mm"),
)


@cache
def instruction_sets(described: Path = Path("/proc/cpuinfo")) -> tuple[str, ...]:
    """Those that kernels of quantized models choose between; none where the system tells none.

    Args:
        described: the system's own description (Linux).
    """
    try:
        lines = described.read_text(errors="replace").splitlines()
    except OSError:
        return ()
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    has = set(flags.partition(":")[2].split())
    return tuple(name for name in _TOLD if name in has)


@cache
def processor_name(described: Path = Path("/proc/cpuinfo")) -> str:
    """As its maker calls it.

    Args:
        described: the system's own description (Linux).
    """
    try:
        lines = described.read_text(errors="replace").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def int8_saturates(known: tuple[str, ...] | None = None) -> bool | None:
    """Whether sums of two int8 products are cut off at 16 bits; None where nobody knows.

    So it is on x86 with AVX2 and neither VNNI nor AMX.

    Args:
        known: instruction sets; this processor's where it is left out.
    """
    sets = instruction_sets() if known is None else known
    if not sets:
        return None
    x86 = any(name.startswith("avx") for name in sets)
    return x86 and not any("vnni" in name or name == "amx_int8" for name in sets)
