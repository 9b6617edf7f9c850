"""Known mistakes put into a scheme that is trained back: none may reach a verdict."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
import torch

from quantbench import Passages
from quantbench.backends.transformers.dense import dense_model
from quantbench.backends.transformers.recovering import adapters
from quantbench.core.settings import Settings
from quantbench.data.samples import Passage
from quantbench.errors import BuildError, DataError, PredictionError
from quantbench.run.samples import Samples
from quantbench.run.session import Session
from tests.backends.transformers.test_recovering import case_of, checkpoint

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from quantbench.study import Case

__all__ = ["checkpoint"]  # a fixture

SCHEME = "gptq_int2_g64_lora8_2k"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mutants")


@pytest.fixture(scope="module")
def case(home: Path, checkpoint: Path) -> Case:
    return case_of(home, checkpoint, SCHEME)


def test_without_a_mistake_it_is_judged(home: Path, case: Case) -> None:
    with closing(Session(Settings(cache=home / "cache", threads=2))) as bench:
        bench.reference(case)
        assert bench.evaluate(case).value("kl_divergence") > 0


def evaluated(self: Samples, case: Case, besides: Sequence[Any], most: int) -> Sequence[Any]:
    del besides
    return self.of(case, "evaluation")[:most]


def evaluated_as_lambada_would_write_it(
    self: Samples, case: Case, besides: Sequence[Any], most: int
) -> Sequence[Any]:
    """Lower case and spaced tokens do not make a passage new."""
    spaced = (
        p.text.lower().replace("home", "home ,") for p in evaluated(self, case, besides, most)
    )
    return [Passage(str(i), text) for i, text in enumerate(spaced)]


@pytest.mark.parametrize("leaking", [evaluated, evaluated_as_lambada_would_write_it])
def test_training_on_what_is_evaluated_is_refused(
    leaking: Any, tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is built."""
    monkeypatch.setattr(Samples, "learned", leaking)
    with (
        closing(Session(Settings(cache=tmp_path / "cache"))) as bench,
        pytest.raises(DataError, match="would learn from samples that it is evaluated on"),
    ):
        bench.artifact(case_of(tmp_path, checkpoint, SCHEME))
    assert not (tmp_path / "cache/artifact").exists()


def test_a_data_set_that_restores_evaluated_texts_is_refused(
    tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`as_evaluated` changes the form of a sample, never which sample it is."""
    case = case_of(tmp_path, checkpoint, SCHEME)

    def another(self: Passages, sample: Passage) -> Passage:
        del self, sample
        return bench.samples(case, "evaluation")[0]  # type: ignore[no-any-return]

    monkeypatch.setattr(Passages, "as_evaluated", another)
    with (
        closing(Session(Settings(cache=tmp_path / "cache"))) as bench,
        pytest.raises(DataError, match="would learn from samples that it is evaluated on"),
    ):
        bench.artifact(case)


def test_the_score_of_the_training_s_float_weights_is_caught(
    home: Path, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fake quantization: the twin that is scored holds weights that were never packed."""

    def fake(folder: Path, dtype: Any, device: str = "cpu") -> Any:
        model = dense_model(folder, dtype, device)
        generator = torch.Generator().manual_seed(0)
        for name, module in model.named_modules():
            if name.endswith("_proj"):
                noise = torch.randn(module.weight.shape, generator=generator) * module.weight.std()
                module.weight.data += 0.3 * noise.to(module.weight)
        return model

    monkeypatch.setattr("quantbench.backends.transformers.runner.dense_model", fake)
    evaluate_anew(home, case, "the packed kernel and its unpacked weights disagree")


@pytest.mark.parametrize("factor", [0.0, 2.0, pytest.param(0.9, marks=pytest.mark.slow)])
def test_the_score_of_another_adapter_than_the_stored_one_is_caught(
    factor: float, home: Path, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Left out, as training had it, scaled twice."""
    right = adapters.attach_stored

    def other(model: Any, folder: Path) -> None:
        right(model, folder)
        for module in model.modules():
            if hasattr(module, "up"):
                module.up.data *= factor

    monkeypatch.setattr(adapters, "attach_stored", other)
    evaluate_anew(home, case, "adds something else than its stored adapter")


def evaluate_anew(home: Path, case: Case, says: str) -> None:
    """With the artifact at hand, and no evidence."""
    with closing(Session(Settings(cache=home / "cache", threads=2))) as bench:
        bench.artifact(case)
        for place in (home / "cache/evidence").glob("*"):
            bench._context.store.remove("evidence", place.name)  # noqa: SLF001
        with pytest.raises(PredictionError, match=says):
            bench.evaluate(case)


def test_a_build_that_stores_another_adapter_than_it_trained_is_caught(
    tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = adapters.write

    def other(tensors: Any, folder: Path) -> None:
        right({name: (down, -up) for name, (down, up) in tensors.items()}, folder)

    monkeypatch.setattr(adapters, "write", other)
    with (
        closing(Session(Settings(cache=tmp_path / "cache"))) as bench,
        pytest.raises(BuildError, match="answer otherwise than those that were trained"),
    ):
        bench.artifact(case_of(tmp_path, checkpoint, SCHEME))
