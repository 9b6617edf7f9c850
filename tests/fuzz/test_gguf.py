"""GGUF headers bent out of shape: an error before a library believes them."""

from __future__ import annotations

import struct
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantbench.backends.transformers.importers.gguf import GGUFImporter
from quantbench.catalog.models import find_model
from quantbench.core.requirements import lacking
from quantbench.errors import BuildError, QuantbenchError
from quantbench.formats.gguf_header import read_header
from tests.fuzz.conftest import EXAMPLES, FUZZ, cut

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HIDDEN, WIDE = 64, 96
WORDS = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256)), "a", "b", "ab", "▁a"]


def write(path: Path, layers: int = 1, *, said_layers: int | None = None, wide: int = WIDE) -> Path:
    """A Llama of one head and random weights."""
    from gguf import GGUFWriter

    writer = GGUFWriter(path, "llama")
    writer.add_block_count(layers if said_layers is None else said_layers)
    writer.add_context_length(32)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(wide)
    writer.add_head_count(1)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(WORDS))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(WORDS)
    writer.add_token_scores([float(-i) for i in range(len(WORDS))])
    writer.add_token_types([2, 3, 3] + [6] * 256 + [1] * (len(WORDS) - 259))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    random = np.random.default_rng(0)
    shapes = {"token_embd.weight": (len(WORDS), HIDDEN), "output_norm.weight": (HIDDEN,)}
    for i in range(layers):
        square = {f"blk.{i}.attn_{part}.weight": (HIDDEN, HIDDEN) for part in "qkv"}
        square[f"blk.{i}.attn_output.weight"] = (HIDDEN, HIDDEN)
        norms = {f"blk.{i}.{part}_norm.weight": (HIDDEN,) for part in ("attn", "ffn")}
        wider = {f"blk.{i}.ffn_{part}.weight": (WIDE, HIDDEN) for part in ("gate", "up")}
        shapes |= square | norms | wider | {f"blk.{i}.ffn_down.weight": (HIDDEN, WIDE)}
    for name, shape in shapes.items():
        writer.add_tensor(name, random.normal(size=shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@cache
def content() -> bytes:
    with tempfile.TemporaryDirectory() as name:
        return write(Path(name) / "model.gguf").read_bytes()


@cache
def header_bytes() -> int:
    weights: int = 4 * read_header_of(content()).elements
    return len(content()) - weights


def read_header_of(data: bytes) -> Any:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "model.gguf"
        path.write_bytes(data)
        return read_header(path)


@st.composite
def bent_headers(draw: Callable[..., bytes]) -> bytes:
    """Bent in what is read; the weights behind it are whole, or not there."""
    head = content()[: header_bytes()]
    return draw(cut(head)) + (content()[len(head) :] if draw(st.booleans()) else b"")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@FUZZ
@given(st.deferred(bent_headers))
def test_headers(folder: Path, data: bytes) -> None:
    from gguf import GGUFReader

    path = folder / "model.gguf"
    path.write_bytes(data)
    try:
        described = read_header(path)
    except BuildError:
        return
    assert described.elements <= 64 * len(data)
    with suppress(Exception):  # its own; what is tested is that it ends, and needs no memory
        GGUFReader(path)


# A process each: few in the usual suite, as many as are asked for in a campaign.
@settings(FUZZ, max_examples=6 if EXAMPLES == 150 else EXAMPLES)
@given(st.deferred(bent_headers))
@pytest.mark.skipif(bool(lacking("llamacpp")), reason='pip install "quantbench[llamacpp]"')
def test_llama_cpp_opens_bent_files_in_a_process_of_its_own(folder: Path, data: bytes) -> None:
    from quantbench.backends.llamacpp.importers.gguf import GGUFImporter as ByLlamaCpp

    source = folder / "bent"
    source.mkdir(exist_ok=True)
    (source / "model.gguf").write_bytes(data)
    with tempfile.TemporaryDirectory() as into:
        try:
            ByLlamaCpp().build(find_model("smollm2_135m_instruct"), source, Path(into))
        except QuantbenchError:
            return
        assert (Path(into) / "model.gguf").read_bytes() == data


def test_a_whole_header_is_read() -> None:
    described = read_header_of(content())
    assert described.values["general.architecture"] == "llama"
    assert described.values["llama.block_count"] == 1
    assert (
        described.elements == len(WORDS) * HIDDEN + 4 * HIDDEN**2 + 3 * WIDE * HIDDEN + 3 * HIDDEN
    )


def counts(tensors: int, keys: int, *values: bytes) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, keys) + b"".join(values)


def key(name: str, kind: int, *numbers: int) -> bytes:
    form = {4: "I", 8: "Q", 9: "IQ"}[kind]
    return struct.pack("<Q", len(name)) + name.encode() + struct.pack(f"<I{form}", kind, *numbers)


def a_tensor(*dims: int, kind: int = 0, offset: int = 0) -> bytes:
    sizes = struct.pack(f"<I{len(dims)}Q", len(dims), *dims)
    return struct.pack("<Q", 1) + b"w" + sizes + struct.pack("<IQ", kind, offset)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"GGML" + bytes(40), "begins with b'GGML'"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "version 50331648"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "version 1"),
        (counts(2**63, 0), "tensors, of at most"),
        (counts(0, 2**64 - 1), "keys, of at most"),
        (counts(9, 9), "unpack_from requires"),
        (counts(0, 1, key("a" * 256, 4, 1)), "256 bytes of a text"),
        (counts(0, 1, key("a", 8, 2**62)), "bytes of a text"),
        (counts(0, 1, key("a", 9, 0, 2**61)), "items of arrays"),
        (counts(0, 1, key("a", 9, 0, 10**6)), "bytes, of at most"),
        (counts(0, 1, key("a", 9, 9, 1), *[struct.pack("<IQ", 9, 1)] * 9), "arrays in arrays"),
        (counts(0, 2, key("a", 4, 1), key("a", 4, 2)), "two values of a"),
        (counts(0, 1, key("general.alignment", 4, 0)), "alignment 0"),
        (counts(1, 0, a_tensor(*[2] * 5)), "5 dimensions"),
        (counts(1, 0, a_tensor(2**40, 2**40)), "bytes up to the end of a tensor"),
        (counts(1, 0, a_tensor(1, offset=2**60)), "bytes up to the end of a tensor"),
        (counts(1, 0, a_tensor(1, kind=200)), "200 is not a valid"),
        (counts(9, 0, *[a_tensor(99)] * 9, bytes(500)), "bytes of tensors"),
    ],
)
def test_a_header_that_says_more_than_the_file_holds_is_named(
    data: bytes, says: str, tmp_path: Path
) -> None:
    (tmp_path / "model.gguf").write_bytes(data)
    with pytest.raises(BuildError, match="not a valid GGUF file") as caught:
        GGUFImporter().build(find_model("smollm2_135m_instruct"), tmp_path, tmp_path / "into")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("layers", "sizes", "says"),
    [
        (1, {"said_layers": 2**31 - 1}, "layers for its tensors"),
        (1, {"wide": 2**31 - 1}, "more weights than the file"),
        (1, {"said_layers": 2}, "more weights than the file"),
    ],
)
def test_a_model_that_the_file_does_not_hold_is_refused(
    layers: int, sizes: dict[str, int], says: str, tmp_path: Path
) -> None:
    """Random weights would take the place of what is not there, and be evaluated."""
    write(tmp_path / "model.gguf", layers, **sizes)
    with pytest.raises(BuildError, match=says):
        GGUFImporter().build(find_model("smollm2_135m_instruct"), tmp_path, tmp_path / "into")


def test_a_whole_file_is_imported(tmp_path: Path) -> None:
    write(tmp_path / "model.gguf")
    (tmp_path / "into").mkdir()
    GGUFImporter().build(find_model("smollm2_135m_instruct"), tmp_path, tmp_path / "into")
    assert (tmp_path / "into" / "model.safetensors").stat().st_size > 4 * len(WORDS) * HIDDEN
