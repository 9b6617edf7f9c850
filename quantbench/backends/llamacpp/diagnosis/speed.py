"""Where the time of a GGUF model goes: products with weights, and what lies between them.

llama.cpp calls back after each tensor that it was asked for, and computes all up to it first. Asked
for every product and for the tensor before it, the time between two calls is that of one product,
or of the norms, rotations and attention between two.
"""

from __future__ import annotations

import re
import time
from collections import defaultdict
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.backends.llamacpp.files import MODEL
from quantbench.backends.llamacpp.library import llama
from quantbench.backends.llamacpp.model import Model
from quantbench.backends.llamacpp.tensors import F32, Tensor
from quantbench.errors import PredictionError
from quantbench.formats.gguf_header import read_header
from quantbench.measure.rounds import Whole
from quantbench.protocols import OpTime, Profile, Work

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from quantbench.backends.llamacpp.model import Context
    from quantbench.core.progress import Step
    from quantbench.core.settings import Machine
    from quantbench.data.prompts import Prompt

_WHOLE_S, _ROUNDS, _WARM_UP = 1.0, 15, 2
_WEIGHT = re.compile(r"(?:blk\.\d+\.)?(?P<what>\w+)\.weight")
_BETWEEN = "attention, norms and the rest"
_METHOD = (
    "llama.cpp stops after each product with weights and before it; the stops make the sum of the "
    "parts larger than the whole"
)


def profile(folder: Path, samples: Sequence[Prompt], machine: Machine, step: Step) -> list[Profile]:
    """Time the model of an artifact's folder: the first prompt, and one token after it.

    Args:
        folder: that holds the GGUF file.
        samples: prompts; the first is run.
        machine: how many threads compute, on which device.
        step: is told of the two parts.

    Raises:
        PredictionError: llama.cpp cannot run the model, or its products could not be watched.
    """
    tokens = list(samples[0].tokens)
    inside, head = _multiplied(folder)
    found = []
    advance = step("products and what is between them", 2)
    with Model(folder / MODEL, machine.device) as model:
        for what, fed, after in (
            (f"a prompt of {len(tokens)} tokens", tokens, []),
            (f"one token after a prompt of {len(tokens)}", tokens[-1:], tokens),
        ):
            operations = 2 * (inside * len(fed) + head)  # logits of the last token alone
            # The machine's limits are measured of its processor.
            known = machine.device == "cpu"
            work = Work(read_bytes=model.weights_bytes, operations=operations) if known else None
            found.append(_profiled(model, machine.threads, (fed, after), what, work))
            advance(1)
    return found


def _multiplied(folder: Path) -> tuple[int, int]:
    """Weights that every token is multiplied with, and those of the head."""
    elements = {each.name: each.elements for each in read_header(folder / MODEL).tensors}
    embedding = elements.get("token_embd.weight", 0)
    head = elements.get("output.weight", embedding)  # tied, where there is none of its own
    blocks = (n for name, n in elements.items() if name.startswith("blk."))
    return sum(blocks), head


def _profiled(
    model: Model, threads: int, run: tuple[list[int], list[int]], what: str, work: Work | None
) -> Profile:
    """Of one kind of inference: tokens that are fed, after those that are in memory."""
    fed, after = run
    room = len(fed) + len(after) + 1

    def opened(watch: Any = None) -> Context:
        return model.context(room, threads=threads, watch=watch)

    def once(context: Context) -> None:
        context.crop(len(after))
        context.continue_with(fed, len(after))

    def ready(context: Context) -> Context:
        if after:
            context.continue_with(after)
        return context

    watch = _Watch()
    with closing(opened()) as context, closing(opened(watch.callback)) as watched:
        ready(context)
        whole = Whole(lambda: once(context), _WHOLE_S)
        ready(watched)
        watch.rounds(lambda: once(watched), _WARM_UP + _ROUNDS)
        whole_ns = whole.again_ns()
    return Profile(
        what=what,
        whole_ns=whole_ns,
        ops=tuple(watch.ops(_ROUNDS)),
        method=_METHOD,
        threads=threads,
        work=work,
    )


class _Watch:
    """Stops a computation at its products, and keeps the time at each stop."""

    def __init__(self) -> None:
        self.callback = llama().ggml_backend_sched_eval_callback(self._called)
        self._order: list[str] = []  # of all tensors: "" for one that is no product
        self._place = -1
        self._learning, self._watching = False, False
        self._last = 0
        self._taken: dict[int, list[int]] = defaultdict(list)
        self._failure: Exception | None = None

    def rounds(self, run: Callable[[], None], n: int) -> None:
        """Run once to learn the order of tensors, then `n` times."""
        self._learning = self._watching = True
        run()
        self._learning = False
        for _ in range(n):
            self._place, self._last = -1, time.perf_counter_ns()
            run()
        if self._failure is not None:
            raise self._failure
        if not any(self._order) or not self._taken:
            raise PredictionError(
                "llama.cpp's products could not be watched",
                remedy="report it with the version of llama-cpp-python",
            )

    def ops(self, rounds: int) -> list[OpTime]:
        """Products and what is between them, in order; medians over the last rounds."""
        return [
            OpTime(
                place=i,
                kind=_kind(self._order[place]) or _BETWEEN,
                name=self._order[place] or f"{_BETWEEN} {i}",
                ns=float(np.median(taken[-rounds:])),
                kernel="llama.cpp",
            )
            for i, (place, taken) in enumerate(sorted(self._taken.items()))
        ]

    def _called(self, pointer: int, ask: bool, _: Any) -> bool:  # noqa: FBT001 - C's signature
        try:
            return self._asked(pointer) if ask else self._computed()
        except Exception as error:  # noqa: BLE001 - C would swallow it
            self._failure = error
            return False

    def _asked(self, pointer: int) -> bool:
        if not self._watching:
            return False
        if self._learning:
            self._order.append(_product(Tensor.from_address(pointer)))
            return False
        self._place += 1
        ahead = self._order[self._place + 1 : self._place + 2]
        return bool(self._order[self._place] or not ahead or ahead[0])

    def _computed(self) -> bool:
        now = time.perf_counter_ns()
        self._taken[self._place].append(now - self._last)
        self._last = now
        return True


def _product(tensor: Tensor) -> str:
    """The name of the weights that a tensor is a product with; "" of any other."""
    if not (tensor.src[0] and tensor.src[1]) or tensor.src[1].contents.type != F32:
        return ""
    name: str = tensor.src[0].contents.name.decode(errors="replace")
    return name if _WEIGHT.fullmatch(name) else ""


def _kind(name: str) -> str:
    match = _WEIGHT.fullmatch(name)
    if not match:
        return ""
    # Tied to the embedding, the head goes by its name.
    return "output" if match["what"] == "token_embd" else match["what"]
