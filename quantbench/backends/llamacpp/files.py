"""The one GGUF file of a folder, and what its header says of its weights."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from quantbench.errors import BuildError
from quantbench.formats.gguf_header import read_header

if TYPE_CHECKING:
    from pathlib import Path

    from quantbench.formats.gguf_header import Described, Placed

MODEL = "model.gguf"
FLOAT_TYPES = {"F32", "F16", "BF16", "F64"}
_VECTORS = ("_norm.weight", ".bias", "rope_freqs.weight")  # never quantized
_LAYER = re.compile(r"blk\.\d+\.")


def gguf_file(folder: Path) -> Path:
    """The one `.gguf` file in a folder.

    Raises:
        BuildError: there is not exactly one.
    """
    files = sorted(folder.glob("*.gguf"))
    if len(files) != 1:
        raise BuildError(
            "expected one GGUF file",
            where=folder,
            got=[file.name for file in files] or "none",
            remedy="name one, #file=NAME.gguf; put the parts of a split model together with "
            "llama.cpp's llama-gguf-split --merge",
        )
    return files[0]


def imported_file(folder: Path) -> Path:
    """The checked model of a folder.

    Raises:
        BuildError: the source was not imported.
    """
    path = folder / MODEL
    if not path.is_file():
        raise BuildError(
            "no GGUF model was imported",
            where=folder,
            expected=MODEL,
            got=sorted(each.name for each in folder.iterdir())[:5],
            remedy='say what the source holds: Model(format="hf_checkpoint") or '
            'Model(format="gguf")',
        )
    return path


def float_file(folder: Path, scheme: str) -> Path:
    """The float model that a scheme is made from.

    Raises:
        BuildError: it was not imported, or its weights are quantized already.
    """
    path = imported_file(folder)
    kinds = stored_types(read_header(path))
    if quantized := sorted(kinds.keys() - FLOAT_TYPES):
        raise BuildError(
            f"{scheme} starts from a float model",
            where=path.name,
            expected="weights in " + ", ".join(sorted(FLOAT_TYPES)),
            got=", ".join(f"{kinds[kind]} tensors in {kind}" for kind in quantized),
            remedy="judge the file as it is, scheme gguf_as_shipped: rounding it once more would "
            "measure two roundings as one",
        )
    return path


def stored_types(header: Described) -> dict[str, int]:
    """How many weights each type stores; norms and biases, which stay in float, left out."""
    return dict(sorted(Counter(tensor.kind for tensor in _weights(header)).items()))


def weight_facts(path: Path) -> dict[str, Any]:
    """What became of the weights, for the record.

    `bits_per_weight` of all weights together, scales included; `stored` the type of each kind of
    weight, by how many layers: `{"attn_q.weight": {"Q5_0": 30}}`; `weights_bytes` of all tensors.
    """
    header = read_header(path)
    weights = list(_weights(header))
    stored: dict[str, Counter[str]] = {}
    for tensor in weights:
        stored.setdefault(_LAYER.sub("", tensor.name), Counter())[tensor.kind] += 1
    size, n = (sum(getattr(each, what) for each in weights) for what in ("size_bytes", "elements"))
    return {
        "bits_per_weight": round(8 * size / max(n, 1), 3),
        "stored": {name: dict(kinds) for name, kinds in stored.items()},
        "weights_bytes": header.size_bytes,
    }


def _weights(header: Described) -> list[Placed]:
    return [tensor for tensor in header.tensors if not tensor.name.endswith(_VECTORS)]
