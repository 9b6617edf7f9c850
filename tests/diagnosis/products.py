"""A backend of matrix products in numpy: what the shared looks and the shared search ask of one.

A model's content is JSON: the range of each tensor that is rounded to 8 bits. An op in float still
reads and writes rounded tensors where its neighbours are in integers.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.diagnosis.mending.judge import Loss
from quantbench.diagnosis.ranges import RULES, observe, rounded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from quantbench.diagnosis.mending.candidates import Found
    from quantbench.diagnosis.opened import Model
    from quantbench.diagnosis.ranges import Range
    from quantbench.diagnosis.wiring import WiredOp

    Ranges = Mapping[str, Range]

WIDTH = 8
CARRIES = frozenset({"Tanh"})


@dataclass(frozen=True)
class Op:
    index: int
    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class Graph:
    """Ops as `(kind, name, inputs, output)`; what nobody writes is a constant, the input apart."""

    inputs = ("x",)

    def __init__(self, *ops: tuple[str, str, str, str], outputs: str) -> None:
        self.ops = tuple(
            Op(i, kind, name, tuple(inputs.split()), (output,))
            for i, (kind, name, inputs, output) in enumerate(ops)
        )
        self.outputs = tuple(outputs.split())

    def writer(self, tensor: str) -> Op | None:
        return next((op for op in self.ops if tensor in op.outputs), None)

    def readers(self, tensor: str) -> list[Op]:
        return [op for op in self.ops if tensor in op.inputs]

    def is_constant(self, tensor: str) -> bool:
        return self.writer(tensor) is None and tensor not in self.inputs

    @staticmethod
    def name(tensor: str) -> str:
        return tensor


CHAIN = Graph(
    ("Product", "first", "x w1", "a"),
    ("Product", "second", "a w2", "b"),
    ("Product", "third", "b w3", "c"),
    ("Product", "fourth", "c w4", "d"),
    ("Tanh", "squash", "d", "y"),
    outputs="y",
)


def pictures(n: int) -> list[NDArray[np.float32]]:
    rng = np.random.default_rng(1)
    return list(rng.standard_normal((n, WIDTH)).astype(np.float32))


class Products:
    """`CHAIN`: between `second` and `third` one channel is a thousand times as large as others.

    No range holds it and them: rounding that tensor costs most of the signal, rounding another
    about a percent.
    """

    wiring, carries, float_bytes, start = CHAIN, CARRIES, 4 * 4 * WIDTH**2, "99.99 %"
    tensors: Sequence[str] = ("a", "b", "c", "d")

    def __init__(
        self,
        samples: Sequence[NDArray[np.float32]] | None = None,
        step: Callable[[str, int], Callable[[int], None]] | None = None,
    ) -> None:
        rng = np.random.default_rng(0)
        # Orthogonal: no direction is lost.
        self.weights = [np.linalg.qr(rng.standard_normal((WIDTH, WIDTH)))[0] for _ in range(4)]
        sizes = np.array([1000.0] + [1.0] * (WIDTH - 1))
        self.weights[1] = self.weights[1] * sizes
        self.weights[2] = self.weights[2] / sizes[:, None]
        self._samples = pictures(64) if samples is None else samples
        self._advance = step("observing", 2 * len(self._samples)) if step else None

    def traced(
        self, values: NDArray[Any], ranges: Ranges | None = None
    ) -> dict[str, NDArray[np.float32]]:
        """The value of each tensor; those that have a range are rounded to it."""
        found, now = {}, values.astype(np.float64)
        for tensor, weights in zip("abcd", self.weights, strict=True):
            now = now @ weights
            if ranges and tensor in ranges:
                now = rounded(now, ranges[tensor])
            found[tensor] = now.astype(np.float32)
        return found | {"y": np.tanh(now).astype(np.float32)}

    @contextmanager
    def open_model(self, content: bytes) -> Iterator[Model]:
        ranges = {tensor: (low, high) for tensor, (low, high) in json.loads(content).items()}
        yield lambda values: {"y": self.traced(values, ranges)["y"]}

    @cached_property
    def settings(self) -> dict[str, Ranges]:
        seen = observe(lambda values: self.traced(values).items(), self._samples, self._advance)
        return {
            rule: {tensor: chosen(seen[tensor]) for tensor in "abcd"}
            for rule, chosen in RULES.items()
        }

    def build(self, ranges: Ranges, kept: Mapping[str, str]) -> bytes:
        around = {
            tensor: {op.name for op in CHAIN.ops if tensor in op.inputs + op.outputs}
            for tensor in "abcd"
        }
        left = {t: ends for t, ends in ranges.items() if not around[t] <= set(kept)}
        return json.dumps(left).encode()

    def rounded_alone(self, ranges: Ranges, tensor: str) -> bytes:
        return json.dumps({tensor: ranges[tensor]}).encode()

    def alternatives(self, ranges: Ranges, tensor: str) -> list[Ranges]:
        others = {each[tensor] for each in self.settings.values()} - {ranges[tensor]}
        return [{**ranges, tensor: other} for other in sorted(others)]

    def extra_bytes(self, op: WiredOp[str]) -> int:
        return 3 * WIDTH**2 if op.kind == "Product" else 0

    def recipe(self, found: Found[Ranges]) -> Found[Ranges]:
        return found


FLOAT = b"{}"


class ErrorJudge:
    """Judges by the root mean square error of the answers, agrees by the signal that is left."""

    def __init__(self, model: Products) -> None:
        self._model, self._samples = model, pictures(96)[64:]
        self._meant = self._answers(FLOAT)

    def _answers(self, content: bytes) -> NDArray[Any]:
        with self._model.open_model(content) as asked:
            return np.stack([asked(sample)["y"] for sample in self._samples])

    def error(self, content: bytes) -> float:
        off = self._answers(content) - self._meant
        return float(np.sqrt((off**2).mean() / (self._meant**2).mean()))

    def agreement(self, content: bytes, samples: int) -> float:
        del samples
        return 1 - self.error(content) ** 2

    def loss(self, content: bytes) -> Loss:
        error = self.error(content)
        return Loss(-error, -error, 1 - error**2)

    def moved(self, content: bytes, samples: int) -> tuple[float, float]:
        del samples
        return self.error(content) ** 2, 0.0


def silent(what: str, parts: int) -> Callable[[int], None]:
    """Progress that nobody watches."""
    del what, parts
    return lambda _: None
