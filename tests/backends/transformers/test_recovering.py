"""Adapters that give back what rounding took: trained, stored, served, compared with the files."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from quantbench import Passages, cases
from quantbench.backends.transformers.recovering import adapters
from quantbench.backends.transformers.recovering.names import Recovery
from quantbench.backends.transformers.recovering.plan import Plan
from quantbench.backends.transformers.recovering.unpacked import unpacked_model
from quantbench.backends.transformers.runner import CausalLMRunner
from quantbench.core.settings import Machine, Settings
from quantbench.data.prompts import Prompt
from quantbench.data.texts import read_texts
from quantbench.errors import BuildError, PredictionError, UsageError
from quantbench.run.session import Session
from quantbench.run.steps.recover import unrecovered
from quantbench.store.artifacts import Store
from quantbench.study import Model, Scheme
from quantbench.study.registry import find_quantizer
from tests.conftest import sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from quantbench.store.artifacts import Artifact
    from quantbench.study import Case

SCHEME = "gptq_int2_g64_lora8_6k"


def described(folder: Path, checkpoint: Path, *schemes: str) -> Model:
    path = folder / "passages.jsonl"
    texts = [
        f"{sentence(i, 8 + i % 30)} home {'again' if i % 3 else 'fishbone'}" for i in range(260)
    ]
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    calibrating = folder / "calibration.jsonl"
    more = [f"{sentence(1000 + i, 12 + i % 20)} home again" for i in range(160)]
    calibrating.write_text("".join(json.dumps({"text": text}) + "\n" for text in more))
    data = Passages(
        "mine",
        f"file:{path}",
        calibration_source=f"file:{calibrating}",
        read_calibration=read_texts,
        default_n=60,
        calibration_n=40,
    )
    return Model(
        name="tiny",
        source=f"file:{checkpoint}",
        reference="reference",
        schemes=("reference", *schemes),
        datasets=(data,),
    )


def case_of(folder: Path, checkpoint: Path, scheme: str = SCHEME) -> Case:
    return cases(described(folder, checkpoint, scheme))[-1]


@pytest.fixture(scope="module")
def checkpoint(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with layers that decide, of weights with far outliers: two bits are too few.

    Processors round the tiny model's training apart, so this must not hang on its luck: of four
    seeds of it, training left .07 to .29 of the divergence.
    """
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("loud")
    shutil.copytree(tiny_checkpoint, folder, dirs_exist_ok=True)
    model = AutoModelForCausalLM.from_pretrained(tiny_checkpoint, dtype=torch.float32)
    for name, parameter in model.named_parameters():
        if "proj" in name:
            spread, parameter.data = parameter.data.std(), parameter.data**3
            parameter.data *= spread / parameter.data.std()
        if name == "model.embed_tokens.weight":
            parameter.data *= 0.2
        if name == "model.norm.weight":
            parameter.data *= 30
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recovering")


@pytest.fixture(scope="module")
def bench(home: Path) -> Any:
    with closing(Session(Settings(cache=home / "cache", threads=2))) as session:
        yield session


@pytest.fixture(scope="module")
def case(home: Path, checkpoint: Path) -> Case:
    return case_of(home, checkpoint)


@pytest.fixture(scope="module")
def built(bench: Session, case: Case) -> Artifact:
    return bench.artifact(case)


def test_names_say_base_rank_and_tokens() -> None:
    trained = Scheme.parse("gptq_int3_g64_lora16")
    assert (trained.quantizer, trained.bits, trained.group_size) == ("recovered", 3, 64)
    assert Recovery.of(trained) == Recovery("gptq_int3_g64", 16, 100_000)
    assert Recovery.of(Scheme.parse("bnb_nf4_lora8_60k")) == Recovery("bnb_nf4", 8, 60_000)
    assert Recovery.of(Scheme.parse("gptq_int2_g32_eora4_s2")) == Recovery("gptq_int2_g32", 4, 0)
    seeded: Any = find_quantizer(Scheme.parse("gptq_int2_g64_lora8_s2"))
    assert seeded.base(Scheme.parse("gptq_int2_g64_lora8_s2")).name == "gptq_int2_g64_s2"


@pytest.mark.parametrize(
    "name",
    ["reference_lora16", "hqq_int4_g64_lora16", "gptq_int3_g64_lora0", "gptq_int3_g64_eora16_60k",
     "gptq_int3_g64_lora16_lora16"],
)  # fmt: skip
def test_what_cannot_be_recovered_is_no_scheme(name: str) -> None:
    with pytest.raises(UsageError, match="unknown scheme"):
        Scheme.parse(name)


def test_it_learns_what_the_float_model_says(built: Artifact) -> None:
    """Most of the divergence goes; what is told of the stored pair is what the best look said."""
    before, after = built.details["held_out_before"], built.details["held_out_after"]
    assert after["held_out"] < 0.5 * before["held_out"]
    assert after["agreement"] > before["agreement"]
    curve = built.details["learning_curve"]
    best = min(look["held_out"] for look in curve)
    assert after["held_out"] == pytest.approx(best, rel=0.1)
    assert curve[0]["held_out"] < before["held_out"]  # EoRA has helped before any step
    assert [look["step"] for look in curve] == sorted({look["step"] for look in curve})


def test_evaluation_judges_the_stored_pair(bench: Session, case: Case, built: Artifact) -> None:
    """The runner's answers are those of transformers with the stored adapters merged by hand."""
    del built
    rows = bench.evaluate(case).rows
    folder = bench.artifact(case).path
    model = unpacked_model(folder, torch.float32, "cpu")[0]
    modules = dict(model.named_modules())
    for name, (down, up) in adapters.read(folder).items():
        modules[name].weight.data += up.float() @ down.float()
    for row in rows[:10]:
        tokens = torch.tensor([row["tokens"]])
        with torch.inference_mode():
            said = model(tokens).logits[0].log_softmax(-1)
        start = len(row["tokens"]) - len(row["logprobs"])
        meant = [float(said[i - 1, row["tokens"][i]]) for i in range(start, len(row["tokens"]))]
        assert row["logprobs"] == pytest.approx(meant, abs=0.25, rel=0.05)  # bfloat16


def test_the_recovered_case_loses_less(bench: Session, case: Case) -> None:
    reference, now = bench.reference(case), bench.evaluate(case)
    before = bench.evaluate(unrecovered(case))
    bench.reference(unrecovered(case))
    assert now.value("kl_divergence") < 0.7 * before.value("kl_divergence")
    assert now.rows != reference.rows


def test_its_bytes_are_counted_with_the_base_s(bench: Session, case: Case, built: Artifact) -> None:
    base = bench.artifact(unrecovered(case))
    stored = (built.path / "adapter/adapter_model.safetensors").stat().st_size
    assert 0 < stored - built.details["adapter_bytes"] < 5000  # names and shapes
    with closing(CausalLMRunner(built.path, Machine())) as runner:
        facts = runner.facts()
    with closing(CausalLMRunner(base.path, Machine())) as runner:
        before = runner.facts()
    assert facts.weights_bytes - before.weights_bytes == built.details["adapter_bytes"]
    assert facts.more["adapter_bytes"] == built.details["adapter_bytes"]
    held = facts.more["memory_footprint_bytes"] - before.more["memory_footprint_bytes"]
    assert held == built.details["adapter_bytes"]
    for path in base.path.glob("*"):  # nothing of the base has changed
        assert (built.path / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    "wrong",
    [*(pytest.param(each, marks=pytest.mark.slow) for each in ("doubled", "left out")),
     "of another training"],
)  # fmt: skip
def test_another_adapter_than_the_stored_one_is_caught(
    built: Artifact, tmp_path: Path, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the runner serves and scores is held against the files."""
    right = adapters.attach

    def attach(model: Any, tensors: Any, dtype: Any = None) -> list[Any]:
        factors = {"doubled": 2.0, "left out": 0.0, "of another training": 0.9}
        changed = {name: (down, factors[wrong] * up) for name, (down, up) in tensors.items()}
        return right(model, changed, dtype)

    monkeypatch.setattr(adapters, "attach", attach)
    with (
        closing(CausalLMRunner(built.path, Machine())) as runner,
        pytest.raises(PredictionError, match="adds something else than its stored adapter"),
    ):
        list(runner.predict_all([Prompt((1, 2, 3, 4), 3)]))


def test_peft_reads_the_adapter(built: Artifact) -> None:
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig.from_pretrained(str(built.path / "adapter"))
    assert (config.r, config.lora_alpha) == (8, 8)


class Killed(Exception):  # noqa: N818 - it stands for a signal
    """The process would be gone here."""


@pytest.mark.slow
def test_a_killed_training_goes_on_to_the_same_adapters(
    case: Case, built: Artifact, home: Path, tmp_path: Path
) -> None:
    """In a store that has the base alone; killed once by the system, once by an exception."""
    shutil.copytree(home / "cache", tmp_path, dirs_exist_ok=True)
    Store(tmp_path).remove("artifact", built.key)
    steps = built.details["learning_curve"][-1]["step"]
    told = str(home), case.model.source, str(tmp_path), str(steps // 3)
    root = Path(__file__).parents[3]
    dies = subprocess.run([sys.executable, "-c", DIES, *told], cwd=root, check=False)
    assert dies.returncode == -signal.SIGKILL
    with pytest.raises(BuildError, match="Killed"):
        Session(Settings(cache=tmp_path, threads=2), Killing(steps // 2 + 1)).artifact(case)
    (kept,) = (tmp_path / "building").glob("*.kept")
    counted = Counting()
    with closing(Session(Settings(cache=tmp_path, threads=2), counted)) as again:
        found = again.artifact(case)
    assert found.cache == "built"
    # Sums of several threads may round otherwise in their last bits.
    for name, pair in adapters.read(built.path).items():
        for mine, meant in zip(adapters.read(found.path)[name], pair, strict=True):
            torch.testing.assert_close(mine, meant, rtol=2**-6, atol=1e-5)
    assert max(counted.done) > steps // 4  # told at once of what was done before
    assert not kept.exists()
    curves = [
        [look["held_out"] for look in each.details["learning_curve"]] for each in (found, built)
    ]
    assert curves[0] == pytest.approx(curves[1], rel=1e-5)


class Counting:
    """Remembers what it is told of the training."""

    def __init__(self) -> None:
        self.done: list[int] = []

    @contextmanager
    def working(self, what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
        del total
        yield self.advance if what.endswith(": training") else lambda _: None

    def advance(self, n: int) -> None:
        self.done.append(n)


class Killing(Counting):
    """Ends the training after so many steps."""

    def __init__(self, at: int, *, by_signal: bool = False) -> None:
        super().__init__()
        self._at, self._by_signal = at, by_signal

    def advance(self, n: int) -> None:
        super().advance(n)
        if sum(self.done) >= self._at:
            if self._by_signal:
                os.kill(os.getpid(), signal.SIGKILL)
            raise Killed


DIES = """
import sys
from pathlib import Path
from quantbench.core.settings import Settings
from quantbench.run.session import Session
from tests.backends.transformers.test_recovering import Killing, case_of
home, source, cache, at = sys.argv[1:]
case = case_of(Path(home), Path(source.removeprefix("file:")))
Session(Settings(cache=Path(cache), threads=2), Killing(int(at), by_signal=True)).artifact(case)
"""


def test_without_training_there_is_no_curve(bench: Session, home: Path, checkpoint: Path) -> None:
    made = bench.artifact(case_of(home, checkpoint, "gptq_int2_g64_eora8"))
    assert "learning_curve" not in made.details
    assert made.details["held_out_after"]["held_out"] < made.details["held_out_before"]["held_out"]


def test_bitsandbytes_is_recovered_too(bench: Session, home: Path, checkpoint: Path) -> None:
    case = case_of(home, checkpoint, "bnb_nf4_lora8_3k")
    made = bench.artifact(case)
    assert made.details["held_out_after"]["held_out"] < made.details["held_out_before"]["held_out"]
    assert len(bench.evaluate(case).rows) == 60
    assert made.details["learned_from"] == 160  # nothing calibrated


def test_no_sample_that_calibrated_is_learned_from(bench: Session, case: Case) -> None:
    used = bench.samples(case, "calibration")
    assert len(used) == 40
    assert bench.artifact(case).details["learned_from"] == 120


def test_too_few_passages_are_refused(tmp_path: Path, checkpoint: Path) -> None:
    case = case_of(tmp_path, checkpoint)
    few = replace(case, dataset=replace(case.dataset, calibration_n=155))  # type: ignore[type-var]
    with (
        closing(Session(Settings(cache=tmp_path / "cache"))) as bench,
        pytest.raises(BuildError, match="too few passages to learn from"),
    ):
        bench.artifact(few)


class TestPlan:
    def test_all_passages_are_seen_before_one_is_seen_again(self) -> None:
        prompts = [Prompt((1,) * (3 + i % 7), 1) for i in range(50)]
        batches = Plan(tokens=2 * sum(len(p.tokens) for p in prompts)).batches(prompts)
        seen = [i for batch in batches for i in batch]
        assert sorted(seen[:50]) == sorted(seen[50:]) == list(range(50))
        assert seen[:50] != seen[50:]

    def test_the_rate_rises_and_falls_to_nothing(self) -> None:
        plan = Plan(tokens=1, rate=0.5)
        rates = [plan.rate_at(i, 100) for i in range(101)]
        assert max(rates) == 0.5 and rates[0] == 0.1
        assert rates[5:] == sorted(rates[5:], reverse=True)
        assert rates[100] == pytest.approx(0.0)

    def test_a_quarter_is_held_out_at_most(self) -> None:
        prompts = [Prompt((1, 2, i), 1) for i in range(40)]
        held, others = Plan(tokens=1).divided(prompts)
        assert (len(held), len(others)) == (10, 30)
        assert not set(held) & set(others)
