"""A converted float model is judged by what is decoded of its answers where raw ones differ."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from quantbench import cases
from quantbench.errors import BuildError, UsageError
from quantbench.run.steps.conversion import check_conversion, check_links, checked_links

(CASE,) = cases("digits_centernet", schemes=["float32"])
SAMPLES = [(f"sample {i}", float(i)) for i in range(3)]


class Signs:
    """Rows keep the sign of an answer; agreement is their share in common."""

    agreement = "agreement"

    def evidence(self, sample: str, answer: float) -> dict[str, Any]:
        return {"id": sample, "sign": answer >= 0}

    def agree(self, rows: Any, meant: Any, weights: Any) -> dict[str, Any]:
        same = [a["sign"] == b["sign"] for a, b in zip(rows, meant, strict=True)]
        return {"agreement": weights @ np.array(same) / len(same)}


def checked(difference: float | None, error: float, task: Any = None, **model: Any) -> Any:
    closed: list[bool] = []
    runner: Any = SimpleNamespace(
        predict=lambda prepared: prepared + error, close=lambda: closed.append(True)
    )
    facts = {} if difference is None else {"float_difference": difference}
    answers = (lambda: [prepared for _, prepared in SAMPLES], lambda: runner)
    counts: Any = task or Signs()
    case = replace(CASE, model=replace(CASE.model, **model))
    found = check_conversion(case, facts, counts, SAMPLES, answers)
    return found, bool(closed)


def test_within_the_tolerance_nothing_more_is_asked() -> None:
    assert checked(9e-5, -9.0) == ({}, False)
    assert checked(None, -9.0) == ({}, False)
    assert checked(0.01, -9.0, tolerance=0.02) == ({}, False)


def test_beyond_it_equal_decoded_answers_will_do() -> None:
    """onnx2tf's YOLOX: 1.4e-4 of the scale apart, and exactly the right AP."""
    assert checked(1.4e-4, +0.3) == ({"float_agreement": 1.0}, True)


def test_other_decoded_answers_are_refused_and_nobody_is_blamed() -> None:
    with pytest.raises(BuildError, match=r"(?s)difference of 0.5, agreement 0.6667") as raised:
        checked(0.5, -0.3)
    assert "converter" not in str(raised.value)
    assert "Model(tolerance=...)" in str(raised.value)


def test_a_task_without_agreement_goes_by_the_difference() -> None:
    with pytest.raises(BuildError, match="agreement unknown"):
        checked(2e-4, 0.0, SimpleNamespace())


def test_a_tolerance_is_no_negative_number() -> None:
    with pytest.raises(UsageError, match="tolerance of digits_centernet"):
        replace(CASE.model, tolerance=-1.0)


def linked(*errors: float, scheme: str = "float32") -> Any:
    """Links whose source frameworks answer so much more than the built model."""

    def importer(error: float) -> Any:
        def answers(source: Any, samples: Any) -> Any:
            return [{"said": sample["said"] + np.float32(error)} for sample in samples]

        return SimpleNamespace(answers=answers)

    links: list[Any] = [
        SimpleNamespace(name=f"link{i}", importer=importer(e), before=SimpleNamespace(path=None))
        for i, e in enumerate(errors)
    ]
    mute: Any = SimpleNamespace(name="mute", importer=object(), before=None)
    (case,) = cases("digits_centernet", schemes=[scheme])
    seen: Any = [(f"sample {i}", {"said": np.array([float(i), -9.0])}) for i in range(5)]
    runner: Any = SimpleNamespace(predict=lambda prepared: prepared, close=lambda: None)
    asked = checked_links(case, [*links, mute])
    task: Any = Firsts()
    return asked, lambda: check_links(case, asked, task, seen, lambda: runner)


class Firsts(Signs):
    """Rows keep whether the first answer is above one half."""

    def evidence(self, sample: str, answer: Any) -> dict[str, Any]:
        return super().evidence(sample, answer["said"][0] - 0.5)


def test_each_importer_that_can_asks_its_source_framework() -> None:
    asked, check = linked(0.0, 9e-5)
    assert [link.name for link in asked] == ["link0", "link1"]
    found = check()["import_differences"]
    assert found["link0"] == 0
    assert found["link1"] == pytest.approx(1e-5, rel=0.01)  # in shares of the largest, 9


def test_an_importer_that_changes_decoded_answers_is_named() -> None:
    _, check = linked(0.0, 0.7)
    with pytest.raises(BuildError, match=r"(?s)importer link1 takes.*agreement 0\.6667"):
        check()


def test_a_difference_that_changes_nothing_decoded_will_do() -> None:
    _, check = linked(0.05)
    assert check()["import_agreements"] == {"link0": 1.0}


def test_only_float_models_are_compared_with_their_sources() -> None:
    assert linked(0.7, scheme="int8_static")[0] == []
    assert linked(0.7, scheme="float16")[0] == []
