"""Known mistakes put back into the embedded study of a detector: it must go red for each.

The study is the float model and static int8 on the full thousand scenes: pictures that are spoilt
on their way in, or boxes on their way back, fail the round trip; what else is fed or read wrongly
misses the float model's anchor; what is wrong in the quantized path alone fails the gate.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from quantbench import cases, non_inferior
from quantbench.backends.litert import interpreter as runtime
from quantbench.catalog.digits import scenes
from quantbench.core.settings import Settings
from quantbench.errors import AnchorError, BuildError, DataError, PredictionError
from quantbench.run.session import Session
from quantbench.store.evidence import Evidence
from quantbench.tasks.detection import coco_numbers
from quantbench.tasks.detection import task as detection
from quantbench.tasks.detection.decoders import centernet
from tests.mutants.mutant import PREDICTED, Mutant, taken_over

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow
FLOAT, INT8 = (case for case in cases("digits_centernet", schemes=["float32", "int8_static"]))


def divided_again(right: Any) -> Any:
    """Boxes in pixels over the picture's size, y before x."""

    def wrong(boxes: Any, size: Any, detector: Any) -> Any:
        found = right(boxes, size, detector)
        height, width = size
        return (found / [width, height, width, height])[:, [1, 0, 3, 2]]

    return wrong


def shifted(right: Any) -> Any:
    """Every label one too high."""

    def wrong(name: str) -> Any:
        decode = right(name)

        def decoded(outputs: Any, described: Any) -> Any:
            found = decode(outputs, described)
            return found._replace(labels=(found.labels + 1) % len(described.category_ids))

        return decoded

    return wrong


def sigmoid(values: Any) -> Any:
    return 1 / (1 + np.exp(-values))


def swapped(right: Any) -> Any:
    """The int8 case gets the float model's file."""

    def wrong(self: Session, case: Any) -> Any:
        return right(self, FLOAT if case == INT8 else case)

    return wrong


def out_of_order(right: Any) -> Any:
    """The second evidence that is read has its rows in another order."""
    read: list[Any] = []

    def wrong(self: Evidence) -> Any:
        rows = right.func(self)
        read.append(self)
        return rows if len(read) == 1 else rows[::-1]

    return property(wrong)


MUTANTS = [
    Mutant(
        "a picture divided by 255 and cast back to uint8 is black",
        detection,
        "fitted",
        lambda right: lambda image, *more: right((image // 255).astype(np.uint8), *more),
        DataError,
        "is not seen",
    ),
    Mutant(
        "a picture fed from 0 to 255 where 0 to 1 is expected",
        detection,
        "fitted",
        lambda right: lambda *given: right(*given) * 255,
        DataError,
        "is not seen",
    ),
    Mutant(
        "a picture turned on its side",
        detection,
        "fitted",
        lambda right: lambda *given: right(*given).transpose(0, 2, 1, 3),
        DataError,
        "comes back elsewhere",
    ),
    Mutant(
        "boxes divided by the size of the picture again, y first",
        detection,
        "in_picture",
        divided_again,
        DataError,
        "comes back elsewhere",
    ),
    Mutant(
        "an offset within the cell forgotten",
        centernet,
        "output",
        lambda right: lambda outputs, role, fits: right(outputs, role, fits) * (role != "offset"),
        AnchorError,
        "does not reproduce",
    ),
    Mutant(
        "IoU from .01 on",
        coco_numbers,
        "match",
        lambda right: (
            lambda rows, ids, *more: right(rows, ids, *(more or (np.linspace(0.01, 0.46, 10),)))
        ),
        AnchorError,
        "two implementations",
        PREDICTED,
    ),
    Mutant(
        "labels off by one",
        detection,
        "find_decoder",
        shifted,
        AnchorError,
        "does not reproduce",
    ),
    Mutant(
        "a sigmoid applied twice",
        centernet,
        "_heatmap",
        lambda right: lambda *given: sigmoid(right(*given)),
        PredictionError,
        "sigmoid",
    ),
    Mutant(
        "the integer input's formula inverted",
        runtime,
        "quantize",
        lambda right: (
            lambda values, detail: (
                right(values, detail)
                if np.dtype(detail["dtype"]).kind == "f"
                else np.clip(
                    (values - detail["quantization"][1]) * detail["quantization"][0], -128, 127
                ).astype(detail["dtype"])
            )
        ),
        AssertionError,
        "assert <fail: ",
    ),
    Mutant(
        "scale and zero point of another tensor",
        runtime,
        "dequantize",
        lambda right: (
            lambda stored, detail: (
                right(stored, {**detail, "quantization": (0.05, 0)})
                if detail["quantization"][0]
                else right(stored, detail)
            )
        ),
        PredictionError,
        "scores must lie between 0 and 1",
    ),
    Mutant(
        "the quantized artifact is the float model",
        Session,
        "_build",
        swapped,
        BuildError,
        "is the float model's own",
        PREDICTED,
    ),
    Mutant(
        "rows paired by position instead of id",
        Evidence,
        "rows",
        out_of_order,
        DataError,
        "not evaluated on the same samples",
        PREDICTED,
    ),
]


@pytest.fixture(scope="module", autouse=True)
def drawn_once() -> Iterator[None]:
    """Scenes are the same for every mutant."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scenes, "scene", cache(scenes.scene))
        yield


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with both artifacts, from a run without a mistake; which passes."""
    folder = tmp_path_factory.mktemp("right")
    study(folder)
    return folder


def study(folder: Path) -> None:
    """What benchmarks/test_detection.py asserts of int8, on one thread."""
    bench = Session(Settings(cache=folder))
    reference = bench.reference(INT8)
    verdict = non_inferior(bench.evaluate(INT8), reference, metric="AP", margin=0.02)
    assert verdict


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_the_study_goes_red(
    mutant: Mutant, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = taken_over(built, tmp_path, *mutant.kept)
    mutant.put_back(monkeypatch)
    mutant.goes_red(lambda: study(folder))


def test_calibration_on_evaluated_scenes_is_refused(tmp_path: Path) -> None:
    class Leaking(type(INT8.dataset)):  # type: ignore[misc]
        def samples(self, files: Any, split: str, n: int | None) -> Any:
            del split
            return super().samples(files, "evaluation", n)

    leaking = Leaking(**vars(INT8.dataset))
    with pytest.raises(DataError, match="calibrated on samples that it is evaluated on"):
        Session(Settings(cache=tmp_path, samples=20)).evaluate(replace(INT8, dataset=leaking))
