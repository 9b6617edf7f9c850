"""A model that came without its float original is judged against another model's case."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from quantbench import Model, cases, non_inferior
from quantbench.backends.litert.interpreter import model_file
from quantbench.catalog.models import find_model
from quantbench.core.settings import Settings
from quantbench.errors import UsageError
from quantbench.record.recording import record_of
from quantbench.run.session import Session

if TYPE_CHECKING:
    from pathlib import Path

FLOAT = find_model("digits_centernet")


@pytest.mark.slow
def test_a_vendors_quantized_file_is_judged_against_ones_own_float_model(tmp_path: Path) -> None:
    session = Session(Settings(cache=tmp_path / "cache", samples=60, threads=2))
    (dynamic,) = cases(FLOAT, schemes=["int8_dynamic"])
    shipped = tmp_path / "vendor.tflite"
    shipped.write_bytes(model_file(session.artifact(dynamic).path).read_bytes())
    vendor = Model(
        name="vendors_digits",
        source=f"file:{shipped}",
        reference=FLOAT,
        schemes=("as_shipped",),
        datasets=FLOAT.datasets,
        interface=FLOAT.interface,
    )
    (case,) = cases(vendor)
    assert not case.is_reference
    assert str(case.reference) == "digits_centernet-float32-digit_scenes"
    verdict = non_inferior(session.evaluate(case), session.reference(case), "AP", margin=0.1)
    meant = non_inferior(session.evaluate(dynamic), session.reference(dynamic), "AP", margin=0.1)
    assert verdict.outcome == meant.outcome == "pass"
    assert verdict.difference == meant.difference
    record = record_of(session, case)
    assert record["reference"] == "digits_centernet-float32-digit_scenes"
    assert "agreement_AP" in record["metrics"]
    session.close()


def test_a_reference_must_be_judged_by_itself() -> None:
    lost = replace(FLOAT, reference=None, anchors=())
    with pytest.raises(UsageError, match="has no float reference of its own"):
        replace(FLOAT, name="vendors_digits", reference=lost, anchors=())
    with pytest.raises(UsageError, match="known scores of another model"):
        replace(FLOAT, name="vendors_digits", reference=FLOAT)
    with pytest.raises(UsageError, match="none of its schemes"):
        replace(FLOAT, reference=("digits_centernet", "float32"))  # type: ignore[arg-type]


def test_the_reference_given_first_is_told_of_two_models_too(tmp_path: Path) -> None:
    vendor = replace(FLOAT, name="vendors_digits", reference=FLOAT, anchors=())
    (case,) = cases(vendor, schemes=["int8_dynamic"])
    session = Session(Settings(cache=tmp_path / "cache", samples=20, threads=2))
    evaluation, reference = session.evaluate(case), session.reference(case)
    with pytest.raises(UsageError, match="reference"):
        non_inferior(reference, evaluation, "AP", margin=0.1)
    with pytest.raises(UsageError, match="another model"):
        session.diagnose(case)
    session.close()
