"""An executor as it was asked for, with what its nodes must be told of a run."""

from __future__ import annotations

import os
import platform
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quantbench.core.progress import Silent
from quantbench.errors import UsageError
from quantbench.run.executors.elsewhere import Elsewhere
from quantbench.run.executors.identity import identity
from quantbench.run.executors.node import Setup
from quantbench.run.executors.pool import Need
from quantbench.run.executors.ray import RayPool, connect
from quantbench.run.executors.resolving import Resolver
from quantbench.run.steps.recover import unrecovered
from quantbench.store.artifacts import default_root

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import ModuleType

    from quantbench.core.progress import Progress
    from quantbench.core.settings import Settings
    from quantbench.study import Case


def begin(
    settings: Settings,
    cases: Sequence[Case],
    progress: Progress | None,
    *,
    modules: Sequence[ModuleType] = (),
    resources: Mapping[Case, Mapping[str, float]] | None = None,
) -> Elsewhere | None:
    """Join the cluster that was asked for; None where "auto" finds none.

    Args:
        settings: of the run.
        cases: whose steps will be done.
        progress: is told of each case.
        modules: whose classes travel by value, for nodes cannot import them.
        resources: what the steps of a case take of a node besides cores, by name.

    Raises:
        UsageError: no cluster answers, or the cases cannot be sent.
        MissingExtraError: Ray is not installed.
    """
    try:
        parts = begun(settings, cases, modules, RayPool, resources)
    except UsageError:
        if settings.executor == "auto":
            return None
        raise
    executor = Elsewhere(
        parts.pool,
        parts.resolver,
        parts.needs,
        progress or Silent(),
        host=platform.node(),
        mixed=settings.mixed,
    )
    if parts.leaves:
        executor.closing.append(parts.pool.leave)
    return executor


@dataclass(frozen=True)
class Parts:
    """What an executor is made of.

    Attributes:
        pool: of the nodes.
        resolver: of this process.
        needs: what the steps of a case take.
        leaves: this process joined the cluster, and must leave it.
    """

    pool: RayPool
    resolver: Resolver
    needs: Callable[[Case], Need]
    leaves: bool


def begun(
    settings: Settings,
    cases: Sequence[Case],
    modules: Sequence[ModuleType],
    pool_of: type[RayPool] = RayPool,
    resources: Mapping[Case, Mapping[str, float]] | None = None,
) -> Parts:
    """The parts of an executor; the arguments are those of `begin`."""
    root = settings.cache or default_root()
    leaves = connect(settings.executor, str(root))
    every = tuple(_with_others(cases))
    setup = Setup(settings, every, os.getcwd(), str(root), platform.node())  # noqa: PTH109 - a text that travels
    with _by_value(modules):
        pool = pool_of(setup, identity(every), uuid.uuid4().hex)
    cores = min(settings.threads, pool.most_cores() or settings.threads)

    def needs(case: Case) -> Need:
        return Need(cores, 1 if case.device == "cuda" else 0, 0, (resources or {}).get(case, {}))

    return Parts(pool, Resolver(settings), needs, leaves)


def _with_others(cases: Sequence[Case]) -> Iterator[Case]:
    """The cases, their references, and those whose artifacts they improve on, each once."""
    seen: dict[Case, None] = {}
    for case in cases:
        both = [case, *([case.reference] if case.model.reference is not None else [])]
        seen |= dict.fromkeys(other for each in both for other in (each, unrecovered(each)))
    yield from seen


@contextmanager
def _by_value(modules: Sequence[ModuleType]) -> Iterator[None]:
    """Inside the block, what these modules define travels whole: no node can import it.

    Raises:
        UsageError: something of a case cannot travel.
    """
    from ray import cloudpickle

    registered = []
    try:
        for module in modules:
            cloudpickle.register_pickle_by_value(module)
            registered.append(module)
        yield
    except (TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise UsageError(
            "a case cannot be sent to a node",
            expected="models and data sets of plain fields: texts, numbers, tuples, functions",
            got=f"{type(error).__name__}: {error}"[:300],
            remedy="open files, locks and connections belong into methods, not into fields",
        ) from error
    finally:
        for module in registered:
            cloudpickle.unregister_pickle_by_value(module)
