"""How long GPTQ takes for one layer of an architecture, and so for all of them.

    python benchmarks/gptq_layers.py ARCHITECTURE [BITS]

The architecture is made with one layer and with two, all else as published, weights at random. Both
are quantized by groups of 64 on 100 passages of 80 random tokens. Each runs in a process of its
own. What the second takes longer is a layer's time; the whole is the first's and as many more.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from quantbench.backends.transformers.architectures import ARCHITECTURES
from quantbench.backends.transformers.importers.random_checkpoint import write_checkpoint
from quantbench.backends.transformers.quantizers.gptq import GPTQQuantizer
from quantbench.data.prompts import Prompt
from quantbench.measure.memory import peak_memory
from quantbench.study import Scheme

PASSAGES, TOKENS = 100, 80


def quantized(architecture: str, bits: str, layers: str) -> dict[str, float | None]:
    """Seconds and peak memory of quantizing so many layers."""
    shape = ARCHITECTURES[architecture]
    head = shape.hidden // shape.heads
    layer = 2 * shape.hidden * head * (shape.heads + shape.kv_heads)
    layer += 3 * shape.hidden * shape.intermediate + 2 * shape.hidden
    fewer = shape.parameters - (shape.layers - int(layers)) * layer
    tokens = np.random.default_rng(0).integers(3, 259, (PASSAGES, TOKENS)).tolist()
    samples = [Prompt(tuple(each), TOKENS - 1, "") for each in tokens]
    with tempfile.TemporaryDirectory() as scratch:
        source, folder = Path(scratch) / "float", Path(scratch) / "made"
        source.mkdir()
        folder.mkdir()
        write_checkpoint(replace(shape, layers=int(layers), parameters=fewer), 0, source)
        started = time.perf_counter()
        with peak_memory() as memory:
            scheme = Scheme.parse(f"gptq_int{bits}_g64")
            GPTQQuantizer().build(source, scheme, samples, folder)
    return {"s": time.perf_counter() - started, "peak": memory.peak_rss_bytes}


def in_a_process(*arguments: str) -> dict[str, float]:
    """The same; what the tool prints is not shown."""
    done = subprocess.run(
        [sys.executable, __file__, "--layers", *arguments],
        check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main(architecture: str, bits: str = "4") -> None:
    """Print both times, and what they add up to."""
    one, two = (in_a_process(architecture, bits, layers) for layers in ("1", "2"))
    layers = ARCHITECTURES[architecture].layers
    layer = two["s"] - one["s"]
    print(  # noqa: T201 - a script
        f"{architecture}, {bits} bits: one layer {one['s']:.0f} s, two {two['s']:.0f} s, peak "
        f"{two['peak'] / 1e9:.1f} GB; so a layer {layer:.0f} s and all {layers} "
        f"{(one['s'] + (layers - 1) * layer) / 60:.0f} minutes"
    )


if __name__ == "__main__":
    if sys.argv[1] == "--layers":
        print(json.dumps(quantized(*sys.argv[2:])))  # noqa: T201
    else:
        main(*sys.argv[1:])
