"""Weights counted in files: against tensors that were written."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from quantbench.catalog.models import find_model
from quantbench.errors import BuildError, UsageError
from quantbench.formats.safetensors_header import read_header
from quantbench.run.planning.weighing import counted, described
from quantbench.study import Weights

if TYPE_CHECKING:
    from pathlib import Path


def test_tensors_of_every_part_of_a_checkpoint_are_counted(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    first = {"model.embed_tokens.weight": np.zeros((10, 4), np.float16)}
    second = {"model.layers.0.mlp.weight": np.zeros((4, 6), np.float16)}
    save_file(first, tmp_path / "model-1.safetensors")
    save_file(second, tmp_path / "model-2.safetensors")
    (tmp_path / "config.json").write_text("{}")
    assert counted(tmp_path.iterdir()) == Weights(64, embedding=40, stored_bits=16)


def test_a_header_is_read_as_its_own_library_wrote_it(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    path = tmp_path / "x.safetensors"
    save_file({"a": np.zeros((3, 5), np.float32), "b": np.zeros((), np.int8)}, path)
    found = {each.name: (each.kind, each.elements, each.size_bytes) for each in read_header(path)}
    assert found == {"a": ("F32", 15, 60), "b": ("I8", 1, 1)}


def test_a_gguf_file_is_counted_by_its_header(tmp_path: Path) -> None:
    from gguf import GGUFWriter

    writer = GGUFWriter(str(tmp_path / "m.gguf"), "llama")
    writer.add_block_count(1)
    writer.add_tensor("token_embd.weight", np.zeros((8, 32), np.float32))
    writer.add_tensor("blk.0.ffn_up.weight", np.zeros((4, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert counted(tmp_path.iterdir()) == Weights(384, embedding=256, stored_bits=32)


def test_other_files_hold_a_weight_in_four_bytes_and_say_that_this_is_not_exact(
    tmp_path: Path,
) -> None:
    (tmp_path / "model.onnx").write_bytes(bytes(4000))
    assert counted(tmp_path.iterdir()) == Weights(1000, stored_bits=32, exact=False)


@pytest.mark.parametrize(
    "content",
    [b"", b"abc", struct.pack("<Q", 2**60), struct.pack("<Q", 2) + b"{}"[:1],
     struct.pack("<Q", 9) + b'{"a": {}}', struct.pack("<Q", 2) + b"[]",
     struct.pack("<Q", 66) + b'{"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 360000]}}'],
)  # fmt: skip
def test_a_broken_header_is_no_model(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(BuildError, match="not a valid safetensors file"):
        read_header(path)
    assert counted([path]) is None


def test_no_files_have_no_weights() -> None:
    assert counted([]) is None


@pytest.mark.parametrize(("parameters", "embedding"), [(0, 0), (5, 6), (5, -1)])
def test_numbers_that_no_model_has_are_refused(parameters: int, embedding: int) -> None:
    with pytest.raises(UsageError, match="so many weights"):
        Weights(parameters, embedding)


def test_a_weight_is_stored_in_some_bits() -> None:
    with pytest.raises(UsageError, match="some bits"):
        Weights(5, stored_bits=0)


def test_a_model_may_say_how_many_weights_it_has() -> None:
    model = find_model("centernet_mobilenetv3")
    assert described(model) == Weights(2_015_145)
    with pytest.raises(UsageError, match="a number of weights"):
        replace(model, parameters=-1)
