"""Names become implementations through entry points, when they are used and not before."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

from quantbench.errors import MissingExtraError, UsageError

# Top-level modules of each extra; a missing one is an uninstalled extra, not a bug.
_EXTRAS = {
    "detection": {"tensorflow", "keras", "ai_edge_litert", "hotcoco", "sklearn", "PIL", "numpy"},
    "language": {"torch", "transformers", "gptqmodel", "gguf", "accelerate", "tokenizers"},
}


def load(group: str, name: str) -> Any:
    """The object registered as `name` under entry point group `quantbench.<group>`.

    Raises:
        UsageError: nothing is registered under the name.
        MissingExtraError: its module needs a package that is not installed.
    """
    known = {point.name: point for point in entry_points(group=f"quantbench.{group}")}
    if name not in known:
        raise UsageError(
            f"unknown name {name!r} in quantbench.{group}",
            expected=", ".join(sorted(known)) or "(none registered; is quantbench installed?)",
        )
    try:
        return known[name].load()
    except ModuleNotFoundError as error:
        if lack := missing_extra(error):
            raise lack from error
        raise


def missing_extra(error: ModuleNotFoundError) -> MissingExtraError | None:
    """The same failure in quantbench's words if an extra would mend it, else None."""
    for extra, modules in _EXTRAS.items():
        if error.name in modules:
            return MissingExtraError(
                f"module {error.name!r} is not installed",
                remedy=f'pip install "quantbench[{extra}]"',
            )
    return None
