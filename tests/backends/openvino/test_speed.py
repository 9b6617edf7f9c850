"""OpenVINO's performance counts, in the common form."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING

from quantbench.backends.openvino.diagnosis.speed import _medians, profile
from quantbench.backends.openvino.files import save
from quantbench.backends.openvino.quantizers.static import quantized
from quantbench.core.settings import Machine
from tests.backends.openvino.conftest import network, pictures
from tests.diagnosis.products import silent

if TYPE_CHECKING:
    from pathlib import Path


def test_ops_that_ran_are_timed_with_their_kernels(tmp_path: Path) -> None:
    samples, found = pictures(8), {}
    for name in ("plain", "rounded"):
        model = network()
        folder = tmp_path / name
        folder.mkdir()
        save(model if name == "plain" else quantized(model, samples, "mixed"), folder)
        (found[name],) = profile(folder, samples, Machine(2), silent)
    for each in found.values():
        assert sum(op.kind == "Convolution" for op in each.ops) == 2
        assert all(op.ns >= 0 and op.kernel for op in each.ops)
        assert sum(op.ns for op in each.ops) > 0
    kernels = {name: {op.kernel for op in each.ops} for name, each in found.items()}
    assert any("i8" in kernel.lower() for kernel in kernels["rounded"])
    assert not any("i8" in kernel.lower() for kernel in kernels["plain"])


def test_an_op_that_took_no_time_in_a_round_is_still_timed() -> None:
    """OpenVINO calls it not run then, and a round has fewer ops than another."""

    def counted(**spent_us: int) -> list[SimpleNamespace]:
        return [
            SimpleNamespace(
                node_name=name,
                node_type="Convolution",
                exec_type="jit",
                real_time=timedelta(microseconds=spent),
            )
            for name, spent in spent_us.items()
        ]

    found = _medians([counted(a=5), counted(a=7, b=1), counted(a=6)])
    assert [(op.place, op.name, op.ns) for op in found] == [(0, "a", 6000.0), (1, "b", 0.0)]
