"""Whether llama.cpp's packed kernels can be used: some compilers break those for AMX.

GCC before version 13 drops stores to the table that `ldtilecfg` loads, as its intrinsic does not
say that it reads all of it; the next tile instruction then ends the process (SIGILL). llama.cpp
compiled by it, for a processor with AMX, dies at the first product of quantized weights.
"""

from __future__ import annotations

import tempfile
import warnings
from contextlib import closing
from functools import cache
from pathlib import Path

import numpy as np

from quantbench.backends.llamacpp.library import llama
from quantbench.core.isolated import run_isolated
from quantbench.errors import PredictionError

_RISKY = b"AMX_INT8 = 1"  # in llama.cpp's description of itself
_PROBE = "quantbench.backends.llamacpp.kernels:run_packed"
_WIDTH, _WORDS, _TOKENS = 256, 512, 32
_ROOM_BYTES, _SECONDS = 4 << 30, 120.0
REMEDY = 'CXXFLAGS="-fno-tree-dse -fno-dse" pip install --force-reinstall --no-deps --no-cache-dir \
llama-cpp-python'


@cache
def packed_kernels_work() -> bool:
    """Try them in a process of its own, where llama.cpp has those for AMX; warn where they do not.

    Without them a model runs on llama.cpp's plain kernels: right, and slower.
    """
    if _RISKY not in llama().llama_print_system_info():
        return True
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "probe.gguf"
        write_probe(path)
        try:
            run_isolated(_PROBE, path, _ROOM_BYTES, _SECONDS)
        except PredictionError as error:
            warnings.warn(
                "llama.cpp's packed kernels end the process here, so its plain ones are used, "
                f"which are slower: {error.got}. Its compiler broke them (GCC before 13 does). "
                f"Compile it again: {REMEDY}",
                stacklevel=2,
            )
            return False
    return True


def run_packed(path: Path) -> None:
    """Run a file on the packed kernels, many tokens and one: the probe's process.

    Raises:
        PredictionError: llama.cpp fails.
    """
    from quantbench.backends.llamacpp.model import Model

    with Model(path, packed=True) as model, closing(model.context(256, threads=2)) as context:
        for n in (_TOKENS, 1):
            context.clear()
            context.continue_with(range(n))


def write_probe(path: Path) -> None:
    """A Llama of one layer in Q8_0, with random weights."""
    from gguf import GGMLQuantizationType, GGUFWriter
    from gguf.quants import quantize

    writer = GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_context_length(256)
    writer.add_embedding_length(_WIDTH)
    writer.add_feed_forward_length(_WIDTH)
    writer.add_head_count(4)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(_WORDS)
    writer.add_tokenizer_model("no_vocab")
    random = np.random.default_rng(0)
    layer = [f"attn_{part}" for part in ("q", "k", "v", "output")]
    layer += [f"ffn_{part}" for part in ("gate", "up", "down")]
    for name in ("token_embd", *(f"blk.0.{part}" for part in layer)):
        rows = _WORDS if name == "token_embd" else _WIDTH
        weights = random.normal(scale=0.05, size=(rows, _WIDTH)).astype(np.float32)
        kind = GGMLQuantizationType.Q8_0
        writer.add_tensor(f"{name}.weight", quantize(weights, kind), raw_dtype=kind)
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(_WIDTH, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
