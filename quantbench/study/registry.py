"""Backends and tasks by name, through entry points."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from quantbench.core.plugins import load, loaded, resolve
from quantbench.errors import QuantbenchError, UsageError, meant

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.metadata import EntryPoint

    from quantbench.protocols import Backend, Import, Quantizer, Runner
    from quantbench.study.case import Case
    from quantbench.study.scheme import Scheme


def backends() -> Mapping[str, Backend]:
    """All that are installed, quantbench's own first, then in the order of their names."""
    return _loaded()[0]


def broken_backends() -> Mapping[str, QuantbenchError]:
    """Those that could not be loaded, and why: nothing but what they bring fails with them."""
    return _loaded()[1]


@cache
def _loaded() -> tuple[dict[str, Backend], dict[str, QuantbenchError]]:
    found: dict[str, Backend] = {}
    broken: dict[str, QuantbenchError] = {}
    points = entry_points(group="quantbench.backends")
    for point in sorted(points, key=lambda p: (not p.value.startswith("quantbench."), p.name)):
        try:
            backend = _backend(point)
        except QuantbenchError as error:
            broken[point.name] = error
        else:
            found.setdefault(point.name, backend)
    return found, broken


def _backend(point: EntryPoint) -> Backend:
    from quantbench.protocols import Backend

    backend = loaded(point)
    if not isinstance(backend, Backend) or backend.name != point.name:
        raise UsageError(
            "an entry point of quantbench.backends is no backend",
            where=f"{point.name} = {point.value}",
            expected=f"a quantbench.protocols.Backend of the name {point.name!r}",
            got=repr(backend)[:200],
        )
    return backend


def find_backend(name: str) -> Backend:
    """The backend of this name.

    Raises:
        UsageError: none is installed; the message lists what is.
    """
    known = backends()
    if name not in known:
        if name in broken_backends():
            raise broken_backends()[name]
        raise UsageError(
            f"unknown backend {name!r}",
            expected=", ".join(sorted(known)) or "(none registered; is quantbench installed?)",
            remedy=meant(name, known),
        )
    return known[name]


def find_quantizer(scheme: Scheme) -> Quantizer:
    """What builds the scheme: one of its backend's quantizers, or `module:class`.

    Raises:
        UsageError: there is none of this name.
        MissingExtraError: its module needs a package that is not installed.
    """
    known = find_backend(scheme.backend).quantizers
    code = known.get(scheme.quantizer, scheme.quantizer)
    if ":" not in code:
        raise _unknown(f"quantizer of {scheme.backend}", scheme.quantizer, known)
    made: Quantizer = resolve(code)()
    return made


def runner_for(case: Case) -> type[Runner]:
    """The case's runner, which can run on the case's device.

    A runner that says nothing about devices runs on the processor alone.

    Raises:
        UsageError: no such runner, or it cannot run there.
        MissingExtraError: it needs a package that is not installed.
    """
    runner: type[Runner] = resolve(find_backend(case.scheme.backend).runner)
    devices: tuple[str, ...] | str = getattr(runner, "devices", "cpu")
    devices = (devices,) if isinstance(devices, str) else devices
    if case.device not in devices:
        raise UsageError(
            f"{case} cannot run on {case.device}: its backend {case.scheme.backend} does not",
            where=f"{runner.__module__}.{runner.__qualname__}.devices",
            expected=", ".join(devices),
            got=case.device,
            remedy='cases(..., device="cpu"); a runner of your own that can names its devices: '
            f'devices = ("cpu", "{case.device}")',
        )
    return runner


def find_importer(name: str) -> Import:
    """An importer of any backend by its name, or `module:class`.

    Raises:
        UsageError: there is none of this name.
    """
    from quantbench.protocols import Import

    known: dict[str, Import] = {}
    for backend in backends().values():  # of two of one name, quantbench's own
        known = {**backend.importers, **known}
    if name in known:
        return known[name]
    if ":" in name:
        return Import("", getattr(resolve(name), "writes", ""), name)
    raise _unknown("importer", name, known)


@cache  # looking through the entry points of hundreds of distributions takes 20 ms
def find_task(name: str) -> Any:
    """The class of the task of this name (entry point group `quantbench.tasks`).

    Raises:
        UsageError: there is none.
        MissingExtraError: its module needs a package that is not installed.
    """
    return load("tasks", name)


def _unknown(what: str, name: str, known: Mapping[str, object]) -> UsageError:
    return UsageError(
        f"unknown {what} {name!r}",
        expected=f"{', '.join(sorted(known)) or 'none is registered'}, or module:class",
        remedy=meant(name, known),
    )
