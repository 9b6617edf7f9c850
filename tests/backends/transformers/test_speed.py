"""Clocks around every module: times add up to the whole, and packed kernels say what they do."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
import torch

from quantbench.backends.transformers.diagnosis.speed import _multiplied, _Timed, profile
from quantbench.backends.transformers.quantizers.hqq import HQQQuantizer
from quantbench.backends.transformers.recovering.adapters import attach
from quantbench.core.settings import Machine
from quantbench.data.samples import Passage
from quantbench.study import Scheme
from quantbench.tasks.last_word.task import LastWord
from tests.conftest import sentence
from tests.diagnosis.products import silent

if TYPE_CHECKING:
    from pathlib import Path

    from quantbench.data.prompts import Prompt


@pytest.fixture(scope="module")
def prompts(tiny_checkpoint: Path) -> list[Prompt]:
    task = LastWord(None, tiny_checkpoint)  # type: ignore[arg-type]
    return [task.prepare(Passage("0", sentence(0, 30)))]


class _Sleeps(torch.nn.Module):  # type: ignore[misc]
    def __init__(self, inside: torch.nn.Module | None, seconds: float) -> None:
        super().__init__()
        self.inside, self.seconds = inside, seconds

    def forward(self, x: Any) -> Any:
        time.sleep(self.seconds)
        return x if self.inside is None else self.inside(x)


def test_a_modules_time_is_without_that_of_the_modules_in_it() -> None:
    model = _Sleeps(_Sleeps(None, 0.04), 0.01)
    timed = _Timed(model, "cpu")
    with timed.listening():
        timed.round(lambda: model(torch.ones(1)), repeats=1)
        timed.round(lambda: (model(torch.ones(1)), model(torch.ones(1))), repeats=2)
    inner, outer = timed.ops(rounds=2)
    assert (inner.name, outer.name) == ("inside", "the model")
    assert 0.04 <= inner.ns / 1e9 < 0.06
    assert 0.01 <= outer.ns / 1e9 < 0.03


def test_layers_go_by_their_names_and_the_work_is_that_of_their_weights(
    tiny_checkpoint: Path, prompts: list[Prompt]
) -> None:
    from transformers import AutoModelForCausalLM

    found = profile(tiny_checkpoint, prompts, Machine(2), silent)
    n = len(prompts[0].tokens)
    assert [each.what for each in found] == [
        f"a prompt of {n} tokens",
        f"one token after a prompt of {n}",
    ]
    model = AutoModelForCausalLM.from_pretrained(tiny_checkpoint)
    linear = [m for m in model.modules() if isinstance(m, torch.nn.Linear)]
    for each in found:
        kinds = [op.kind for op in each.ops]
        assert kinds.count("down_proj") == model.config.num_hidden_layers
        assert kinds.count("lm_head") == 1
        assert each.work is not None
    (decoding,) = (each.work for each in found if each.what.startswith("one token"))
    assert decoding is not None
    assert decoding.operations == 2 * sum(m.weight.numel() for m in linear)
    assert not found[0].remarks


def test_beside_an_adapter_the_frozen_layer_keeps_its_name_and_nothing_is_counted_twice(
    tiny_checkpoint: Path,
) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_checkpoint)
    inside, head = _multiplied(model)
    layer = model.model.layers[0].mlp.down_proj
    down, up = torch.ones(4, layer.in_features), torch.ones(layer.out_features, 4)
    attach(model, {"model.layers.0.mlp.down_proj": (down, up)})
    assert _multiplied(model) == (inside + down.numel() + up.numel(), head)
    timed = _Timed(model, "cpu")
    with timed.listening():
        timed.round(lambda: model(torch.tensor([[1, 2, 3]])), repeats=1)
    kinds = [op.kind for op in timed.ops(rounds=1)]
    assert kinds.count("down_proj") == model.config.num_hidden_layers
    assert kinds.count("down_proj adapter") == 1
    assert "base" not in kinds


def test_a_packed_kernel_says_what_it_spends_its_time_on(
    tiny_checkpoint: Path, prompts: list[Prompt], tmp_path: Path
) -> None:
    HQQQuantizer().build(tiny_checkpoint, Scheme.parse("hqq_int4_g64"), [], tmp_path)
    found = profile(tmp_path, prompts, Machine(2), silent)
    for each in found:
        assert each.remarks
        assert each.remarks["down_proj"].startswith("inside HQQ")
        assert "%" in each.remarks["down_proj"]
