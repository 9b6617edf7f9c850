"""The files of a TensorFlow.js graph model, checked before TensorFlow builds anything of them.

A graph can name ops that read and write files, and sizes that no machine holds; TensorFlow does
what it says. Only ops that compute with numbers pass, every constant has its bytes in a shard
beside the JSON, and nothing is filled in for what is missing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from quantbench.core.jsons import MALFORMED, loads
from quantbench.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

_MOST_JSON_BYTES = 32 << 20  # real ones stay under 1 MB
_MOST_NODES = 100_000
_MOST_DIMENSIONS = 8
_DTYPES = ("float32", "int32", "bool")
_STORED = ("float16", "uint8", "uint16")
_KNOWN_OPS = frozenset(
    "Const Identity NoOp Placeholder Shape Size Rank ZerosLike OnesLike Fill Range "  # noqa: SIM905 - read as a list
    "Abs Add AddN AddV2 Atan2 Ceil Cos Div DivNoNan Erf Exp Expm1 Floor FloorDiv FloorMod Log "
    "Log1p Maximum Minimum Mod Mul Neg Pow RealDiv Reciprocal Round Rsqrt Sign Sin Sqrt Square "
    "SquaredDifference Sub Tan TruncateDiv ClipByValue "
    "BiasAdd Elu LeakyRelu Relu Relu6 Selu Sigmoid Softmax LogSoftmax Softplus Softsign Tanh "
    "AvgPool MaxPool Conv2D Conv2DBackpropInput DepthwiseConv2dNative LRN "
    "_FusedConv2D FusedDepthwiseConv2dNative _FusedMatMul "
    "FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 BatchMatMul BatchMatMulV2 MatMul Einsum "
    "All Any ArgMax ArgMin Cumsum Max Mean Min Prod Sum TopKV2 "
    "Equal Greater GreaterEqual Less LessEqual LogicalAnd LogicalNot LogicalOr LogicalXor "
    "NotEqual Select SelectV2 Where "
    "BatchToSpaceND BroadcastTo Cast ConcatV2 DepthToSpace ExpandDims Gather GatherNd GatherV2 "
    "MirrorPad OneHot Pack Pad PadV2 Reshape ReverseV2 ScatterNd Slice SpaceToBatchND "
    "SpaceToDepth SparseToDense Split SplitV Squeeze StridedSlice Tile Transpose Unpack "
    "CropAndResize NonMaxSuppressionV2 NonMaxSuppressionV3 NonMaxSuppressionV4 "
    "NonMaxSuppressionV5 ResizeBilinear ResizeNearestNeighbor".split()
)
# May stand in a graph, but not in what is kept of it: such a model may never end.
LOOP_OPS = frozenset(
    "Enter Exit LoopCond Merge NextIteration Switch "  # noqa: SIM905 - as above
    "TensorArrayGatherV3 TensorArrayReadV3 TensorArrayScatterV3 TensorArraySizeV3 TensorArrayV3 "
    "TensorArrayWriteV3 TensorListFromTensor TensorListGetItem TensorListReserve "
    "TensorListSetItem TensorListStack".split()
)


class Shipped(NamedTuple):
    """A checked graph model.

    Attributes:
        topology: TensorFlow's GraphDef as JSON.
        weights: every constant of it by name, in its original dtype.
        inputs: the signature's names to tensors of the graph, one.
        outputs: the same of what it answers.
    """

    topology: dict[str, Any]
    weights: dict[str, NDArray[Any]]
    inputs: dict[str, str]
    outputs: dict[str, str]


def read_graph_model(source: Path) -> Shipped:
    """Read the one model JSON of a folder, and its shards.

    Raises:
        BuildError: it is no graph model, or one that says more than it brings.
    """
    files = list(source.glob("*.json"))
    if len(files) != 1:
        raise BuildError("expected one model JSON", where=source, got=[f.name for f in files])
    try:
        return _checked(files[0])
    except MALFORMED as error:
        raise BuildError(
            "not a TensorFlow.js model that is whole",
            where=files[0],
            expected="plain ops, a signature of one input, and a manifest of each constant's "
            "shape, type and shard",
            got=f"{type(error).__name__}: {error}",
            remedy="fetch it again, or export it again from its source",
        ) from error


def _checked(path: Path) -> Shipped:
    if (size := path.stat().st_size) > _MOST_JSON_BYTES:
        raise ValueError(f"a JSON of {size:,} bytes")
    described = loads(path.read_bytes())
    missing = {"modelTopology", "weightsManifest", "signature"} - set(described)
    if described.get("format") != "graph-model" or missing:
        raise BuildError(
            "not a TensorFlow.js graph model",
            where=path,
            expected="format graph-model with modelTopology, weightsManifest and signature",
            got=f"format {described.get('format')!r}, without {sorted(missing)}",
            remedy="layers models are Keras models: convert them back with tensorflowjs first",
        )
    weights = _weights(described["weightsManifest"], path.parent)
    topology = described["modelTopology"]
    _check_nodes(topology["node"], weights, path)
    if (topology.get("library") or {}).get("function"):
        raise ValueError("a graph with functions")
    signature = described["signature"]
    inputs, outputs = _tensors(signature["inputs"]), _tensors(signature["outputs"])
    if len(inputs) != 1 or not outputs:
        raise ValueError(f"{len(inputs)} inputs and {len(outputs)} outputs")
    graph = {key: topology[key] for key in ("node", "versions") if key in topology}
    return Shipped(graph, weights, inputs, outputs)


def _check_nodes(nodes: Any, weights: Mapping[str, Any], path: Path) -> None:
    if not isinstance(nodes, list) or not 0 < len(nodes) <= _MOST_NODES:
        raise ValueError(f"no list of up to {_MOST_NODES:,} nodes")
    kinds = {str(node["op"]) for node in nodes}
    if unknown := kinds - _KNOWN_OPS - LOOP_OPS:
        raise BuildError(
            "the graph has ops that are not known to only compute",
            where=path,
            got=", ".join(sorted(unknown))[:500],
            remedy="cut them off when the model is exported, or report it if one is harmless",
        )
    names = [node["name"] for node in nodes]
    if len(set(names)) < len(names):
        raise ValueError("two nodes have the same name")
    if bare := [node["name"] for node in nodes if node["op"] == "Const"]:
        bare = [name for name in bare if name not in weights]
    if bare:  # TensorFlow would take zeros
        raise ValueError(f"{len(bare)} constants without weights, e.g. {str(bare[0])[:80]!r}")


def _tensors(described: Mapping[str, Any]) -> dict[str, str]:
    """Names without their scope (`tower_0/wh` is `wh`) to tensors."""
    found = {}
    for key, entry in described.items():
        name = entry["name"]
        if not isinstance(name, str):
            raise TypeError(f"a tensor named {name!r}")
        found[key.rpartition("/")[2].partition(":")[0]] = name if ":" in name else f"{name}:0"
    return found


def _weights(manifest: Any, source: Path) -> dict[str, NDArray[Any]]:
    """Every constant by name, in its original dtype."""
    found: dict[str, NDArray[Any]] = {}
    read: set[str] = set()
    for group in manifest:
        if read & set(group["paths"]) or len(set(group["paths"])) < len(group["paths"]):
            raise ValueError("a shard is named twice")
        read |= set(group["paths"])
        content = b"".join(_shard(source, name) for name in group["paths"])
        start = 0
        for entry in group["weights"]:
            n = _elements(entry["shape"])
            stored = np.dtype(_stored_type(entry.get("quantization"), entry["dtype"]))
            size = stored.itemsize * n
            if start + size > len(content):
                raise BuildError(
                    "a weight file is too short",
                    where=f"{', '.join(group['paths'])[:200]}, at {str(entry['name'])[:80]}",
                    expected=f"{start + size:,} bytes",
                    got=f"{len(content):,}",
                )
            if entry["name"] in found:
                raise ValueError(f"two weights named {str(entry['name'])[:80]}")
            values = np.frombuffer(content, stored, n, start)
            found[entry["name"]] = _widened(values, entry).reshape(entry["shape"])
            start += size
    return found


def _shard(source: Path, name: str) -> bytes:
    beside = isinstance(name, str) and name in {path.name for path in source.iterdir()}
    if not beside or not (source / name).is_file():
        raise BuildError("the model names a shard that is not beside it", got=repr(name)[:80])
    return (source / name).read_bytes()


def _elements(shape: Any) -> int:
    plain = isinstance(shape, list) and all(type(n) is int and n >= 0 for n in shape)
    if not plain or len(shape) > _MOST_DIMENSIONS:
        raise ValueError(f"a weight of shape {str(shape)[:80]}")
    return math.prod(shape)


def _stored_type(quantization: Any, dtype: str) -> str:
    """The type that a weight is stored in."""
    if dtype not in _DTYPES:
        raise ValueError(f"a weight of type {str(dtype)[:40]!r}, not {', '.join(_DTYPES)}")
    if not quantization:
        return dtype
    if quantization["dtype"] not in _STORED:
        raise ValueError(f"a weight stored as {str(quantization['dtype'])[:40]!r}")
    return str(quantization["dtype"])


def _widened(values: NDArray[Any], entry: Mapping[str, Any]) -> NDArray[Any]:
    """Undo the storage quantization: half precision, or `q * scale + min` for 8 and 16 bits."""
    dtype = np.dtype(entry["dtype"])
    quantization = entry.get("quantization") or {}
    if "scale" in quantization:
        scale, low = float(quantization["scale"]), float(quantization["min"])
        if not math.isfinite(scale) or not math.isfinite(low):
            raise ValueError(f"a scale of {scale} from {low}")
        wide = values * scale + low
        return np.asarray(np.rint(wide) if dtype.kind == "i" else wide, dtype=dtype)
    return np.asarray(values, dtype=dtype)
