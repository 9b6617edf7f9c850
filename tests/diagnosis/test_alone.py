"""The op that hurts alone is convicted, by any backend's models."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from quantbench.diagnosis.alone import Outputs, each_alone
from quantbench.diagnosis.noise_findings import sensitive_ops
from quantbench.errors import BuildError
from tests.diagnosis.products import CHAIN, FLOAT, Products, pictures

if TYPE_CHECKING:
    from collections.abc import Sequence


def test_outputs_noise_is_that_of_the_definition() -> None:
    model, samples = Products(), pictures(4)
    content = model.rounded_alone(model.settings["minimum and maximum"], "b")
    noise = Outputs(model.open_model, FLOAT, samples).snr_db(content)
    with model.open_model(FLOAT) as meant, model.open_model(content) as said:
        x, q = (np.stack([each(s)["y"] for s in samples]).astype(float) for each in (meant, said))
    expected = 10 * np.log10((x**2).sum() / ((x - q) ** 2).sum())
    assert noise == {"y": pytest.approx(expected)}


def test_ops_at_the_tensor_that_no_range_holds_are_sensitive_and_others_not() -> None:
    model, told = Products(), list[int]()
    ranges = model.settings["minimum and maximum"]

    def build(kept: Sequence[str]) -> bytes:
        if "squash" not in kept:
            raise BuildError("no integer form")
        return model.build(ranges, dict.fromkeys(kept, ""))

    outputs = Outputs(model.open_model, FLOAT, pictures(4))
    alone = each_alone(CHAIN.ops, build, outputs, told.append)
    assert set(alone) == {"first", "second", "third", "fourth"}
    assert sum(told) == len(CHAIN.ops)
    flagged, findings = sensitive_ops(alone, CHAIN.ops)
    assert set(flagged) == {"second", "third"}
    assert {found.ops: found.place for found in findings} == {("second",): 1, ("third",): 2}
    for found in findings:
        assert found.numbers == {"snr_db y": round(alone[found.ops[0]]["y"], 2)}
