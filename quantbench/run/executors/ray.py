"""Steps as tasks of Ray: https://docs.ray.io/en/latest/ray-core/tasks.html.

A task is given to a node by name, so what runs where is the scheduler's word alone; Ray moves the
data and tells of deaths. A node is asked first what it is: one whose code or versions are others
than the driver's is refused.
"""

from __future__ import annotations

import os
import socket
import sys
import time
import warnings
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from quantbench.core.plugins import missing_extra
from quantbench.errors import PredictionError, UsageError
from quantbench.run.executors.bundles import kind_of, packed
from quantbench.run.executors.node import Input, Task
from quantbench.run.executors.pool import Finished, Node

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from quantbench.run.executors.node import Answer, Hello, Setup
    from quantbench.run.executors.pool import Need, Order
    from quantbench.store.artifacts import Artifact

_KNOCK_S = 10.0
_LOOK_S = 1.0  # how often the cluster is asked which nodes it has
_PATIENCE_S = 180.0  # until the first node must have answered
_KEPT = 256  # entries that stay in Ray's object store for the next node
_STORE_BYTES = 10**9  # of Ray's objects, where this process starts Ray itself


def connect(address: str, root: str) -> bool:
    """Join a cluster; where `ray` finds none, start one on this machine for the run.

    Args:
        address: "ray", "auto" (only a cluster that is there), or of a Ray client server.
        root: the store that nodes of a cluster started here share with this process.

    Returns:
        Whether this process must leave it again.

    Raises:
        MissingExtraError: Ray is not installed.
        UsageError: no cluster answers there.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ModuleNotFoundError as error:
        raise missing_extra("ray") or error from error
    if ray.is_initialized():
        return False
    quiet: Any = {"log_to_driver": False, "configure_logging": False}
    named = address if address.startswith("ray://") else os.environ.get("RAY_ADDRESS", "")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Ray's coming versions
        try:
            _knock(named.removeprefix("ray://"))
            ray.init(address if address.startswith("ray://") else "auto", **quiet)
        except Exception as error:  # Ray raises many kinds, its own and grpc's
            if address != "ray" or named:
                raise UsageError(
                    "no Ray cluster answers",
                    where=named or address,
                    got=f"{type(error).__name__}: {error}"[:300],
                    remedy="start one (ray start --head), or name its client server: "
                    "--quant-executor ray://HOST:10001; driver and nodes need one version of "
                    "Ray and of Python",
                ) from error
            os.environ.setdefault("QUANTBENCH_CACHE", root)
            ray.init("local", include_dashboard=False, object_store_memory=_STORE_BYTES, **quiet)
    return True


def _knock(address: str) -> None:
    """See that somebody listens at HOST:PORT: Ray itself goes on trying for minutes.

    Raises:
        OSError: nobody does.
    """
    host, colon, port = address.rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_S).close()


@dataclass
class _Known:
    """A node that has been asked what it is."""

    facts: Mapping[str, Any]
    asked: Any
    since_s: float
    node: Node | None = None
    shares: bool = False
    refused: str = ""
    holds: set[str] = field(default_factory=set)


@dataclass
class _Running:
    order: Order
    node: str


class RayPool:
    """The nodes of the cluster that this process is connected to."""

    def __init__(self, setup: Setup, wanted: Mapping[str, str], token: str) -> None:
        """Ask no node yet.

        Args:
            setup: of the run.
            wanted: identity that a node must have.
            token: names the run.
        """
        import ray

        self._ray: Any = ray
        # With the places where this process finds modules: its data sets' code may lie there.
        self._wanted, self._token = (dict(wanted), tuple(sys.path)), token
        self._number = {case: number for number, case in enumerate(setup.cases)}
        self._setup = ray.put(setup)
        self._hello, self._do = (ray.remote(max_retries=0)(each) for each in _remote())
        self._known: dict[str, _Known] = {}
        self._running: dict[Any, _Running] = {}
        self._ended: list[Finished] = []
        self._held: OrderedDict[str, Any] = OrderedDict()  # bundles by the key of an entry in them
        self._looked_s, self._began_s = 0.0, time.monotonic()

    def nodes(self) -> Sequence[Node]:
        """Those that live and have shown themselves to be like this machine."""
        if time.monotonic() - self._looked_s > _LOOK_S:
            self._look()
            self._looked_s = time.monotonic()
        found = [each.node for each in self._known.values() if each.node is not None]
        if not found:
            self._despair()
        return found

    def most_cores(self) -> int:
        """Of the nodes that the cluster has now."""
        alive = (each["Resources"] for each in self._ray.nodes() if each["Alive"])
        return int(max((each.get("CPU", 0) for each in alive), default=0))

    def leave(self) -> None:
        """Leave the cluster, and end one that was started for this run."""
        self._ray.shutdown()

    def start(self, order: Order, node: Node, need: Need) -> None:
        """Give a step to a node; inputs that it does not have go along, as references."""
        step, known = order.step, self._known[node.id]
        along: list[Any] = []
        inputs = []
        for entry in order.inputs:
            holder = None
            if not known.shares and entry.key not in known.holds:
                holder = len(along)
                along.append(self._bundle(entry))
            inputs.append(Input(kind_of(entry), entry.key, entry.sha256, holder))
        number = self._number[step.case]
        task = Task(
            step.kind, number, step.start, step.stop, need.cpus, tuple(inputs), order.placed
        )
        options = {"num_gpus": need.gpus, "memory": need.memory_bytes, "resources": need.custom}
        done = self._do.options(
            name=str(step), num_cpus=need.cpus, **options, **self._on(node.id)
        ).remote(self._wanted, self._token, [self._setup], task, along)
        self._running[done] = _Running(order, node.id)

    def finished(self, wait_s: float) -> Sequence[Finished]:
        """How steps ended, and which died with their node."""
        ended, self._ended = self._ended, []
        if self._running:
            wait = {"fetch_local": False}
            done, _ = self._ray.wait(list(self._running), timeout=0 if ended else wait_s, **wait)
            if done:
                number = len(self._running)
                done, _ = self._ray.wait(list(self._running), num_returns=number, timeout=0, **wait)
        else:
            time.sleep(0 if ended else wait_s)
            done = []
        return [*ended, *(self._heard(ref, self._running.pop(ref)) for ref in done)]

    def _heard(self, done: Any, running: _Running) -> Finished:
        """How a task ended, by what Ray gives for it."""
        from ray.exceptions import ObjectLostError, RayError, RayTaskError, TaskUnschedulableError

        step, node = running.order.step, running.node
        try:
            answer: Answer | str = self._ray.get(done)
        except RayError as error:
            gone = error.cause if isinstance(error, RayTaskError) else error
            if isinstance(gone, ObjectLostError | TaskUnschedulableError):
                self._forget(running)  # an input or the answer went with its node
                return Finished(step, node, lost=True)
            if isinstance(error, RayTaskError):
                failed = PredictionError(f"{step} failed", got=str(error.cause or error)[:500])
                failed.add_note(str(error))
                return Finished(step, node, error=failed)
            self._forget(running)
            return Finished(step, node, died=" ".join(str(error).split())[:300])
        known = self._known.get(node)
        if isinstance(answer, str):
            if known is not None:
                known.node, known.refused = None, answer
            return Finished(step, node, lost=True)
        return self._answered(done, running, answer)

    def _answered(self, done: Any, running: _Running, answer: Answer) -> Finished:
        """What a node has said, and what is known of the node by it."""
        step, node = running.order.step, running.node
        holds = self._known[node].holds if node in self._known else set()
        if answer.lacking:
            holds -= set(answer.lacking)
            for key in answer.lacking:
                self._held.pop(key, None)
            return Finished(step, node, lost=True)
        if answer.failure is not None:
            return Finished(step, node, error=answer.failure.as_error())
        holds |= {each.key for each in running.order.inputs}
        holds |= {each.key for each in answer.bundles}
        for bundle in answer.bundles:
            self._hold(bundle.key, done)
        return Finished(step, node, answer=answer.bundles)

    def _bundle(self, entry: Artifact) -> Any:
        """A reference to an answer or object that has the entry."""
        if entry.key not in self._held:
            self._hold(entry.key, self._ray.put((packed(entry),)))
        self._held.move_to_end(entry.key)
        return self._held[entry.key]

    def _hold(self, key: str, held: Any) -> None:
        self._held[key] = held
        if len(self._held) > _KEPT:
            self._held.popitem(last=False)

    def _forget(self, running: _Running) -> None:
        """What came along may be gone: it is put anew out of the driver's store."""
        for entry in running.order.inputs:
            self._held.pop(entry.key, None)

    def _look(self) -> None:
        """Greet nodes that are new, and bury those that are gone, with what they were at."""
        alive = {each["NodeID"]: each for each in self._ray.nodes() if each["Alive"]}
        for gone in set(self._known) - set(alive):
            del self._known[gone]
            for ref, running in list(self._running.items()):
                if running.node == gone:
                    del self._running[ref]
                    self._forget(running)
                    died = Finished(running.order.step, gone, died="the node was lost")
                    self._ended.append(died)
        for node_id, facts in alive.items():
            if node_id not in self._known and facts["Resources"].get("CPU", 0) >= 1:
                gpus = min(1, facts["Resources"].get("GPU", 0))
                asked = self._hello.options(
                    name="quantbench: hello", num_cpus=0, num_gpus=gpus, **self._on(node_id)
                ).remote(self._wanted, self._token, [self._setup], gpus)
                self._known[node_id] = _Known(facts, asked, time.monotonic())
        for node_id, known in self._known.items():
            if known.node is None and not known.refused:
                self._greeted(node_id, known)

    def _greeted(self, node_id: str, known: _Known) -> None:
        ready, _ = self._ray.wait([known.asked], timeout=0)
        if not ready:
            return
        try:
            said: Hello | str = self._ray.get(known.asked)
        except Exception as error:  # noqa: BLE001 - Ray raises many kinds, and the node's own
            said = " ".join(str(error).split())[:500]
        if isinstance(said, str):
            known.refused = said
            return
        has = dict(known.facts["Resources"])
        usual = ("CPU", "GPU", "memory", "object_store_memory")
        known.shares = said.shares
        known.node = Node(
            id=node_id,
            host=said.host,
            cpus=int(has.get("CPU", 0)),
            gpus=has.get("GPU", 0),
            memory_bytes=int(has.get("memory", 0)),
            custom={name: n for name, n in has.items() if name not in usual},
            kinds=said.kinds,
            variants=said.variants,
        )

    def _despair(self) -> None:
        """Say why there is no node, once there will be none."""
        refused = {
            f"{each.facts['NodeManagerHostname']}: {each.refused}"
            for each in self._known.values()
            if each.refused
        }
        waiting = any(each.node is None and not each.refused for each in self._known.values())
        if refused and not waiting:
            raise UsageError(
                "no node of the cluster is like this machine",
                expected="the same code and versions on the driver and on every node",
                got="; ".join(sorted(refused))[:1500],
                remedy="install the same quantbench and constraints on all of them",
            )
        if time.monotonic() - self._began_s > _PATIENCE_S:
            raise UsageError(
                f"no node of the cluster has answered in {_PATIENCE_S:.0f} s",
                got=f"{len(self._known)} nodes with cores",
                remedy="see that nodes have free cores, and can start Python: ray status",
            )

    @staticmethod
    def _on(node_id: str) -> dict[str, Any]:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        return {"scheduling_strategy": NodeAffinitySchedulingStrategy(node_id, soft=False)}


def _remote() -> tuple[Any, Any]:
    """What Ray calls on a node: it travels whole, for quantbench may be another there."""

    def refused(wanted: Mapping[str, str], paths: Sequence[str]) -> str:
        import sys
        from pathlib import Path

        known = set(sys.path)  # after the node's own: that it has another quantbench must show
        sys.path += [path for path in paths if path not in known and Path(path).exists()]
        try:
            from quantbench.run.executors.identity import differences
        except Exception as error:  # noqa: BLE001 - whatever it is, the node is none of ours
            return f"quantbench cannot be imported: {error}"
        return "; ".join(differences(wanted))

    def hello(wanted: Any, token: str, setup: list[Any], gpus: float) -> Any:
        import ray

        if words := refused(*wanted):
            return words
        from quantbench.run.executors import node

        return node.hello(token, lambda: ray.get(setup[0]), gpus=gpus)

    def do(wanted: Any, token: str, setup: list[Any], task: Any, along: list[Any]) -> Any:
        import ray

        if words := refused(*wanted):
            return words
        from quantbench.run.executors import node

        def fetch(position: int) -> Any:
            found = ray.get(along[position])
            return found.bundles if isinstance(found, node.Answer) else found

        return node.do(token, lambda: ray.get(setup[0]), task, fetch)

    return hello, do
