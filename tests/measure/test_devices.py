"""A case runs where its runner can."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from quantbench import cases
from quantbench.core.settings import Settings
from quantbench.errors import UsageError
from quantbench.run.session import Session
from quantbench.study.registry import runner_for

if TYPE_CHECKING:
    from pathlib import Path


def test_a_litert_case_on_a_gpu_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    """Its evidence, and the idle board's energy, were recorded under the name of cuda."""
    case = cases("digits_centernet", device="cuda")[0]
    with pytest.raises(
        UsageError, match=r"(?s)digit_scenes-cuda cannot run on cuda.*expected: +cpu"
    ):
        Session(Settings(cache=tmp_path / "cache")).evaluate(case)
    assert not list(tmp_path.glob("cache/artifact/*"))


def test_language_models_run_on_both() -> None:
    for device in ("cpu", "cuda"):
        case = cases("smollm2_135m_instruct", datasets=["kjv"], device=device)[0]
        assert runner_for(case).devices == ("cpu", "cuda")
