"""Names become implementations through entry points, when they are used and not before."""

from __future__ import annotations

import inspect
from contextlib import suppress
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from quantbench.digests import digest_of, sha256_of
from quantbench.errors import MissingExtraError, UsageError, meant

# Modules and distributions of each extra; a missing one is an uninstalled extra, not a bug.
_EXTRAS = {
    "detection": {
        *("tensorflow", "keras", "ai_edge_litert", "ai_edge_quantizer", "litert_torch"),
        *("hotcoco", "numba", "sklearn", "PIL", "tqdm", "kagglehub", "pillow", "scikit_learn"),
    },
    "all": {"torch", "transformers", "huggingface_hub", "safetensors"},  # of both
    "gpu": {"pynvml"},
    "report": {"jinja2", "markupsafe", "matplotlib"},
    "language": {
        *("gptqmodel", "gguf", "accelerate", "bitsandbytes", "tokenizers", "datasets"),
        *("hqq", "torchao"),
    },
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
            remedy=meant(name, known),
        )
    try:
        return known[name].load()
    except ModuleNotFoundError as error:
        if lack := missing_extra(error.name):
            raise lack from error
        raise


@cache
def code_digest(kind: type) -> str:
    """Digest of the code that counts: the files that define a task, and quantbench's metrics.

    Part of the key of whatever is counted, so that mended code counts again without anybody having
    to raise a version.
    """
    files = sorted((Path(__file__).parent / "metrics").glob("*.py"))
    for each in kind.__mro__[:-1]:  # all but `object`
        with suppress(OSError, TypeError):  # a class made up at run time
            files.append(Path(inspect.getfile(each)))
    return digest_of([sha256_of(path) for path in files])


def missing_extra(package: str | None) -> MissingExtraError | None:
    """What to say when this module or distribution is missing; None if no extra brings it."""
    name = (package or "").replace("-", "_")
    for extra, members in _EXTRAS.items():
        if name in members:
            return MissingExtraError(
                f"{package} is not installed", remedy=f'pip install "quantbench[{extra}]"'
            )
    return None
