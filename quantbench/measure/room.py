"""What this machine has room for: memory, disk, and a GPU's memory."""

from __future__ import annotations

import os
import resource
import shutil
from pathlib import Path

_GROUPS = (  # where a container's limit stands: control groups of version 2, and of version 1
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
)


def memory_bytes(limits: tuple[str, ...] = _GROUPS) -> int:
    """Of the machine, or what a container or `ulimit -v` leaves of it.

    Args:
        limits: files that hold a number of bytes, where they are there.
    """
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    allowed, _ = resource.getrlimit(resource.RLIMIT_AS)
    found = [whole if allowed == resource.RLIM_INFINITY else min(whole, allowed)]
    for name in limits:
        try:
            found.append(int(Path(name).read_text(encoding="ascii")))
        except (OSError, ValueError):  # no such group, or "max"
            continue
    return min(found)


def disk_bytes(folder: Path) -> int:
    """Free for this user where a folder is, or will be."""
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    return shutil.disk_usage(there).free


def device_bytes() -> int | None:
    """Memory of the CUDA device that torch uses; None without one."""
    try:
        import torch
    except ModuleNotFoundError:
        return None
    if not torch.cuda.is_available():
        return None
    return int(torch.cuda.get_device_properties(0).total_memory)
