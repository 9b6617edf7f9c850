"""Where the time of a language model goes, module by module, and what its kernels do inside."""

from __future__ import annotations

import time
from collections import defaultdict
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.backends.transformers.runner import CausalLMRunner
from quantbench.measure.rounds import Whole
from quantbench.protocols import OpTime, Profile, Work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from quantbench.core.progress import Step
    from quantbench.core.settings import Machine
    from quantbench.data.prompts import Prompt

_WHOLE_S, _ROUNDS, _WARM_UP = 1.0, 5, 1
_METHOD = (
    "clocks at the beginning and the end of every module, less what the modules inside it take; "
    "median of 5 rounds"
)
_FROZEN = ".base"  # the layer beside which an adapter stands
_TOLD = 0.1  # share of a packed layer's time that an op of its kernel must take to be named


def profile(folder: Path, samples: Sequence[Prompt], machine: Machine, step: Step) -> list[Profile]:
    """Time the checkpoint of a folder: scoring the first prompt, and one token after it.

    Args:
        folder: of the checkpoint.
        samples: prompts; the first is run.
        machine: how many threads compute, on which device.
        step: is told of the two parts.

    Raises:
        PredictionError: the checkpoint cannot be loaded.
        MissingDeviceError: there is no such device.
    """
    prompt = samples[0]
    n = len(prompt.tokens)
    advance = step("module by module", 2)
    found = []
    with closing(CausalLMRunner(folder, machine)) as runner:
        decode: Any = runner.decoder(prompt)
        model = runner.model
        read_bytes, (inside, head) = _read_bytes(model), _multiplied(model)
        for what, run, repeats, tokens in (
            (f"a prompt of {n} tokens", lambda: runner.predict(prompt), 1, n),
            (f"one token after a prompt of {n}", decode, decode.tokens, 1),
        ):
            whole = Whole(run, _WHOLE_S, least=3)
            timed = _Timed(model, machine.device)
            with timed.listening():
                for _ in range(_WARM_UP + _ROUNDS):
                    timed.round(run, repeats)
            found.append(
                Profile(
                    what=what,
                    whole_ns=whole.again_ns() / repeats,
                    ops=tuple(timed.ops(_ROUNDS)),
                    method=_METHOD,
                    threads=machine.threads,
                    work=Work(read_bytes=read_bytes, operations=2 * (inside * tokens + head))
                    if machine.device == "cpu"
                    else None,
                    remarks=_inside(model, run),
                )
            )
            advance(1)
    return found


class _Timed:
    """Exclusive time of each module: what its own code takes, the modules inside it apart."""

    def __init__(self, model: Any, device: str) -> None:
        self._model, self._device = model, device
        self._stack: list[list[int]] = []  # begun at, taken by modules inside
        self._now: dict[str, int] = {}
        self._taken: dict[str, list[float]] = defaultdict(list)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """With clocks in every module."""
        handles = []
        for name, module in self._model.named_modules():
            handles.append(module.register_forward_pre_hook(self._begin))
            handles.append(module.register_forward_hook(self._ends(name)))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def round(self, run: Callable[[], object], repeats: int) -> None:
        """One run of so many inferences."""
        self._now = {}
        run()
        for name, taken in self._now.items():
            self._taken[name].append(taken / repeats)

    def ops(self, rounds: int) -> list[OpTime]:
        """One a module, in the order in which they end."""
        kinds = {name: _kind(name, module) for name, module in self._model.named_modules()}
        kernels = {name: type(module).__name__ for name, module in self._model.named_modules()}
        return [
            OpTime(
                place=place,
                kind=kinds[name],
                name=name or "the model",
                ns=float(np.median(taken[-rounds:])),
                kernel=kernels[name],
            )
            for place, (name, taken) in enumerate(self._taken.items())
        ]

    def _clock(self) -> int:
        if self._device == "cuda":
            import torch

            torch.cuda.synchronize()
        return time.perf_counter_ns()

    def _begin(self, *_: object) -> None:
        self._stack.append([self._clock(), 0])

    def _ends(self, name: str) -> Callable[..., None]:
        def end(*_: object) -> None:
            begun, inside = self._stack.pop()
            taken = self._clock() - begun
            self._now[name] = self._now.get(name, 0) + taken - inside
            if self._stack:
                self._stack[-1][1] += taken

        return end


def _kind(name: str, module: Any) -> str:
    """A layer that multiplies by its name in its block, any other by its class."""
    if name.endswith(_FROZEN):  # of a layer with an adapter, whose own time is the adapter's
        return name.removesuffix(_FROZEN).rpartition(".")[2]
    if hasattr(module, "base"):
        return f"{name.rpartition('.')[2]} adapter"
    return name.rpartition(".")[2] if _multiplies(module) else type(module).__name__


def _multiplies(module: Any) -> bool:
    """Whether it is a product with a matrix of weights, packed or not."""
    return hasattr(module, "in_features") and hasattr(module, "out_features")


def _multiplied(model: Any) -> tuple[int, int]:
    """Weights that every token is multiplied with, adapters' too, and those of the head."""
    head, found = model.get_output_embeddings(), 0
    for module in model.modules():
        if hasattr(module, "base") and _multiplies(module):  # its frozen layer comes by itself
            found += module.down.numel() + module.up.numel()
        elif _multiplies(module) and module is not head:
            found += module.in_features * module.out_features
    return found, head.in_features * head.out_features


def _read_bytes(model: Any) -> int:
    """What a token reads of memory: all that is loaded, less an embedding that is no head too."""
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    tied = embedding.weight.data_ptr() == getattr(head, "weight", embedding.weight).data_ptr()
    whole = int(model.get_memory_footprint())
    return whole if tied else whole - embedding.weight.nbytes


def _inside(model: Any, run: Callable[[], object]) -> Mapping[str, str]:
    """What the kernel of each kind of packed layer spends its time on, by torch's profiler.

    One layer of each kind runs alone on what it was fed; ops of torch are named that take a tenth
    of its time or more.
    """
    layers: dict[str, Any] = {}
    for name, module in model.named_modules():
        mine = _multiplies(module) and not hasattr(module, "base")
        if mine and not type(module).__module__.startswith("torch."):
            layers.setdefault(_kind(name, module), module)
    fed: dict[str, tuple[Any, ...]] = {}

    def keep(kind: str) -> Callable[[Any, tuple[Any, ...]], None]:
        return lambda _, inputs: fed.update({kind: inputs})

    handles = [module.register_forward_pre_hook(keep(kind)) for kind, module in layers.items()]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    return {
        kind: f"inside {type(layers[kind]).__name__}: {_shares_of_ops(layers[kind], inputs)}"
        for kind, inputs in fed.items()
    }


def _shares_of_ops(layer: Any, inputs: tuple[Any, ...]) -> str:
    import torch

    with torch.inference_mode():
        layer(*inputs)  # what is chosen or packed at the first call is not the kernel's time
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiled:
            for _ in range(_ROUNDS):
                layer(*inputs)
    taken: dict[str, float] = defaultdict(float)
    for each in profiled.key_averages():
        taken[_called(each.key)] += each.self_cpu_time_total
    whole = sum(taken.values())
    named = sorted(taken, key=lambda name: -taken[name])
    told = [f"{taken[name] / whole:.0%} {name}" for name in named if taken[name] >= _TOLD * whole]
    return ", ".join(told)


def _called(event: str) -> str:
    """An op of torch by its name; what torch.compile made of several is called a hash."""
    if "CompiledFxGraph" in event or "Torch-Compiled" in event:
        return "code that torch.compile fused (all but the products: unpacking)"
    return event.removeprefix("aten::")
