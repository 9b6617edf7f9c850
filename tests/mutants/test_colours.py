"""Known mistakes put back into a made-up study in colour (`colours.py`): it must go red for each.

Here stand those that the digits, grey and square and without crowds, could not show.
"""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from ai_edge_litert import interpreter

from quantbench import Anchor, non_inferior
from quantbench.backends.litert import convert as quantizer
from quantbench.core.settings import Settings
from quantbench.data import photos
from quantbench.errors import (
    AnchorError,
    BuildError,
    DataError,
    IntegrityError,
    PredictionError,
    RecordError,
)
from quantbench.record.reading import read_document
from quantbench.record.recording import record_of
from quantbench.record.schema import document, with_latency
from quantbench.report.terminal import summary
from quantbench.run.samples import Samples
from quantbench.run.session import Session
from quantbench.store.artifacts import Store
from quantbench.tasks.detection import task as detection
from quantbench.tasks.detection.decoders import centernet
from quantbench.tasks.detection.metrics import average_precision, matching
from quantbench.tasks.detection.metrics.boxes import iou, xywh_to_xyxy
from quantbench.tasks.detection.task import Detection
from tests.mutants.colours import (
    BLUE,
    DETECTOR,
    RED,
    N,
    known_score,
    save_model,
    study_of,
    write_photos,
)
from tests.mutants.mutant import BUILT, IMPORTED, PREDICTED, Mutant, taken_over

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from quantbench.study import Case

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Colours:
    """The study's files, its cases, and a cache with what a run without a mistake built."""

    photos: Path
    model: Path
    anchor: Anchor
    built: Path

    def cases(self, **more: Any) -> tuple[Case, Case]:
        return study_of(self.model, self.photos, self.anchor, **more)

    def judge(self, cache: Path, **more: Any) -> dict[str, Any]:
        """What a test file asserts of int8; returns its record."""
        _, quantized = self.cases(**more)
        with closing(Session(Settings(cache=cache))) as bench:
            evaluation, reference = bench.evaluate(quantized), bench.reference(quantized)
            assert non_inferior(evaluation, reference, metric="AP", margin=0.05)
            return record_of(bench, quantized)


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Colours:
    folder = tmp_path_factory.mktemp("colours")
    write_photos(folder / "photos")
    save_model(folder / "model")
    score = known_score(folder / "photos")
    anchor = Anchor("AP", score, 1e-6, "photos", N, "numpy and pycocotools")
    made = Colours(folder / "photos", folder / "model", anchor, folder / "built")
    made.judge(made.built)
    return made


def without_its_offset(right: Any) -> Any:
    """Boxes scaled back, but still where the letterbox had put them."""

    def wrong(boxes: Any, size: Any, detector: Any) -> Any:
        return right(boxes, size, replace(detector, fit="letterbox_corner"))

    return wrong


def numbered_channels(right: Any) -> Any:
    """The channel's number plus one for an id: no map from channels to the data set's ids."""

    def wrong(self: Detection, sample: Any, prediction: Any) -> Any:
        row = right(self, sample, prediction)
        number = {RED: 1, BLUE: 2}
        said = [{**d, "category_id": number[d["category_id"]]} for d in row["detections"]]
        return {**row, "detections": said}

    return wrong


def by_index(right: Any) -> Any:
    """Outputs in the order that somebody once saw."""
    del right
    roles = ("heatmap", "size", "offset")
    return lambda outputs, role, fits: list(outputs.values())[roles.index(role)]  # noqa: ARG005


def gathered_with(**wrong: Any) -> Callable[[Any], Any]:
    """Boxes of which something is the same for all."""

    def make(right: Any) -> Any:
        def gathered(rows: Any, name: str) -> Any:
            boxes = right(rows, name)
            same = {k: np.full_like(getattr(boxes, k), v) for k, v in wrong.items()}
            return replace(boxes, **same)

        return gathered

    return make


def many_to_one(right: Any) -> Any:
    """Every detection takes the truth that it overlaps most, taken or not."""
    del right

    def wrong(
        said: Any, starts: Any, truths: Any, wanted: Any, crowd: Any, ignored: Any, thresholds: Any
    ) -> Any:
        del ignored
        partner = np.full((len(thresholds), len(said)), -1)
        for image in range(len(starts) - 1):
            mine, its = (slice(s[image], s[image + 1]) for s in (starts, wanted))
            if mine.stop == mine.start or its.stop == its.start:
                continue
            overlap = iou(xywh_to_xyxy(said[mine]), xywh_to_xyxy(truths[its]), crowd=crowd[its])
            near = overlap.max(axis=1)[None] >= np.asarray(thresholds)[:, None]
            partner[:, mine] = np.where(near, its.start + overlap.argmax(axis=1), -1)
        return partner

    return wrong


def precision_for_ap(right: Any) -> Any:
    """The share of boxes that are right, under the name of AP."""

    def wrong(matches: Any, weights: Any) -> Any:
        true, shown, _ = average_precision.operating_counts(matches, weights.shape[1], 0.0)
        return right(matches, weights) | {"AP": weights @ true / (weights @ shown)}

    return wrong


def on_black(right: Any) -> Any:
    """Calibration sees pictures that a cast has turned black."""

    def wrong(float_model: Any, scheme: Any, samples: Any, path: Any) -> Any:
        return right(float_model, scheme, [np.floor(sample * 0.99) for sample in samples], path)

    return wrong


def crowds_lost(right: Any) -> Any:
    """Annotations read without their flag."""
    return lambda annotation: right(annotation) | {"iscrowd": 0}


MUTANTS = [
    Mutant(
        "BGR for RGB",
        detection,
        "fitted",
        lambda right: lambda *given: right(*given)[..., ::-1],
        DataError,
        "expected: RGB (250, 130, 10)\n  got:      RGB (10, 130, 250)",
    ),
    Mutant(
        "the letterbox's offset forgotten in decoding",
        detection,
        "in_picture",
        without_its_offset,
        DataError,
        "comes back elsewhere",
    ),
    Mutant(
        "no map from channels to category ids",
        Detection,
        "evidence",
        numbered_channels,
        AnchorError,
        "does not reproduce its known score",
    ),
    Mutant(
        "outputs picked by a hard-coded index",
        centernet,
        "output",
        by_index,
        AnchorError,
        "does not reproduce",
    ),
    Mutant(
        "crowds read as single objects",
        photos,
        "_truth",
        crowds_lost,
        AnchorError,
        "does not reproduce",
    ),
    *(
        Mutant(
            name,
            place,
            what,
            make,
            AnchorError,
            "two implementations of COCO's protocol disagree",
            PREDICTED,
        )
        for name, place, what, make in (
            ("crowds counted", matching, "_gathered", gathered_with(crowd=False)),
            ("no order by score", matching, "_gathered", gathered_with(score=0.5)),
            ("many predictions match one truth", matching, "match_by_score", many_to_one),
            ("precision instead of AP", average_precision, "summarise", precision_for_ap),
        )
    ),
    Mutant(
        "calibration on one image",
        Samples,
        "_drawn",
        lambda right: lambda self, case: right(self, case)[:1],
        DataError,
        "would be calibrated on too few samples",
        IMPORTED,
    ),
    Mutant(
        "calibration on black pictures",
        quantizer,
        "convert",
        on_black,
        BuildError,
        "the quantized input cuts off its samples",
        IMPORTED,
    ),
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_the_study_goes_red(
    mutant: Mutant, colours: Colours, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = taken_over(colours.built, tmp_path / "cache", *mutant.kept)
    mutant.put_back(monkeypatch)
    mutant.goes_red(lambda: colours.judge(cache))


@pytest.mark.parametrize(
    "mistaken",
    [{"channels": "bgr"}, {"category_ids": (BLUE, RED)}, {"strides": (8,)}],
    ids=str,
)
def test_a_wrong_description_of_the_detector_misses_the_anchor(
    mistaken: dict[str, Any], colours: Colours, tmp_path: Path
) -> None:
    """Code that does what a mistaken description says is consistent: only a known score tells."""
    cache = taken_over(colours.built, tmp_path / "cache", "source")
    with pytest.raises(AnchorError, match="does not reproduce its known score"):
        colours.judge(cache, detector=replace(DETECTOR, **mistaken))


def test_evidence_of_an_earlier_artifact_is_refused(
    colours: Colours, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Evidence kept under a key that forgets the artifact, which then changes."""
    right = Store.get

    def forgetful(self: Store, kind: str, ingredients: Any, build: Any) -> Any:
        if kind == "evidence":
            ingredients = {k: v for k, v in ingredients.items() if k != "artifact"}
        return right(self, kind, ingredients, build)

    monkeypatch.setattr(Store, "get", forgetful)
    case, _ = study_of(colours.model, colours.photos)
    Session(Settings(cache=tmp_path / "cache")).evaluate(case)
    save_model(tmp_path / "model", brightness=0.5)
    changed, _ = study_of(tmp_path / "model", colours.photos)
    with pytest.raises(IntegrityError, match="is that of another artifact"):
        Session(Settings(cache=tmp_path / "cache")).evaluate(changed)


@pytest.fixture
def undelegated(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interpreter is opened without XNNPACK."""
    plain = interpreter.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    opened = partial(interpreter.Interpreter, experimental_op_resolver_type=plain)
    monkeypatch.setattr(interpreter, "Interpreter", opened)


@pytest.mark.usefixtures("undelegated")
def test_an_undelegated_run_is_not_timed(colours: Colours, tmp_path: Path) -> None:
    cache = taken_over(colours.built, tmp_path / "cache", *BUILT)
    case, _ = colours.cases()
    bench = Session(Settings(cache=cache))
    with (
        pytest.raises(PredictionError, match="timed on other kernels than it was built"),
        bench.warmed(case, bench.sample(case)),
    ):
        pass


@dataclass
class Timing:
    """Pytest-benchmark's statistics."""

    median: float = 2e-3
    iqr: float = 1e-3
    min: float = 1e-3
    q1: float = 1e-3
    q3: float = 2e-3
    max: float = 3e-3
    rounds: int = 9


@pytest.mark.usefixtures("undelegated")
def test_a_latency_that_was_never_delegated_says_so(colours: Colours, tmp_path: Path) -> None:
    """Where the build was without the delegate too there is nothing to compare: it is printed."""
    cache = taken_over(colours.built, tmp_path / "cache", *IMPORTED)
    case, _ = colours.cases()
    bench = Session(Settings(cache=cache))
    sample = bench.sample(case)
    with bench.warmed(case, sample):
        facts = bench.runners.facts[case]
    record = with_latency(record_of(bench, case), Timing(), sample, facts)
    said = list(summary([record]))
    assert "  float32: timed on plain kernels: no delegate took any of 5 ops" in said


STEADY = np.linspace(0.99e-3, 1.01e-3, 40)


def judged_on_time(colours: Colours, float_s: Any, int8_s: Any) -> tuple[str, float]:
    """The verdict on int8's latency, and its median in seconds."""
    reference, quantized = colours.cases()
    bench = Session(Settings(cache=colours.built))
    bench.timed(reference, float_s)
    bench.timed(quantized, int8_s)
    evaluation = bench.evaluate(quantized)
    verdict = non_inferior(evaluation, bench.reference(quantized), metric="latency", margin="10%")
    return verdict.outcome, evaluation.value("latency")


def test_a_cold_first_call_moves_neither_the_median_nor_the_verdict(
    colours: Colours, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Warm-up in the timing, which means and totals carry on into a throughput."""
    meant = judged_on_time(colours, STEADY, STEADY)
    right = Session.timed

    def cold(self: Session, case: Case, seconds: Any) -> None:
        right(self, case, [500 * seconds[0], *seconds[1:]])

    monkeypatch.setattr(Session, "timed", cold)
    outcome, median = judged_on_time(colours, STEADY, STEADY)
    assert outcome == meant[0] == "pass"
    assert median == pytest.approx(meant[1], rel=1e-3)


@pytest.mark.parametrize("ratio", [500, 1 / 500])
def test_one_call_each_decides_nothing(ratio: float, colours: Colours) -> None:
    """A model that was timed cold, once, is neither slower nor faster than another."""
    assert judged_on_time(colours, STEADY[:1], STEADY[:1] * ratio)[0] == "inconclusive"


def conclusion_by_hand(found: dict[str, Any]) -> None:
    (verdict,) = found["records"][0]["verdicts"]
    verdict |= {"low": -0.3, "high": -0.2}  # what was measured later, under the old "pass"


def results_of_two_runs(found: dict[str, Any]) -> None:
    found["records"] += found["records"]


@pytest.mark.parametrize(
    ("bend", "says"),
    [
        (conclusion_by_hand, "a verdict contradicts its own numbers"),
        (results_of_two_runs, "holds a case twice"),
    ],
)
def test_a_record_that_no_run_wrote_is_refused(
    bend: Callable[[dict[str, Any]], None], says: str, colours: Colours, tmp_path: Path
) -> None:
    found = document([colours.judge(colours.built)], {}, {})
    path = tmp_path / "out.json"
    path.write_text(json.dumps({"quantbench": found}))
    assert read_document(path)["records"]
    bend(found)
    path.write_text(json.dumps({"quantbench": found}))
    with pytest.raises(RecordError, match=says):
        read_document(path)


def test_a_second_run_appended_to_the_file_is_refused(colours: Colours, tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    for _ in range(2):
        found = document([colours.judge(colours.built)], {}, {})
        with path.open("a") as file:
            file.write(json.dumps({"quantbench": found}) + "\n")
    with pytest.raises(RecordError, match="cannot read the file"):
        read_document(path)
