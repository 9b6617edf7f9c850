"""What every step of a case's way is given, and how it tells what went wrong."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, TypedDict

from quantbench.core.plugins import missing_extra
from quantbench.errors import BuildError, QuantbenchError
from quantbench.measure.devices import MORE_MEMORY, is_out_of_memory
from quantbench.measure.energy.choosing import open_meter
from quantbench.measure.energy.spent import Spent, spent
from quantbench.measure.memory import PEAK, peak_memory
from quantbench.run.executors.local import Local
from quantbench.store.artifacts import REFUSED, Artifact, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from quantbench.core.progress import Progress
    from quantbench.core.settings import Settings
    from quantbench.protocols import Executor, Meter


class Parts(TypedDict, total=False):
    """What a `Context` can do without (`Context`)."""

    meter: Callable[[str], Meter]
    executor: Executor
    placed: Mapping[str, str]


@dataclass(frozen=True)
class Context:
    """Where results are kept, what was asked for, and who is told what is being done.

    Attributes:
        meter: opens what counts the energy of a device.
        executor: does steps, here or elsewhere.
        placed: on a node of a cluster, keys of the sources that its driver has put into the store,
            by their texts: it need not see the driver's files. None elsewhere.
    """

    store: Store
    settings: Settings
    progress: Progress
    meter: Callable[[str], Meter] = open_meter
    executor: Executor = field(default_factory=Local)
    placed: Mapping[str, str] | None = None

    def get(
        self,
        kind: str,
        ingredients: Mapping[str, Any],
        what: str,
        build: Callable[[Path], Mapping[str, Any] | None],
    ) -> Artifact:
        """The store's entry of these ingredients, built while progress is told `what`.

        Raises:
            BuildError: what a tool raised, in quantbench's words.
            StoreError: the store cannot be written.
        """

        def explained_build(folder: Path) -> Mapping[str, Any]:
            with self.progress.working(what), explained(what, BuildError), peak_memory() as memory:
                details = build(folder) or {}
            return {**details, PEAK: memory.peak_rss_bytes}

        return self.store.get(kind, ingredients, explained_build)

    def spent(self, device: str) -> AbstractContextManager[Spent]:
        """What a block of work draws; nothing beside other workers, who would be counted too."""
        if not self.settings.alone:
            return nullcontext(Spent())
        return spent(partial(self.meter, device))


@contextmanager
def explained(what: str, kind: type[QuantbenchError]) -> Iterator[None]:
    """Put what a dependency raises into quantbench's words.

    What the operating system refuses while something is written is the store's to explain.
    """
    try:
        yield
    except QuantbenchError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in REFUSED:
            raise
        if isinstance(error, ModuleNotFoundError) and (lack := missing_extra(error.name)):
            raise lack from error
        raise kind(
            f"{what} failed",
            got=f"{type(error).__name__}: {error}",
            remedy=MORE_MEMORY
            if is_out_of_memory(error)
            else "the traceback above this error is the tool's own",
        ) from error


def versions(tools: Sequence[str]) -> dict[str, str]:
    """Installed versions of distributions.

    Raises:
        MissingExtraError: one of them is not installed, and an extra brings it.
    """
    try:
        return {tool: _version(tool) for tool in tools}
    except PackageNotFoundError as error:
        if lack := missing_extra(error.name):
            raise lack from error
        raise


@cache  # part of every key; what is installed stays while a process runs
def _version(tool: str) -> str:
    return version(tool)
