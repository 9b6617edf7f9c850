"""Random weights: the importer that knows the architecture is found, and no other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from quantbench.catalog.models import find_model
from quantbench.errors import UsageError
from quantbench.protocols import Backend, Import
from quantbench.run.steps import resolve
from quantbench.run.steps.resolve import importers_of
from quantbench.study.family import ListedSchemes

if TYPE_CHECKING:
    from quantbench.study import Model


def backend(name: str, starts_from: tuple[str, ...], **importers: Import) -> Backend:
    schemes = ListedSchemes(name, {"q": {f"{name}_float": ("float32", "float32")}})
    return Backend(
        name=name, schemes=schemes, runner="m:R", starts_from=starts_from, importers=importers
    )


TEXT = backend("text", ("hf",), words=Import("architecture", "hf", "m:W", ("llama", "qwen")))
PICTURES = backend(
    "pictures",
    ("tf",),
    seen=Import("architecture", "tf", "m:S", ("centernet",)),
    heads=Import("architecture", "pt", "m:H", ("detr",)),
    through=Import("pt", "tf", "m:T"),
)


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolve, "backends", lambda: {"text": TEXT, "pictures": PICTURES})


def model(architecture: str) -> Model:
    like = replace(find_model("smollm_135m"), architecture=architecture)
    return like.with_random_weights()


def names(architecture: str, to: Backend) -> list[str]:
    return [name for name, _ in importers_of(model(architecture), to)]


def test_the_importer_that_knows_the_architecture_is_taken() -> None:
    assert names("qwen", TEXT) == ["words"]
    assert names("centernet", PICTURES) == ["seen"]
    assert names("detr", PICTURES) == ["heads", "through"]


def test_an_unknown_one_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(UsageError) as caught:
        names("lama", TEXT)
    message = str(caught.value)
    assert "no importer knows the architecture 'lama'" in message
    assert "centernet, detr, llama, qwen" in message
    assert "did you mean 'llama'?" in message


def test_one_that_nobody_makes_for_this_backend_is_refused() -> None:
    with pytest.raises(UsageError, match="nothing makes a float model for pictures"):
        names("llama", PICTURES)


def test_a_model_of_this_format_needs_a_source_that_names_one() -> None:
    wrong = replace(find_model("smollm_135m"), format="architecture")
    with pytest.raises(UsageError, match=r"(?s)source names none.*random:ARCHITECTURE"):
        importers_of(wrong, TEXT)
