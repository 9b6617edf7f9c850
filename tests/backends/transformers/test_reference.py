"""The embedded language model: real bytes from the package index, dequantized once."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import numpy as np
import pytest

from quantbench import cases
from quantbench.backends.transformers.importers.gguf import GGUFImporter
from quantbench.backends.transformers.quantizers.reference import ReferenceQuantizer
from quantbench.catalog.models import find_model
from quantbench.core.settings import Settings
from quantbench.errors import BuildError, FetchError
from quantbench.run.session import Session
from quantbench.study import Scheme

if TYPE_CHECKING:
    from pathlib import Path

    from quantbench.store.artifacts import Artifact


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Session:
    return Session(Settings(cache=tmp_path_factory.mktemp("cache"), threads=2))


@pytest.fixture(scope="module")
def checkpoint(bench: Session) -> Artifact:
    try:
        return bench.float_model(cases("smollm2_135m_instruct")[0])
    except FetchError as error:
        if "network" in os.environ.get("QUANTBENCH_REQUIRE", ""):
            raise
        return pytest.skip(str(error))


@pytest.mark.network
@pytest.mark.slow
def test_the_checkpoint_is_plain_float(checkpoint: Artifact) -> None:
    config = json.loads((checkpoint.path / "config.json").read_text())
    assert "quantization_config" not in config
    assert (config["dtype"], config["num_hidden_layers"]) == ("float32", 30)
    assert (checkpoint.path / "tokenizer.json").exists()


@pytest.mark.network
@pytest.mark.slow
def test_the_weights_are_what_the_gguf_library_reads(checkpoint: Artifact, bench: Session) -> None:
    from gguf import GGUFReader
    from gguf.quants import dequantize
    from safetensors.numpy import load_file

    source = bench.source(cases("smollm2_135m_instruct")[0].model.source)
    (path,) = source.path.glob("*.gguf")
    stored = load_file(checkpoint.path / "model.safetensors")
    names = {
        "token_embd.weight": "model.embed_tokens.weight",
        "blk.7.ffn_down.weight": "model.layers.7.mlp.down_proj.weight",
        "blk.29.attn_v.weight": "model.layers.29.self_attn.v_proj.weight",
        "output_norm.weight": "model.norm.weight",
    }
    seen = 0
    for tensor in GGUFReader(path).tensors:
        if name := names.get(tensor.name):
            np.testing.assert_array_equal(
                stored[name],
                dequantize(tensor.data, tensor.tensor_type).reshape(stored[name].shape),
            )
            seen += 1
    assert seen == len(names)


def test_a_source_without_a_gguf_file_is_explained(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="expected one GGUF file"):
        GGUFImporter().build(find_model("smollm2_135m_instruct"), tmp_path, tmp_path)


def test_the_reference_is_the_float_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "float").mkdir()
    (tmp_path / "float" / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "artifact").mkdir()
    scheme = Scheme.parse("reference")
    ReferenceQuantizer().build(tmp_path / "float", scheme, [], tmp_path / "artifact")
    assert (tmp_path / "artifact" / "model.safetensors").read_bytes() == b"weights"
