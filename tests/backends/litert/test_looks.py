"""Planted faults are flagged by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from quantbench.backends.litert.diagnosis.looks import diagnose
from quantbench.backends.litert.diagnosis.noise import side_by_side
from quantbench.backends.litert.diagnosis.scan import scan
from quantbench.backends.litert.graph import CARRIES, Graph
from quantbench.backends.litert.interpreter import opened
from quantbench.backends.litert.mending.recipes import build_int8, repair_graph
from quantbench.diagnosis.alone import Outputs, each_alone
from quantbench.diagnosis.flags import flag
from quantbench.diagnosis.wiring import tail
from tests.backends.litert.conftest import op_named, silent, whole_ranges
from tests.backends.litert.test_graph import killed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from quantbench.diagnosis.findings import Diagnosis, Finding


def looked_at(
    float_graph: Graph, built: bytes, samples: Sequence[NDArray[Any]], folder: Path
) -> Diagnosis:
    paths = folder / "float.tflite", folder / "built.tflite"
    paths[0].write_bytes(float_graph.content())
    paths[1].write_bytes(built)
    return diagnose(*paths, samples, silent, alone=False)


def the(diagnosis: Diagnosis, cause: str) -> Finding:
    (found,) = [each for each in diagnosis.findings if each.cause == cause]
    return found


def worst(diagnosis: Diagnosis) -> str:
    return diagnosis.findings[0].cause


@pytest.fixture
def fused(float_path: Path, samples: list[NDArray[Any]]) -> Graph:
    """Without a fault of its own."""
    graph, _ = repair_graph(float_path.read_bytes(), whole_ranges(float_path, samples))
    return graph


@pytest.fixture
def ranges(fused: Graph, samples: list[NDArray[Any]], tmp_path: Path) -> dict[str, Any]:
    path = tmp_path / "fused.tflite"
    path.write_bytes(fused.content())
    return whole_ranges(path, samples)


def test_a_sound_model_has_no_findings(
    fused: Graph, ranges: dict[str, Any], samples: list[NDArray[Any]], tmp_path: Path
) -> None:
    found = looked_at(fused, build_int8(fused, ranges, []), samples, tmp_path)
    assert found.findings == ()
    assert len(found.profile) == len(fused.ops)


def test_an_infinite_pad(
    fused: Graph, ranges: dict[str, Any], samples: list[NDArray[Any]], tmp_path: Path
) -> None:
    pad = op_named(fused, "padding", "PADV2")
    fused.set_input(pad, 2, fused.add_constant("infinite", np.array(-3.4e38, np.float32)))
    built = build_int8(fused, {**ranges, pad.name: (-3.4e38, 2.0)}, [])
    found = looked_at(fused, built, samples, tmp_path)
    assert worst(found) == "infinite constant"
    assert the(found, "infinite constant").ops == (pad.name,)
    assert pad.name in {
        op for f in found.findings if f.cause == "scale beyond reason" for op in f.ops
    }


def test_an_outlier_activation(
    fused: Graph, ranges: dict[str, Any], samples: list[NDArray[Any]], tmp_path: Path
) -> None:
    """A few values sixty times the others set the range of all."""
    body = op_named(fused, "body", "CONV_2D")
    built = build_int8(fused, {**ranges, body.name: (0.0, 60 * ranges[body.name][1])}, [])
    found = looked_at(fused, built, samples, tmp_path)
    assert worst(found) == "outlier activation"
    assert the(found, "outlier activation").ops == (body.name,)


def test_dead_channels_with_a_bias(
    float_path: Path, samples: list[NDArray[Any]], tmp_path: Path
) -> None:
    graph = killed(float_path, bias=0.7)
    path = tmp_path / "dead.tflite"
    path.write_bytes(graph.content())
    stem = op_named(graph, "stem", "CONV_2D")
    built = build_int8(graph, whole_ranges(path, samples), [])
    found = looked_at(graph, built, samples, tmp_path)
    assert worst(found) == "bias at the limit of int32"
    assert the(found, "bias at the limit of int32").ops == (stem.name,)
    assert the(found, "dead channels").numbers["channels"] == 2


def test_an_unfused_hard_swish(
    float_path: Path, samples: list[NDArray[Any]], tmp_path: Path
) -> None:
    graph = Graph.read(float_path)
    built = build_int8(graph, whole_ranges(float_path, samples), [])
    found = looked_at(graph, built, samples, tmp_path)
    assert "swish" in the(found, "unfused hard-swish").ops[0]


def test_a_clipped_output_head(
    fused: Graph, ranges: dict[str, Any], samples: list[NDArray[Any]], tmp_path: Path
) -> None:
    head = fused.name(fused.outputs[1]), fused.name(fused.outputs[0])
    name = next(n for n in head if ranges[n][0] < 0)  # the sides: nothing squashes them
    low, high = ranges[name]
    built = build_int8(fused, {**ranges, name: (low / 4, high / 4)}, [])
    found = looked_at(fused, built, samples, tmp_path)
    assert worst(found) == "clipped output head"
    assert the(found, "clipped output head").ops == (name,)


def test_a_wrong_zero_point(
    fused: Graph, ranges: dict[str, Any], samples: list[NDArray[Any]], tmp_path: Path
) -> None:
    built = Graph(build_int8(fused, ranges, []))
    body = op_named(built, "body", "CONV_2D")
    told = built._graph.tensors[body.outputs[0]].quantization  # noqa: SLF001 - planted
    told.zeroPoint = [int(told.zeroPoint[0]) + 100]
    found = looked_at(fused, built.content(), samples, tmp_path)
    assert worst(found) == "wrong zero point"
    assert the(found, "wrong zero point").ops == (body.name,)


def test_noise_is_that_of_the_definition(
    fused: Graph, ranges: dict[str, Any], samples: list[NDArray[Any]], tmp_path: Path
) -> None:
    """The last tensor's, against the answers of both models."""
    from quantbench.backends.litert.interpreter import LiteRTModel

    paths = tmp_path / "float.tflite", tmp_path / "built.tflite"
    paths[0].write_bytes(fused.content())
    paths[1].write_bytes(build_int8(fused, ranges, []))
    noise = {each.op: each.snr_db for each in side_by_side(*paths, samples[:4])}
    meant, said = ([LiteRTModel(path, 1)(s) for s in samples[:4]] for path in paths)
    for name, tensor in zip(sorted(meant[0]), sorted(map(fused.name, fused.outputs)), strict=True):
        x = np.stack([each[name] for each in meant]).astype(np.float64)
        error = np.stack([each[name] for each in said]) - x
        expected = 10 * np.log10((x**2).sum() / (error**2).sum())
        assert min(abs(expected - snr) for snr in noise.values()) < 0.5, tensor


def test_the_op_that_hurts_alone_is_convicted(
    fused: Graph, ranges: dict[str, Any], samples: list[NDArray[Any]]
) -> None:
    body = op_named(fused, "body", "CONV_2D")
    wide = {**ranges, body.name: (0.0, 60 * ranges[body.name][1])}
    outputs = Outputs(opened, fused.content(), samples[:2])
    noise = each_alone(fused.ops, lambda kept: build_int8(fused, wide, kept), outputs)
    # The tensor is this op's output and the next one's input: both are hurt by its range.
    heads = {fused.name(tensor) for tensor in fused.outputs}
    assert body.name in flag(noise)
    assert len(flag(noise)) <= 1 + len(heads)
    sound = each_alone(fused.ops, lambda kept: build_int8(fused, ranges, kept), outputs)
    assert not flag(sound)


def test_the_tail_reaches_back_to_the_weights(fused: Graph) -> None:
    assert sorted(op.kind for op in tail(fused, CARRIES)) == ["CONV_2D", "CONV_2D", "LOGISTIC"]


def test_a_scan_alone_needs_nothing_built(float_path: Path) -> None:
    assert [found.cause for found in scan(Graph.read(float_path))] == ["unfused hard-swish"]
