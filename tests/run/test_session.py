"""A case's way: pairing, disjointness, and keys that change with each ingredient alone."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantbench import Case, Detector, Model, Passages, Scheme, Verdict, cases, non_inferior
from quantbench.catalog.models import MODELS
from quantbench.core.settings import Settings
from quantbench.data.samples import Picture
from quantbench.errors import AnchorError, DataError, UsageError
from quantbench.run.evaluation import Evaluation
from quantbench.run.session import Session
from quantbench.run.steps import build as building
from quantbench.stats.bootstrap import resampling_weights
from quantbench.stats.influence import mean_influence
from quantbench.store.artifacts import Artifact, Store
from quantbench.store.evidence import Evidence
from quantbench.study import Anchor
from quantbench.study.calibration import calibrates
from quantbench.study.registry import find_quantizer
from tests.conftest import sentence


def evaluation(right: list[int], first_id: int = 0, metric: str = "accuracy") -> Evaluation:
    values = np.array(right, dtype=float)
    weights = resampling_weights(len(values), 1000, seed=0)
    artifact = Artifact("k", Path(), "s", 0, 0.0, {})
    return Evaluation(
        case=cases("digits_centernet")[0],
        name="toy",
        rows=[{"id": f"{first_id + i}", "value": value} for i, value in enumerate(right)],
        replicates={metric: weights @ values / len(values), "undefined": np.full(1001, np.nan)},
        lower_is_better=frozenset({"perplexity"}),
        dataset={"name": "toy", "n": len(right), "sha256": ""},
        artifact=artifact,
        evidence=Evidence((artifact,)),
        summarise_s=0.0,
        moved_by=lambda _: mean_influence(values > 0 if metric == "accuracy" else values),
    )


def test_the_three_verdicts() -> None:
    reference = evaluation([1] * 80 + [0] * 20)
    for right, outcome in ((80, "pass"), (60, "fail"), (78, "inconclusive")):
        judged = evaluation([1] * right + [0] * (100 - right))
        heard: list[Verdict] = []
        judged.on_verdict = heard.append
        verdict = non_inferior(judged, reference, "accuracy", margin=0.03)
        assert verdict.outcome == outcome
        assert bool(verdict) is (outcome == "pass")
        assert heard == [verdict]


def test_a_higher_perplexity_is_the_loss() -> None:
    reference = evaluation([5] * 100, metric="perplexity")
    worse, better = (evaluation([v] * 100, metric="perplexity") for v in (7, 3))
    assert non_inferior(worse, reference, "perplexity", margin=1).outcome == "fail"
    assert non_inferior(better, reference, "perplexity", margin=1).outcome == "pass"


def test_groups_that_no_row_shows_do_not_count() -> None:
    """An early stop has seen some groups of all."""
    judged = evaluation([1] * 12)
    judged.groups = [f"g{number % 23}" for number in range(40, 200)]
    numbers = judged.seen_group_numbers
    assert numbers is not None
    assert sorted(set(numbers.tolist())) == list(range(12))
    assert (judged.seen_groups, len(numbers)) == (12, 12)
    judged.groups = ["a", "b"] * 80
    with pytest.raises(DataError, match="too few groups"):
        _ = judged.seen_group_numbers


def test_pairing_reduces_the_interval() -> None:
    """Ten flips of 200 samples: the unpaired interval would be three times as wide."""
    rng = np.random.default_rng(0)
    right = rng.integers(0, 2, 200)
    changed = right.copy()
    changed[:10] ^= 1
    difference = non_inferior(evaluation(list(changed)), evaluation(list(right)), "accuracy", 0.1)
    width = difference.difference.high - difference.difference.low
    unpaired = 2 * 1.645 * (2 * 0.25 / 200) ** 0.5
    assert width < unpaired / 2


def test_a_gate_that_cannot_fail_is_refused() -> None:
    """AP points given for a share, or a reference that found nothing."""
    reference, collapsed = evaluation([1] * 80 + [0] * 20), evaluation([0] * 100)
    with pytest.raises(UsageError, match="cannot fail"):
        non_inferior(reference, reference, "accuracy", margin=2.0)
    with pytest.raises(UsageError, match="cannot fail"):
        non_inferior(collapsed, collapsed, "accuracy", margin=0.05)


def test_rows_of_another_data_set_with_the_same_ids_are_refused() -> None:
    other = evaluation([1, 0])
    other.dataset = {"name": "toy", "n": 2, "sha256": "other"}
    with pytest.raises(DataError, match="same samples"):
        non_inferior(evaluation([1, 0]), other, "accuracy", 0.1)


def test_rows_of_other_samples_are_refused() -> None:
    with pytest.raises(DataError, match="not evaluated on the same samples"):
        non_inferior(evaluation([1, 0]), evaluation([1, 0], first_id=1), "accuracy", 0.1)


def test_rows_in_another_order_are_refused_and_never_paired_by_position() -> None:
    judged = evaluation([1, 0])
    judged.rows = judged.rows[::-1]
    with pytest.raises(DataError, match="same samples"):
        non_inferior(judged, evaluation([1, 0]), "accuracy", 0.1)


def test_unknown_and_undefined_metrics_are_refused() -> None:
    judged = evaluation([1, 0])
    heard: list[Verdict] = []
    judged.on_verdict = heard.append
    with pytest.raises(UsageError, match="expected: accuracy, undefined"):
        non_inferior(judged, judged, "AP", 0.1)
    with pytest.raises(UsageError, match="undefined is undefined on these samples"):
        non_inferior(judged, judged, "undefined", 0.1)
    assert heard == []


@dataclass(frozen=True)
class Grey:
    """Ten grey pictures for evaluation; calibration may share one."""

    name: str = "grey"
    task: str = "detection"
    source: str | None = None
    calibration_source: str | None = None
    default_n: int = 10
    calibration_n: int = 4
    first_calibration: int = 100
    category: int = 1
    categories: tuple[int, ...] = ()

    def samples(self, files: Any, split: str, n: int | None) -> list[Picture]:
        del files
        first = self.first_calibration if split == "calibration" else 0
        return [
            Picture(
                f"{split}-{i}",
                np.full((8, 8, 3), first + i, np.uint8),
                ({"bbox": [1, 1, 2, 2], "category_id": self.category},),
                dict.fromkeys(self.categories, "grey") or None,
            )
            for i in range(20 if n is None else n)
        ]


@pytest.fixture
def model(tmp_path: Path) -> Model:
    weights = tmp_path / "model.bin"
    weights.write_bytes(b"weights")
    return Model(
        name="toy",
        source=f"file:{weights}",
        reference="float32",
        schemes=("float32", "int8_static"),
        datasets=(Grey(),),
        interface=Detector(
            size=(8, 8),
            value_range=(0.0, 1.0),
            decoder="centernet",
            strides=(4,),
            category_ids=(1,),
        ),
    )


class Recorder:
    """Stands in for the store: notes the ingredients and builds nothing but sources."""

    def __init__(self, root: Path, artifact_sha256: str = "sha256") -> None:
        self.root = root
        self.artifact_sha256 = artifact_sha256
        self.asked: dict[str, dict[str, Any]] = {}

    def get(self, kind: str, ingredients: dict[str, Any], build: Any) -> Artifact:
        from quantbench.store.artifacts import Store

        self.asked[kind] = dict(ingredients)
        if kind == "source":
            return Store(self.root).get(kind, ingredients, build)
        return Artifact("key", self.root, self.artifact_sha256, 0, 0.0, {})


def evidence_of(model: Model, tmp_path: Path, artifact: str = "a", **data: Any) -> dict[str, Any]:
    recorder: Any = Recorder(tmp_path / "cache", artifact)
    bench = Session(Settings(), store=recorder)
    bench.evidence(cases(replace(model, datasets=(Grey(**data),)))[0])
    return dict(recorder.asked["evidence"])


def test_evidence_is_of_one_artifact_samples_and_decoding(model: Model, tmp_path: Path) -> None:
    """Stale evidence cannot be served: a rebuilt artifact of other bytes is another key."""
    assert model.interface is not None
    base = evidence_of(model, tmp_path)
    assert evidence_of(model, tmp_path) == base
    assert evidence_of(model, tmp_path, artifact="b") != base
    assert evidence_of(model, tmp_path, default_n=9) != base
    shifted = replace(model, interface=replace(model.interface, strides=(8,)))
    assert evidence_of(shifted, tmp_path) != base
    assert evidence_of(model, tmp_path, category=2) != base, "corrected truth, stale evidence"
    assert base["runner"][0] == "litert"
    # What is asked of the rows afterwards does not change them.
    points = replace(model, interface=replace(model.interface, operating_points=((0.7, 0.3),)))
    assert evidence_of(points, tmp_path) == base
    # What the data set is called, or how it calibrates, is not what was seen.
    assert evidence_of(model, tmp_path, name="other", calibration_n=9) == base


def ingredients_of(model: Model, tmp_path: Path, scheme: str, **data: Any) -> dict[str, Any]:
    changed = replace(model, datasets=(Grey(**data),))
    recorder: Any = Recorder(tmp_path / "cache")
    bench = Session(Settings(), store=recorder)
    (case,) = [case for case in cases(changed) if case.scheme.name == scheme]
    bench.artifact(case)
    return dict(recorder.asked["artifact"])


def test_a_detector_of_other_categories_is_refused_even_where_its_evidence_is_stored(
    model: Model, tmp_path: Path
) -> None:
    assert evidence_of(model, tmp_path, categories=(1, 2))
    assert model.interface is not None
    mistaken = replace(model, interface=replace(model.interface, category_ids=(3,)))
    with pytest.raises(DataError, match=r"(?s)not those of the annotations.*got: +3"):
        evidence_of(mistaken, tmp_path, categories=(1, 2))


def test_an_artifacts_key_changes_with_each_ingredient(model: Model, tmp_path: Path) -> None:
    base = ingredients_of(model, tmp_path, "int8_static")
    assert ingredients_of(model, tmp_path, "int8_static") == base
    assert ingredients_of(model, tmp_path, "float32") != base
    assert ingredients_of(model, tmp_path, "int8_static", calibration_n=5) != base
    assert ingredients_of(model, tmp_path, "int8_static", first_calibration=101) != base
    assert set(base["tools"]) == {"tensorflow", "ai-edge-litert"}
    assert model.interface is not None
    scaled = replace(model, interface=replace(model.interface, value_range=(-1.0, 1.0)))
    assert ingredients_of(scaled, tmp_path, "int8_static") != base, "calibrated on other inputs"
    compared = ingredients_of(model, tmp_path, "float32")
    assert ingredients_of(scaled, tmp_path, "float32") != compared, "compared on other inputs"
    aeq = "int8_dynamic_aeq"  # neither calibrated nor compared
    plain, changed = (replace(each, schemes=(*each.schemes, aeq)) for each in (model, scaled))
    assert ingredients_of(changed, tmp_path, aeq) == ingredients_of(plain, tmp_path, aeq)
    (tmp_path / "model.bin").write_bytes(b"other weights")
    assert ingredients_of(model, tmp_path, "int8_static") != base


def test_a_float_models_key_changes_with_what_its_importer_reads(
    model: Model, tmp_path: Path
) -> None:
    def imported(**changes: Any) -> dict[str, Any]:
        assert model.interface is not None
        recorder: Any = Recorder(tmp_path / "cache")
        detector = replace(model.interface, **changes)
        described = replace(model, importer="keras", interface=detector)
        Session(Settings(), store=recorder).float_model(cases(described)[0])
        asked: dict[str, Any] = recorder.asked["float_model"]
        return asked

    base = imported()
    assert imported() == base
    for change in (
        {"size": (16, 16)},
        {"layout": "nchw"},
        {"outputs": (("heatmap", "h"),)},
    ):
        assert imported(**change) != base
    assert imported(strides=(8,)) == base


def test_an_artifacts_key_does_not_change_with_what_it_is_evaluated_on(
    model: Model, tmp_path: Path
) -> None:
    base = ingredients_of(model, tmp_path, "int8_static")
    assert ingredients_of(model, tmp_path, "int8_static", default_n=20) == base
    assert ingredients_of(model, tmp_path, "int8_static", name="other") == base
    float32 = ingredients_of(model, tmp_path, "float32")
    assert ingredients_of(model, tmp_path, "float32", calibration_n=7) == float32


def test_calibrating_on_an_evaluated_sample_is_an_error(model: Model, tmp_path: Path) -> None:
    """Mistake 3 of the published study, caught by content: the ids differ."""
    with pytest.raises(DataError, match=r"(?s)calibrated on samples.*1 shared"):
        ingredients_of(model, tmp_path, "int8_static", first_calibration=9)


def test_a_seed_draws_other_calibration_samples(model: Model, tmp_path: Path) -> None:
    names = ("int8_static", "int8_static_s1", "int8_static_s2")
    seeded = replace(model, schemes=("float32", *names))
    first, one, two = (ingredients_of(seeded, tmp_path, name)["calibration"] for name in names)
    assert len(first) == len(one) == len(two) == 4
    assert set(first) != set(one) != set(two)
    assert ingredients_of(seeded, tmp_path, "int8_static_s1")["calibration"] == one
    with pytest.raises(UsageError, match=r"more than 20 samples to draw from"):
        ingredients_of(seeded, tmp_path, "int8_static_s1", calibration_n=20)


class Own:
    """A quantizer of one's own that writes down what it was shown."""

    tools = ()
    version = 1
    shown: list[list[float]] = []  # noqa: RUF012 - every instance writes into it

    def build(self, float_model: Any, scheme: Scheme, samples: Any, folder: Path) -> Any:
        del float_model, scheme
        self.shown.append([float(sample.max()) for sample in samples])
        (folder / "model.tflite").write_text("built")
        return {}


def build_own(
    model: Model,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    calibrated: Any = None,
    scheme: Scheme | None = None,
    **data: Any,
) -> tuple[list[float], dict[str, Any]]:
    """What a quantizer of one's own is shown of the grey pictures, and its artifact's key."""
    declared = {} if calibrated is None else {"calibrated": calibrated}
    kind: Any = type("Own", (Own,), {**declared, "shown": []})
    monkeypatch.setattr(building, "find_quantizer", lambda _: kind())
    mine = scheme or Scheme("own", "litert", "own:Own", "int8", "float")
    (case,) = cases(replace(model, datasets=(Grey(**data),)), schemes=[mine])
    asked: dict[str, dict[str, Any]] = {}

    class Watched(Store):
        def get(self, kind: str, ingredients: Any, build: Any) -> Artifact:
            asked[kind] = dict(ingredients)
            return super().get(kind, ingredients, build)

    bench = Session(Settings(), store=Watched(tmp_path / "cache"))
    bench.artifact(case)
    (shown,) = kind.shown
    return [round(255 * value) for value in shown], asked["artifact"]


def test_a_quantizer_that_does_not_say_whether_it_calibrates_never_sees_evaluated_samples(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown, key = build_own(model, tmp_path, monkeypatch)
    assert shown == [100, 101, 102]
    assert len(key["calibration"]) == 3, "what it may have calibrated with is in its key"
    assert "protocol" in key
    assert build_own(model, tmp_path, monkeypatch, first_calibration=50)[1] != key


def test_one_that_calibrates_says_so_and_gets_the_calibration_samples(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(self: Own, scheme: Scheme) -> bool:
        del self
        return scheme.weights == "int8"

    for i, says in enumerate((True, asked)):
        folder = tmp_path / str(i)
        folder.mkdir()
        shown, key = build_own(model, folder, monkeypatch, says)
        assert shown == [100, 101, 102, 103]
        assert len(key["calibration"]) == 4
    with pytest.raises(DataError, match="calibrated on samples that it is evaluated on"):
        build_own(model, tmp_path, monkeypatch, calibrated=True, first_calibration=9)


def test_one_that_does_not_calibrate_has_a_key_without_samples(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown, key = build_own(model, tmp_path, monkeypatch, calibrated=False)
    assert shown == [100, 101, 102]
    assert key["calibration"] == []


def test_samples_that_check_an_artifact_are_none_that_are_evaluated(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even where the two splits share some."""
    shown, _ = build_own(model, tmp_path, monkeypatch, first_calibration=8)
    assert shown == [10, 11]
    (tmp_path / "other").mkdir()
    shown, _ = build_own(model, tmp_path / "other", monkeypatch, calibration_n=0)
    assert shown == []


def test_an_answer_about_calibration_that_is_none_is_refused(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=r"(?s)own:Own does not say whether.*'yes'"):
        build_own(model, tmp_path, monkeypatch, calibrated="yes")
    drawn = Scheme("own_s1", "litert", "own:Own", "int8", "float", seed=1)
    with pytest.raises(UsageError, match="a seed changes nothing"):
        build_own(model, tmp_path, monkeypatch, calibrated=False, scheme=drawn)


def test_schemes_by_name_are_calibrated_as_their_quantizers_say() -> None:
    for described in MODELS.values():
        for scheme in map(Scheme.parse, described.schemes):
            said = calibrates(find_quantizer(scheme), scheme)
            by_name = scheme.static or scheme.quantizer in {"gptq", "gptq_mixed", "autogptq"}
            assert said is by_name, scheme.name


def test_a_scheme_of_ones_own_is_a_case(model: Model) -> None:
    mine = Scheme("mine", "litert", "my:Quantizer", "int8", "float")
    (case,) = cases(replace(model, schemes=("float32", mine)), schemes=[mine])
    assert str(case) == "toy-mine-grey"
    assert str(case.reference) == "toy-float32-grey"


class Rows(Store):
    """Counts what is built, and can be told to die at a shard."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.built: list[str] = []
        self.dies_at: int | None = None

    def get(self, kind: str, ingredients: Any, build: Any) -> Artifact:
        def counted(folder: Path) -> Any:
            if kind == "evidence" and self.dies_at == self.built.count("evidence"):
                raise KeyboardInterrupt
            made = build(folder)
            self.built.append(kind)
            return made

        return super().get(kind, ingredients, counted)


def passages(
    tmp_path: Path, tiny_checkpoint: Path, settings: Settings | None = None, **known: Any
) -> tuple[Session, Rows, Case]:
    """600 passages and a session whose store is watched."""
    text = "".join(json.dumps({"text": f"{sentence(i, 20)} home again"}) + "\n" for i in range(700))
    (tmp_path / "passages.jsonl").write_text(text)
    data = Passages("mine", f"file:{tmp_path / 'passages.jsonl'}", default_n=600)
    described = Model(
        name="tiny",
        source=f"file:{tiny_checkpoint}",
        reference="reference_float32",
        schemes=("reference_float32", "reference_bfloat16"),
        datasets=(data,),
        **known,
    )
    store = Rows(tmp_path / "cache")
    return Session(settings or Settings(), store=store), store, cases(described)[0]


def test_groups_come_in_the_order_of_the_evaluated_samples(
    tmp_path: Path, tiny_checkpoint: Path
) -> None:
    bench, _, case = passages(tmp_path, tiny_checkpoint)
    assert bench.groups(case) is None
    keys = [sample.fingerprint for sample in bench.samples(case, "evaluation")]
    lines = [json.loads(line) for line in (tmp_path / "passages.jsonl").read_text().splitlines()]
    lines = [{**line, "book": f"book {i // 100}"} for i, line in enumerate(lines)]
    (tmp_path / "passages.jsonl").write_text("\n".join(map(json.dumps, lines)))
    grouped = replace(case, dataset=replace(case.dataset, group="book"))  # type: ignore[type-var]
    assert bench.groups(grouped) == [f"book {i // 100}" for i in range(600)]
    assert [s.fingerprint for s in bench.samples(grouped, "evaluation")] == keys
    bench = Session(Settings(sequential=True), store=Rows(tmp_path / "cache"))
    samples, groups = bench.samples(grouped, "evaluation"), bench.groups(grouped)
    assert groups == [f"book {int(s.id.removeprefix('mine-')) // 100}" for s in samples]
    del lines[300]["book"]
    (tmp_path / "passages.jsonl").write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(DataError, match=r"1 of 600|without the field"):
        Session(Settings(), store=Rows(tmp_path / "cache")).groups(grouped)


@pytest.mark.parametrize(("longest", "scheme"), [(0, "reference_float32"), (-1, "gptq_int4_g64")])
def test_a_passage_longer_than_the_context_is_refused_before_any_pass(
    tmp_path: Path, tiny_checkpoint: Path, longest: int, scheme: str
) -> None:
    """One of 100,000 characters took 22.9 GB; one that calibrates is refused like the others."""
    bench, store, case = passages(tmp_path, tiny_checkpoint)
    path = tmp_path / "passages.jsonl"
    lines = path.read_text().splitlines()
    lines[longest] = json.dumps({"text": "home again " * 10_000})
    path.write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"(?s)longer than the model's context.*at most 2,048 tok"):
        bench.evaluate(replace(case, scheme=Scheme.parse(scheme)))
    assert "evidence" not in store.built


def test_a_killed_evaluation_goes_on_where_it_was(tmp_path: Path, tiny_checkpoint: Path) -> None:
    bench, store, case = passages(tmp_path, tiny_checkpoint)
    store.dies_at = 2
    with pytest.raises(KeyboardInterrupt):
        bench.evaluate(case)
    bench.close()
    again, resumed, case = passages(tmp_path, tiny_checkpoint)
    evaluation = again.evaluate(case)
    assert resumed.built.count("evidence") == 1
    assert len(evaluation.rows) == 600
    assert [row["id"] for row in evaluation.rows] == [f"mine-{i:05d}" for i in range(600)]
    shutil.rmtree(tmp_path / "cache" / "evidence")
    fresh, _, case = passages(tmp_path, tiny_checkpoint)
    assert fresh.evaluate(case).rows == evaluation.rows


@pytest.mark.parametrize(("asked", "rows", "left_out"), [(5, 5, 36), (0, 60, 540), (100, 60, 540)])
def test_the_same_passage_under_other_ids_is_counted_once(
    tmp_path: Path, tiny_checkpoint: Path, asked: int, rows: int, left_out: int
) -> None:
    """Ten of each: 29 to 35 % false passes."""
    bench, _, case = passages(tmp_path, tiny_checkpoint, Settings(samples=asked))
    lines = (json.dumps({"text": f"{sentence(i // 10, 20)} home again"}) + "\n" for i in range(700))
    (tmp_path / "passages.jsonl").write_text("".join(lines))
    evaluation = bench.evaluate(case)
    assert len(evaluation.rows) == rows
    assert evaluation.dataset["n"] == rows
    assert evaluation.dataset["duplicates"] == left_out


def test_more_samples_use_the_shards_that_are_there(tmp_path: Path, tiny_checkpoint: Path) -> None:
    bench, _, case = passages(tmp_path, tiny_checkpoint, Settings(samples=512))
    bench.evaluate(case)
    more, store, case = passages(tmp_path, tiny_checkpoint)
    more.evaluate(case)
    assert store.built.count("evidence") == 1


def test_a_reference_that_misses_its_known_score_stops_what_is_judged_by_it(
    tmp_path: Path, tiny_checkpoint: Path
) -> None:
    anchor = Anchor("accuracy", 0.5, 0.01, "mine", 600, "nobody")
    bench, _, case = passages(tmp_path, tiny_checkpoint, anchors=(anchor,))
    value = bench.evaluate(case).value("accuracy")
    with pytest.raises(AnchorError, match=r"(?s)known score.*0\.5 \+- 0\.01, nobody"):
        bench.reference(case)
    met = Anchor("accuracy", value, 0.01, "mine", 600, "this test")
    bench, _, case = passages(tmp_path, tiny_checkpoint, anchors=(met,))
    bench.reference(case)
    bench, _, case = passages(tmp_path, tiny_checkpoint, Settings(samples=300), anchors=(anchor,))
    bench.reference(case)  # on fewer samples an anchor says nothing


def test_two_models_are_open_only_while_a_test_holds_one(
    tmp_path: Path, tiny_checkpoint: Path
) -> None:
    bench, _, case = passages(tmp_path, tiny_checkpoint)
    other = replace(case, scheme=Scheme.parse("reference_bfloat16"))
    sample = bench.sample(case)
    with bench.warmed(case, sample) as held:
        bench.evaluate(other)
        held.predict(sample)  # still open
        assert bench.runners.of(case) is held
    bench.close()
    bench.evaluate(case)
    assert bench.runners.of(case) is not held
