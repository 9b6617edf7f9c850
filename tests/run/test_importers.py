"""The shortest chain of importers leads from a model's float format to what a backend takes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from quantbench.catalog.models import find_model
from quantbench.errors import UsageError
from quantbench.protocols import Backend, Import
from quantbench.run.steps import resolve
from quantbench.run.steps.resolve import importers_of
from quantbench.study.family import ListedSchemes

MODEL = replace(find_model("digits_centernet"), importer=None, anchors=())


def backend(name: str, starts_from: tuple[str, ...], **importers: Import) -> Backend:
    return Backend(
        name=name,
        schemes=ListedSchemes(name, {}),
        runner="m:R",
        starts_from=starts_from,
        importers=importers,
    )


def step(reads: str, writes: str) -> Import:
    return Import(reads, writes, f"m:{reads}_{writes}")


TORCH = backend("torch", ("pt2",), exported=step("module", "pt2"))
OTHER = backend(
    "other",
    ("onnx",),
    from_pt2=step("pt2", "onnx"),
    detour=step("module", "keras"),
    from_keras=step("keras", "tf"),
    from_tf=step("tf", "onnx"),
    by_name=step("", "onnx"),
)
LITERT = backend("lite", ("tflite",), from_onnx=step("onnx", "tflite"), own=step("pt2", "tflite"))


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    every = {each.name: each for each in (TORCH, OTHER, LITERT)}
    monkeypatch.setattr(resolve, "backends", lambda: every)
    found: Any = {name: each for b in every.values() for name, each in b.importers.items()}
    monkeypatch.setattr(resolve, "find_importer", lambda name: found[name])


def names(model: Any, to: Backend) -> list[str]:
    return [name for name, _ in importers_of(model, to)]


def test_the_shortest_chain_is_taken_through_other_backends() -> None:
    assert names(replace(MODEL, format="module"), OTHER) == ["exported", "from_pt2"]
    assert names(replace(MODEL, format="module"), LITERT) == ["exported", "own"]
    assert names(replace(MODEL, format="tf"), LITERT) == ["from_tf", "from_onnx"]


def test_what_a_backend_takes_is_left_as_it_is() -> None:
    assert names(replace(MODEL, format="onnx"), OTHER) == []
    assert names(MODEL, OTHER) == []
    assert names(replace(MODEL, format="anything"), backend("open", ())) == []


def test_a_models_own_importer_comes_first() -> None:
    assert names(replace(MODEL, importer="by_name"), OTHER) == ["by_name"]
    assert names(replace(MODEL, importer="by_name"), LITERT) == ["by_name", "from_onnx"]


def test_one_that_is_only_used_by_name_joins_no_chain() -> None:
    with pytest.raises(UsageError, match=r"(?s)for torch of the format 'onnx'.*pt2.*onnx"):
        names(replace(MODEL, format="onnx"), TORCH)
