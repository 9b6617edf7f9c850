"""The machines that steps are given to, as the scheduler sees them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from quantbench.errors import QuantbenchError
    from quantbench.protocols import Step
    from quantbench.store.artifacts import Artifact
    from quantbench.study import Case


@dataclass(frozen=True)
class Need:
    """What a step takes of a node while it runs.

    Attributes:
        cpus: cores, as many as its runner has threads.
        gpus: whole ones, or a share.
        memory_bytes: of the node's main memory.
        custom: amounts of resources that a cluster's owner has named.
    """

    cpus: int = 1
    gpus: float = 0
    memory_bytes: int = 0
    custom: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Order:
    """A step that is to be done.

    Attributes:
        step: what is done.
        expected: kind and key of the first entry that it makes.
        inputs: entries that it starts from.
        memory_bytes: that it will take.
        placed: keys of sources among the inputs, by their texts.
        release: lets other processes give the step away, once it has ended here.
    """

    step: Step
    expected: tuple[str, str]
    inputs: Sequence[Artifact] = ()
    memory_bytes: int = 0
    placed: Mapping[str, str] = field(default_factory=dict)
    release: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Node:
    """A machine that takes steps.

    Attributes:
        id: unique, of one life: a node that comes back has another.
        host: name of the machine; several nodes may share one.
        cpus: cores.
        gpus: that it has.
        memory_bytes: main memory.
        custom: amounts of named resources.
        kinds: by device; machines of one kind give the same answers.
        variants: `Runner.variant` by backend and device; what it cannot run is left out.
    """

    id: str
    host: str
    cpus: int
    gpus: float = 0
    memory_bytes: int = 0
    custom: Mapping[str, float] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    variants: Mapping[tuple[str, str], str] = field(default_factory=dict)


@dataclass(frozen=True)
class Finished:
    """How a step ended on a node.

    Attributes:
        step: that was given.
        node: id of the node.
        answer: what it made, for `Resolving.land`; None where it failed.
        error: what it raised.
        died: how the process or the node ended that was at it; "" where none did.
        lost: nothing was wrong with the step, but its inputs or its answer are gone.
    """

    step: Step
    node: str
    answer: Any = None
    error: QuantbenchError | None = None
    died: str = ""
    lost: bool = False


class Pool(Protocol):
    """Machines, and the steps that they are at."""

    def nodes(self) -> Sequence[Node]:
        """Those that take steps now.

        Raises:
            QuantbenchError: there are none, and there will be none.
        """

    def start(self, order: Order, node: Node, need: Need) -> None:
        """Give a step to a node."""

    def finished(self, wait_s: float) -> Sequence[Finished]:
        """The steps that ended since the last call; waits so long for the first."""


class ClaimedError(Exception):
    """Another process has given the same step away: what it makes will be in the same store."""


class Resolving(Protocol):
    """What the process that gives steps knows of them.

    Attributes:
        kinds: of the machines that predict a case; the scheduler adds those that it chooses.
        variants: what of these machines changes their answers (`Executor.variants`).
    """

    kinds: dict[Case, str]
    variants: dict[Case, str]

    def rank(self, case: Case) -> int:
        """How much is to be done before the case predicts, 0 where its artifact is at hand."""

    def before(self, step: Step) -> Sequence[Step]:
        """What must be done before the step; of `sum up`, known once the artifact is there.

        Raises:
            QuantbenchError: the step cannot be done.
        """

    def order(self, step: Step) -> Order | None:
        """The step with all that it starts from; None where what it makes is there.

        Raises:
            QuantbenchError: the step cannot be done.
            ClaimedError: it is better asked for again a little later.
        """

    def land(self, order: Order, answer: Any) -> None:
        """Take in what a node has made.

        Raises:
            QuantbenchError: it is not what was ordered, or cannot be kept.
        """
