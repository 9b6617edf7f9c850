"""Known mistakes put into a detector that is trained back: none may reach a verdict."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from quantbench import cases
from quantbench.backends.litert.recovering import quantizer, stored
from quantbench.backends.litert.recovering.plan import Plan
from quantbench.backends.litert.recovering.weights import Trained
from quantbench.core.settings import Settings
from quantbench.errors import BuildError, DataError
from quantbench.run.samples import Samples
from quantbench.run.session import Session
from tests.backends.litert.conftest import float_path, samples
from tests.backends.litert.test_recovering import Build, base, build, others

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from quantbench.study import Case

__all__ = ["base", "build", "float_path", "others", "samples"]  # fixtures


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few steps are enough to be wrong."""
    plan = Plan(samples=160, rate=1e-2)
    monkeypatch.setattr(quantizer, "_plan", lambda scheme: plan)  # noqa: ARG005


def test_without_a_mistake_it_is_built(build: Build) -> None:
    assert build()[1]["weights_moved"] > 0


def nothing_written(right: Any) -> Any:
    del right
    return lambda executor, graph, shares: graph.content()  # noqa: ARG005


def cut_off(right: Any) -> Any:
    """Rounded to the integer below."""

    def mistake(self: Trained, shares: Any) -> Any:
        if not self.levels:
            return right(self, shares)
        return np.floor(shares * self.levels).clip(-self.levels, self.levels).astype(np.int8)

    return mistake


def written_to_another(right: Any) -> Any:
    """Weights of one channel end in the next."""

    def mistake(executor: Any, graph: Any, shares: Sequence[Any]) -> Any:
        return right(executor, graph, [np.roll(each, 1, axis=0) for each in shares])

    return mistake


def never_rounded(right: Any) -> Any:
    """The classic: what trains sees float weights, and its score is not the artifact's."""
    del right
    return lambda self, shares: shares * self.unit


@pytest.mark.parametrize(
    ("place", "name", "make", "says"),
    [
        (stored, "write", nothing_written, "the stored"),
        (Trained, "real", never_rounded, "the stored model answers otherwise"),
        pytest.param(*(stored, "write", written_to_another, "the stored"), marks=pytest.mark.slow),
        pytest.param(
            *(Trained, "stored", cut_off, "the stored model answers otherwise"),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_an_artifact_that_is_not_what_was_trained_is_caught(
    place: Any,
    name: str,
    make: Callable[[Any], Any],
    says: str,
    build: Build,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(place, name, make(getattr(place, name)))
    with pytest.raises(BuildError, match=says):
        build(kept=make.__name__)


def evaluated(self: Samples, case: Case, besides: Sequence[Any], most: int) -> Sequence[Any]:
    del besides
    return self.of(case, "evaluation")[:most]


def evaluated_under_other_names(
    self: Samples, case: Case, besides: Sequence[Any], most: int
) -> Sequence[Any]:
    """Another id and another label do not make a picture new."""
    found = evaluated(self, case, besides, most)
    return [replace(each, id=f"new-{i}", label="0") for i, each in enumerate(found)]


@pytest.mark.parametrize("leaking", [evaluated, evaluated_under_other_names])
def test_training_on_what_is_evaluated_is_refused(
    leaking: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is built."""
    monkeypatch.setattr(Samples, "learned", leaking)
    (case,) = cases("digits_classifier", schemes=["int8_static_distilled"])
    with (
        closing(Session(Settings(cache=tmp_path))) as bench,
        pytest.raises(DataError, match="would learn from samples that it is evaluated on"),
    ):
        bench.artifact(case)
    assert not (tmp_path / "artifact").exists()
