"""OpenVINO's `.xml` and `.bin` bent out of shape: an error, and the process lives."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import numpy as np
import openvino as ov
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantbench.backends.openvino.files import checked_file, float_file, read, stored_types
from quantbench.backends.openvino.session import OpenVinoModel
from quantbench.errors import PredictionError, QuantbenchError
from tests.backends.openvino.conftest import network
from tests.fuzz.conftest import EXAMPLES, FUZZ, cut

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ODD = [
    *("", "-1", "0", "1", "7", "99", "2147483647", "18446744073709551615", "-9223372036854775808"),
    *("1,3,16,16", "1,3,65536,65536", "?", "f32", "i8", "u4", "boolean", "dynamic", "nan", "1e400"),
    *("Constant", "Parameter", "Result", "Convolution", "Loop", "opset1", "extension", "x" * 5000),
]


@cache
def whole() -> tuple[bytes, bytes]:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "model.xml"
        ov.save_model(network(), path, compress_to_fp16=False)
        return path.read_bytes(), path.with_suffix(".bin").read_bytes()


@st.composite
def bent_elements(draw: Callable[..., Any]) -> bytes:
    """The graph with one to three of its attributes or elements replaced, removed or doubled."""
    root = ET.fromstring(whole()[0])  # noqa: S314 - our own
    for _ in range(draw(st.integers(1, 3))):
        part = draw(st.sampled_from([each for each in root.iter() if len(each) or each.attrib]))
        match draw(st.integers(0, 4)):
            case 0 if len(part):
                part.remove(part[draw(st.integers(0, len(part) - 1))])
            case 1 if len(part):
                part.append(part[draw(st.integers(0, len(part) - 1))])
            case 2:
                part.text = draw(st.sampled_from(ODD))
            case _ if part.attrib:
                part.set(draw(st.sampled_from(sorted(part.attrib))), draw(st.sampled_from(ODD)))
    return ET.tostring(root)


BENT = st.tuples(bent_elements(), st.just(whole()[1])) | st.tuples(
    st.deferred(lambda: cut(whole()[0])), st.deferred(lambda: cut(whole()[1]))
)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def write(folder: Path, graph: bytes, constants: bytes) -> None:
    (folder / "model.xml").write_bytes(graph)
    (folder / "model.bin").write_bytes(constants)


@settings(FUZZ, max_examples=max(3, EXAMPLES // 400))
@given(BENT)
def test_what_passes_runs_here_after_it_ran_elsewhere(
    folder: Path, content: tuple[bytes, bytes]
) -> None:
    write(folder, *content)
    with suppress(QuantbenchError):
        path = checked_file(folder)
        stored_types(read(path))
        model = OpenVinoModel(path, 1)
        model(np.zeros(model.input_shape, np.float32))
        float_file(folder, "ov_float32")


def test_the_whole_model_passes(folder: Path) -> None:
    write(folder, *whole())
    assert stored_types(read(float_file(folder, "ov_float32")))["f32"] > 4 * 64 * 8 * 9


LEADS = {
    "no graph": (b"", b""),
    "no xml": (b"\x00" * 100, b""),
    "entities": (
        b'<!DOCTYPE n [<!ENTITY a "aaaaaaaaaa">'
        + b"".join(b'<!ENTITY %c "%s">' % (c, b"&%c;" % (c - 1) * 10) for c in range(98, 108))
        + b']><net name="&k;" version="11"/>',
        b"",
    ),
    "constants beyond the file": (
        whole()[0].replace(b'offset="0"', b'offset="18446744073709551615"'),
        whole()[1],
    ),
    "constants cut off": (whole()[0], whole()[1][:100]),
    "an input of 51 GB": (whole()[0].replace(b"1,3,16,16", b"1,3,65536,65536"), whole()[1]),
    "elements without end": (b"<net>" + b"<layers>" * 100_000, b""),
}


@pytest.mark.parametrize("content", LEADS.values(), ids=LEADS)
def test_a_bent_pair_costs_an_error(content: tuple[bytes, bytes], folder: Path) -> None:
    write(folder, *content)
    with pytest.raises(PredictionError, match=r"OpenVINO cannot|ends the process|got: +no input"):
        checked_file(folder)
