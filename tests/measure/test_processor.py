"""What of the processor decides over int8 kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from quantbench.measure.processor import instruction_sets, int8_saturates

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("known", "saturates"),
    [
        (("avx2",), True), (("avx2", "avx512f"), True), (("avx2", "avx_vnni"), False),
        (("avx2", "avx512f", "avx512_vnni"), False), (("avx512f", "amx_int8"), False),
        (("asimd", "asimddp"), False), ((), None),
    ],
)  # fmt: skip
def test_int8_products_saturate_on_x86_without_vnni(
    known: tuple[str, ...],
    saturates: bool | None,  # noqa: FBT001
) -> None:
    assert int8_saturates(known) is saturates


def test_instruction_sets_are_read_from_what_the_system_says(tmp_path: Path) -> None:
    described = tmp_path / "cpuinfo"
    described.write_text("processor: 0\nflags\t\t: fpu avx2 avx512_vnni\n")
    assert instruction_sets(described) == ("avx2", "avx512_vnni")
    described.write_text("Features : fp asimd asimddp\n")
    instruction_sets.cache_clear()
    assert instruction_sets(described) == ("asimd", "asimddp")
    assert instruction_sets(tmp_path / "none") == ()
