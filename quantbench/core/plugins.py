"""Names become implementations through entry points, when they are used and not before."""

from __future__ import annotations

import inspect
from contextlib import suppress
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantbench.core.digests import digest_of, sha256_of
from quantbench.core.requirements import canonical, extras, requirements
from quantbench.errors import MissingExtraError, QuantbenchError, UsageError, meant

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

# Modules that come with a distribution of another name.
_FROM = {
    "PIL": "pillow",
    "llama_cpp": "llama-cpp-python",
    "markupsafe": "jinja2",
    "pynvml": "nvidia-ml-py",
    "sklearn": "scikit-learn",
}
# Extras that nobody is advised to add for a module.
_ALONE = ("autogptq", "docs", "lint", "test", "all")


def load(group: str, name: str) -> Any:
    """The object registered as `name` under entry point group `quantbench.<group>`.

    Raises:
        UsageError: nothing is registered under the name, or it cannot be imported.
        MissingExtraError: its module needs a package that is not installed.
    """
    known = {point.name: point for point in entry_points(group=f"quantbench.{group}")}
    if name not in known:
        raise UsageError(
            f"unknown name {name!r} in quantbench.{group}",
            expected=", ".join(sorted(known)) or "(none registered; is quantbench installed?)",
            remedy=meant(name, known),
        )
    return loaded(known[name])


def loaded(point: EntryPoint) -> Any:
    """The object of an entry point.

    Raises:
        UsageError: importing it fails; the message names its distribution.
        MissingExtraError: its module needs a package that is not installed.
    """
    try:
        return point.load()
    except QuantbenchError:
        raise
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and (lack := missing_extra(error.name)):
            raise lack from error
        owner = point.dist.name if point.dist else "an unknown distribution"
        raise UsageError(
            f"an entry point of {point.group} cannot be imported",
            where=f"{point.name} = {point.value}, of {owner}",
            got=f"{type(error).__name__}: {error}",
            remedy=f"mend {owner}, or uninstall it",
        ) from error


def resolve(code: str) -> Any:
    """What `module:attribute` names.

    Raises:
        UsageError: it names nothing.
        MissingExtraError: its module needs a package that is not installed.
    """
    module, _, name = code.partition(":")
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        if lack := missing_extra(error.name):
            raise lack from error
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise UsageError(f"no module {error.name!r}", where=code) from error
    except (AttributeError, ValueError) as error:
        raise UsageError(
            "not the name of code", expected="module:attribute", got=f"{code!r}: {error}"
        ) from error


# What metrics of several tasks count by.
_SHARED = tuple(
    Path(__file__).parents[1] / "stats" / f"{name}.py" for name in ("divergence", "ratio")
)


@cache
def code_digest(kind: type) -> str:
    """Digest of the code that counts: the files that define a task, and the metrics beside them.

    Metrics beside a file are `metrics.py` or `metrics/*.py` of its folder. The digest is part of
    the key of whatever is counted: mended code counts again, and nobody has to raise a version.
    """
    files: list[Path] = []
    for each in kind.__mro__[:-1]:  # all but `object`
        with suppress(OSError, TypeError):  # a class made up at run time
            file = Path(inspect.getfile(each))
            beside = [file.with_name("metrics.py"), *file.parent.glob("metrics/*.py")]
            files += [file, *sorted(path for path in beside if path.is_file())]
    files += _SHARED
    return digest_of([sha256_of(path) for path in dict.fromkeys(files)])


def missing_extra(package: str | None) -> MissingExtraError | None:
    """What to say when this module or distribution is missing; None if no extra brings it."""
    wanted = canonical(_FROM.get(package or "", package or ""))
    found = [extra for extra in extras() if extra not in _ALONE and wanted in _names(extra)]
    if not found:
        return None
    usual = _names("all")  # what is outside of it is compiled, or asks for more
    advised = [extra for extra in found if _names(extra) <= usual] or found
    return MissingExtraError(
        f"{package} is not installed",
        remedy=" or ".join(f'pip install "quantbench[{extra}]"' for extra in advised),
    )


def _names(extra: str) -> set[str]:
    """The distributions that an extra asks for."""
    return {canonical(requirement.name) for requirement in requirements(extra)}
