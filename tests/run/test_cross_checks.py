"""What is cross-checked in every run, also where the store has all numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from quantbench import cases
from quantbench.core.settings import Settings
from quantbench.errors import AnchorError, DataError
from quantbench.run.session import Session
from quantbench.tasks.detection import task
from quantbench.tasks.detection.metrics import average_precision
from quantbench.tasks.detection.pictures import fitted

if TYPE_CHECKING:
    from pathlib import Path

(CASE,) = cases("digits_centernet", schemes=["float32"])


@pytest.mark.slow
def test_stored_numbers_are_cross_checked_when_they_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(cache=tmp_path / "cache", samples=20, threads=2)
    first = Session(settings)
    value = first.evaluate(CASE).value("AP")
    first.close()
    again = Session(settings).evaluate(CASE)
    assert (again.evidence.cache, again.value("AP")) == ("hit", value)

    right = average_precision.summarise
    with monkeypatch.context() as patched:
        patched.setattr(
            average_precision,
            "summarise",
            lambda *rows: {**right(*rows), "AP": right(*rows)["AP"] - 0.01},
        )
        with pytest.raises(AnchorError, match="two implementations of COCO's protocol"):
            Session(settings).evaluate(CASE)

    def colourless(image: Any, detector: Any, name: str) -> Any:
        return fitted(image[..., :1].repeat(3, axis=-1), detector, name)

    monkeypatch.setattr(task, "fitted", colourless)
    with pytest.raises(DataError):
        Session(settings).evaluate(CASE)
