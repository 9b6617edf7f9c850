"""llama.cpp's products, each stopped at: all of them are there, and none twice."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from quantbench.backends.llamacpp.diagnosis.speed import profile
from quantbench.backends.llamacpp.files import MODEL
from quantbench.core.settings import Machine
from quantbench.formats.gguf_header import read_header
from tests.diagnosis.products import silent

if TYPE_CHECKING:
    from pathlib import Path

    from quantbench.data.prompts import Prompt


def test_every_matrix_is_a_product_of_each_inference(gguf: Path, prompts: list[Prompt]) -> None:
    found = profile(gguf, prompts[20:], Machine(2), silent)
    tokens = len(prompts[20].tokens)
    assert [each.what for each in found] == [
        f"a prompt of {tokens} tokens",
        f"one token after a prompt of {tokens}",
    ]
    header = read_header(gguf / MODEL)
    matrices = Counter(
        each.name.split(".")[2]
        for each in header.tensors
        if each.name.startswith("blk.") and "norm" not in each.name
    )
    for each in found:
        counted = Counter(op.kind for op in each.ops)
        assert {kind: counted[kind] for kind in matrices} == dict(matrices)
        assert counted["output"] == 1
        assert all(op.ns > 0 for op in each.ops)
        assert each.work is not None
        elements = {tensor.name: tensor.elements for tensor in header.tensors}
        inside = sum(n for name, n in elements.items() if name.startswith("blk."))
        head = elements.get("output.weight", elements["token_embd.weight"])
        fed = tokens if each.what.startswith("a prompt") else 1
        assert each.work.operations == 2 * (inside * fed + head)
