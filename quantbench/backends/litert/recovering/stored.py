"""Trained weights in the artifact's own file, and the proof that they are what it computes with."""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.backends.litert.graph import Graph
from quantbench.backends.litert.interpreter import LiteRTModel
from quantbench.backends.litert.recovering.executor import Executor
from quantbench.backends.litert.trace import Tracer
from quantbench.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

STEPS = 1  # that an op of the file may be from the same op in training, given the same inputs
_FLOAT = 0.01  # of a step: real values are float32
_RELATIVE = 1e-3  # of ops in float: the most, as a share of the largest answer


def write(executor: Executor, graph: Graph, shares: Sequence[NDArray[np.float32]]) -> bytes:
    """The file's content with each trained constant rounded into its own place.

    Args:
        executor: that says what is trained.
        graph: that it was made from; is not changed.
        shares: of each trained constant.
    """
    changed = graph.copy()
    for each, values in zip(executor.trained, shares, strict=True):
        changed.set_constant(each.tensor, each.stored(values))
    return changed.content()


def check_constants(
    path: Path, executor: Executor, shares: Sequence[NDArray[np.float32]]
) -> dict[str, Any]:
    """The file holds the trained integers; returns how many of them moved, as facts.

    Raises:
        BuildError: one is another than the trained one, rounded.
    """
    graph = Graph.read(path)
    moved = count = 0
    for each, values in zip(executor.trained, shares, strict=True):
        held, meant = graph.constant(each.tensor), each.stored(values)
        if not np.array_equal(held, meant):
            differ = int((held != meant).sum())
            raise BuildError(
                "the stored weights are not the trained ones",
                where=f"{path.name}, {each.name}",
                expected="the trained values, rounded",
                got=f"{differ:,} of {held.size:,} differ",
                remedy="report it: what is judged would be another model than what was trained",
            )
        if each.levels:
            moved += int((meant != each.stored(each.start)).sum())
            count += meant.size
    return {"weights_moved": moved / count} if count else {}


def check_ops(path: Path, samples: Sequence[NDArray[np.float32]]) -> dict[str, Any]:
    """Each op of the stored file answers as training computed it, given the same inputs.

    One by one, because a step of difference in one op is a step in what all later ones read: whole
    answers of deep models may be several steps apart though each op is right.

    Returns:
        `most_steps_apart` of ops that answer in integers, as a fact.

    Raises:
        BuildError: one answers otherwise.
    """
    graph = Graph.read(path)
    executor, tracer = Executor(graph, path.name), Tracer(path, graph)
    most = 0.0
    for sample in samples:
        values = dict(tracer(sample))
        for op in graph.ops:
            for tensor, said in executor.alone(op, values).items():
                if tensor in values:
                    apart = _apart(graph, tensor, said.numpy(), values[tensor], path.name)
                    most = max(most, apart)
    return {"most_steps_apart": most}


def _apart(
    graph: Graph, tensor: int, said: NDArray[Any], meant: NDArray[Any], where: str
) -> float:
    """Steps between what training computes and what the file does; 0 of floats."""
    scale, _ = graph.quantization(tensor)
    apart = np.abs(said.astype(np.float64) - meant)
    step = float(scale[0]) if scale.size else _RELATIVE * max(1e-30, float(np.abs(meant).max()))
    most = float(apart.max() / step)
    if not most <= STEPS + _FLOAT:  # NaN is a disagreement too
        raise BuildError(
            "the stored model computes something else than what was trained",
            where=f"{where}, {graph.name(tensor)}",
            expected=f"values within {STEPS} step ({step:.3g})",
            got=f"{most:.3g} steps",
            remedy="report it with the model: this runtime's kernel rounds otherwise",
        )
    return most if scale.size else 0.0


def answers_of(
    content: bytes, samples: Sequence[NDArray[np.float32]]
) -> dict[str, NDArray[np.float32]]:
    """What LiteRT answers with a file's content, [samples, ...] by output name."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(content)
        with closing(LiteRTModel(path, threads=2)) as model:
            found = [model(sample) for sample in samples]
    return {name: np.concatenate([each[name] for each in found]) for name in found[0]}
