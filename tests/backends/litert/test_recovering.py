"""Quantized weights that learn what the float model says: trained, stored, judged, refused."""

from __future__ import annotations

import hashlib
from contextlib import closing
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from quantbench import cases
from quantbench.backends.litert.aeq import AEQQuantizer
from quantbench.backends.litert.graph import WEIGHTED, Graph
from quantbench.backends.litert.recovering.distance import Distance, agreement, channels_axis
from quantbench.backends.litert.recovering.names import Recovery
from quantbench.backends.litert.recovering.plan import Plan
from quantbench.backends.litert.recovering.quantizer import RecoveringQuantizer
from quantbench.core.settings import Settings
from quantbench.errors import BuildError, UsageError
from quantbench.protocols import Start
from quantbench.run.judging import non_inferior
from quantbench.run.session import Session
from quantbench.run.steps.recover import unrecovered
from quantbench.study import Scheme
from quantbench.study.registry import find_quantizer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from quantbench.study import Case

NAME = "int8x4_static_aeq"
HERE = "tests.backends.litert.test_recovering"


def test_names_say_base_method_and_samples() -> None:
    found = Scheme.parse("int8_static_distilled")
    assert (found.quantizer, found.weights, found.activations) == ("recovered", "int8", "int8")
    assert Recovery.of(found) == Recovery("int8_static", labelled=False, samples=8000)
    four = Scheme.parse("int4_weight_aeq_qat_2k")
    assert Recovery.of(four) == Recovery("int4_weight_aeq", labelled=True, samples=2000)
    assert four.bits == 4
    seeded = Scheme.parse("int8_static_distilled_2k_s3")
    quantizer: Any = find_quantizer(seeded)
    assert quantizer.base(seeded).name == "int8_static_s3"
    assert quantizer.base(Scheme.parse("int4_weight_aeq_distilled_s3")).name == "int4_weight_aeq"
    assert quantizer.settings(seeded)["seed"] == 3


@pytest.mark.parametrize(
    "name",
    ["float32_distilled", "float16_qat", "int8_dynamic_distilled", "int8_static_distilled_0k",
     "int8_static_distilled_qat", "as_shipped_distilled"],
)  # fmt: skip
def test_what_has_no_scales_to_keep_is_no_scheme(name: str) -> None:
    with pytest.raises(UsageError, match="unknown scheme"):
        Scheme.parse(name)


def test_all_samples_are_seen_before_one_is_seen_again() -> None:
    plan = Plan(samples=100, seed=1)
    batches = plan.batches(12)
    order = [number for batch in batches for number in batch]
    assert [len(batch) for batch in batches] == [8] * 13
    assert all(sorted(order[i : i + 12]) == list(range(12)) for i in range(0, 96, 12))
    assert plan.batches(12) == batches != replace(plan, seed=2).batches(12)


def test_the_distance_is_a_share_of_what_answers_vary_by() -> None:
    """0 of the float model, 1 of its mean answer, each channel by its own variance."""
    rng = np.random.default_rng(0)
    sizes = np.array([1.0, 30.0, 0.5])
    meant = {"y": (rng.normal(3, 1, (50, 7, 7, 3)) * sizes).astype(np.float32)}
    distance = Distance([meant])
    assert distance.of_each(meant, meant).numpy() == pytest.approx(0)
    mean = {"y": np.broadcast_to(meant["y"].mean((0, 1, 2)), meant["y"].shape)}
    assert distance.of_each(mean, meant).numpy().mean() == pytest.approx(1, rel=1e-4)
    noise = rng.normal(0, 0.1, meant["y"].shape) * sizes
    said = {"y": (meant["y"] + noise).astype(np.float32)}
    assert distance.of_each(said, meant).numpy().mean() == pytest.approx(0.01, rel=0.1)
    correlation = np.corrcoef((meant["y"] / sizes).ravel(), (said["y"] / sizes).ravel())[0, 1]
    assert agreement(said, meant) == pytest.approx(correlation, abs=0.01)
    assert agreement(meant, meant) == pytest.approx(1)


def test_the_loss_looks_where_the_float_model_sees_something() -> None:
    """An error at the object costs more than elsewhere, also of outputs that are flat there."""
    rng = np.random.default_rng(1)
    heat = np.zeros((40, 6, 6, 2), np.float32)
    heat[np.arange(40), rng.integers(0, 6, 40), 3, rng.integers(0, 2, 40)] = 1
    meant = {"heat": heat, "size": rng.normal(0, 1, (40, 6, 6, 2)).astype(np.float32)}
    distance = Distance([meant])
    seen = heat.max(axis=3, keepdims=True)
    at_objects = meant | {"size": meant["size"] + seen}
    elsewhere = meant | {"size": meant["size"] + np.roll(seen, 3, axis=2)}
    plain = [distance.of_each(each, meant).numpy().mean() for each in (at_objects, elsewhere)]
    assert plain[0] == pytest.approx(plain[1], rel=1e-5)
    weighed = [
        distance.loss_of_each(each, meant).numpy().mean() for each in (at_objects, elsewhere)
    ]
    assert weighed[0] > 1.5 * weighed[1]
    labels = {"y": rng.normal(0, 1, (40, 5)).astype(np.float32)}  # one place: nothing to weigh
    of_labels = Distance([labels])
    said = {"y": labels["y"] + 1}
    assert np.allclose(of_labels.loss_of_each(said, labels), of_labels.of_each(said, labels))


def test_channels_are_last_unless_a_sequence_is() -> None:
    assert [channels_axis(s) for s in ((9, 40, 40, 10), (9, 10), (9, 84, 8400), (9, 3549, 85))] == [
        3, 1, 1, 2,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def base(
    tmp_path_factory: pytest.TempPathFactory,
    float_path: Path,
    samples: list[NDArray[np.float32]],
) -> Path:
    """The small detector with weights of four bits and activations of eight."""
    folder = tmp_path_factory.mktemp("base")
    AEQQuantizer().build(float_path.parent, Scheme.parse(NAME), samples, folder)
    return folder


@pytest.fixture(scope="module")
def others() -> list[NDArray[np.float32]]:
    """Smooth pictures that calibrated nothing; each stands for its own label, too."""
    coarse = np.random.default_rng(5).random((48, 1, 4, 4, 3), dtype=np.float32)
    return list(np.repeat(np.repeat(coarse, 4, axis=2), 4, axis=3))


class Build:
    """Builds of the small detector in one place."""

    def __init__(self, float_model: Path, base: Path, samples: Any, folder: Path) -> None:
        self._float_model, self._base, self._samples = float_model, base, samples
        self._folder, self._count = folder, 0
        self.quantizer = RecoveringQuantizer()

    def __call__(
        self,
        scheme: str = f"{NAME}_distilled_1k",
        step: Callable[[str, int], Callable[[int], None]] = lambda what, parts: lambda _: None,  # noqa: ARG005
        kept: str = "kept",
        trainer: Any = None,
    ) -> tuple[Path, Mapping[str, Any]]:
        self._count += 1
        folder = self._folder / str(self._count)
        folder.mkdir()
        start = Start(self._base, step, self._folder / kept, trainer, self._samples)
        facts = self.quantizer.build(
            self._float_model, Scheme.parse(scheme), self._samples, folder, start
        )
        return folder / "model.tflite", facts


@pytest.fixture(scope="module")
def build(
    tmp_path_factory: pytest.TempPathFactory,
    float_path: Path,
    base: Path,
    others: list[NDArray[np.float32]],
) -> Build:
    return Build(float_path.parent, base, others, tmp_path_factory.mktemp("builds"))


@pytest.fixture(scope="module")
def built(build: Build) -> tuple[Path, Mapping[str, Any]]:
    return build(kept="first")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_it_learns_what_the_float_model_says(
    built: tuple[Path, Mapping[str, Any]], base: Path
) -> None:
    """In the base's own file: scales, types and size stay, integers move."""
    path, facts = built
    assert facts["held_out_after"]["held_out"] < 0.6 * facts["held_out_before"]["held_out"]
    assert facts["held_out_after"]["agreement"] > facts["held_out_before"]["agreement"]
    assert facts["most_steps_apart"] <= 1.01
    assert 0 < facts["weights_moved"] < 0.5
    was, now = Graph.read(base / "model.tflite"), Graph.read(path)
    assert [op.kind for op in was.ops] == [op.kind for op in now.ops]
    for op in was.ops:
        for tensor in (*op.inputs, *op.outputs):
            assert was.dtype(tensor) == now.dtype(tensor)
            assert all(map(np.array_equal, was.quantization(tensor), now.quantization(tensor)))
    weights = [op.inputs[1] for op in now.ops if op.kind in WEIGHTED]
    assert any(not np.array_equal(was.constant(t), now.constant(t)) for t in weights)
    curve = facts["learning_curve"]
    assert curve[0] | {"seconds": 0} == {
        "step": 0, "samples": 0, "training": None, "seconds": 0,
        "held_out": pytest.approx(facts["held_out_before"]["held_out"], rel=0.05),
        "agreement": pytest.approx(facts["held_out_before"]["agreement"], rel=0.01),
    }  # fmt: skip
    best = min(look["held_out"] for look in curve)
    assert facts["held_out_after"]["held_out"] == pytest.approx(best, rel=0.1)


def test_a_killed_training_goes_on_and_ends_in_the_same_file(
    build: Build, built: tuple[Path, Mapping[str, Any]]
) -> None:
    """Killed at its sixth look; nothing of before is trained again."""
    told: list[str] = []

    def killed(what: str, parts: int) -> Callable[[int], None]:
        del parts
        told.append(what)
        if len(told) == 6:
            raise KeyboardInterrupt
        return lambda _: None

    with pytest.raises(KeyboardInterrupt):
        build(step=killed, kept="second")
    assert "held-out error" in told[-1]
    steps: list[int] = []

    def counted(what: str, parts: int) -> Callable[[int], None]:
        del what
        steps.append(parts)
        return lambda _: None

    again, facts = build(step=counted, kept="second")
    assert steps[0] == 125 - 5 * 6  # of the last look that was kept
    assert digest(again) == digest(built[0])
    curves = [[look["held_out"] for look in each["learning_curve"]] for each in (facts, built[1])]
    assert curves[0] == curves[1]


def by_labels(model: Any, examples: Iterator[Any], budget: int) -> Any:
    """A trainer as a user writes one: the float answers stand in for labels."""
    import keras
    import tensorflow as tf

    assert model.outputs == ("scores", "sides") and budget == 1000
    optimizer = keras.optimizers.Adam(1e-3)
    while batch := list(islice(examples, 25)):
        assert all(image is label for image, label in batch)
        image = np.concatenate([image for image, _ in batch])
        wanted = model.float_answers(image)
        with tf.GradientTape() as tape:
            said = model(image)
            loss = tf.add_n([tf.reduce_mean((said[n] - wanted[n]) ** 2) for n in model.outputs])
        slopes = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(slopes, model.trainable_variables, strict=True))
    return model


def test_a_trainer_of_one_s_own_trains_on_labels(build: Build) -> None:
    _, facts = build(f"{NAME}_qat_1k", trainer=by_labels)
    assert facts["held_out_after"]["held_out"] < 0.9 * facts["held_out_before"]["held_out"]
    curve = facts["learning_curve"]
    assert [look["samples"] for look in curve] == list(range(0, 1001, 50))
    assert curve[-1]["held_out"] < curve[0]["held_out"]


def forgets(model: Any, examples: Any, budget: int) -> Any:
    by_labels(model, islice(examples, 1), budget)


def diverges(model: Any, examples: Any, budget: int) -> Any:
    del examples, budget
    model.trainable_variables[3].assign(model.trainable_variables[3] * np.nan)
    return model


def idles(model: Any, examples: Any, budget: int) -> Any:
    del examples, budget
    return model


def reshapes(model: Any, examples: Any, budget: int) -> Any:
    del examples, budget
    model.trainable_variables[0].assign(np.zeros((2, 2), np.float32))
    return model


@pytest.mark.parametrize(
    ("trainer", "says"),
    [
        (forgets, "returns something else than its model"),
        (diverges, "left weights that are no numbers"),
        (idles, "changed nothing"),
        (reshapes, "the model's trainer failed"),
    ],
)
def test_a_trainer_that_errs_is_named(build: Build, trainer: Any, says: str) -> None:
    with pytest.raises(BuildError, match=says) as caught:
        build(f"{NAME}_qat_1k", trainer=trainer)
    assert f"{HERE}:{trainer.__name__}" in str(caught.value)


def test_too_few_samples_are_refused(
    tmp_path: Path, float_path: Path, base: Path, others: list[NDArray[np.float32]]
) -> None:
    with pytest.raises(BuildError, match="too few samples to learn from"):
        Build(float_path.parent, base, others[:10], tmp_path)()


def mine(scheme: str, trainer: str = "") -> Case:
    (case,) = cases("digits_classifier", schemes=[scheme])
    return replace(case, model=replace(case.model, trainer=trainer))


@pytest.mark.parametrize(
    ("trainer", "says"),
    [
        ("", "digits_classifier has no trainer"),
        ("nowhere.at_all:train", "no module 'nowhere'"),
        (f"{HERE}:nothing_of_the_kind", "not the name of code"),
        (f"{HERE}:NAME", "the trainer of digits_classifier is no function"),
    ],
)
def test_a_trainer_that_cannot_be_used_is_refused_before_anything_is_built(
    trainer: str, says: str, tmp_path: Path
) -> None:
    case = mine("int4_weight_aeq_qat_1k", trainer)
    with (
        closing(Session(Settings(cache=tmp_path))) as bench,
        pytest.raises(UsageError, match=says),
    ):
        bench.artifact(case)
    assert not (tmp_path / "artifact").exists()


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    with closing(Session(Settings(cache=tmp_path_factory.mktemp("store"), threads=2))) as session:
        yield session


def test_a_classifier_in_four_bits_is_as_good_as_before(bench: Session) -> None:
    """What rounding to four bits took comes back, and the gate against the float model is passed.

    Of the stored artifact, on digits that nothing learned from.
    """
    case = mine("int4_weight_aeq_distilled_2k")
    was, now = bench.evaluate(unrecovered(case)), bench.evaluate(case)
    reference = bench.reference(case)
    for metric, least in (("top1", 0.015), ("cross_entropy", 0.04)):
        lost = abs(reference.value(metric) - was.value(metric))
        assert lost > least
        assert abs(reference.value(metric) - now.value(metric)) < 0.2 * lost
    assert not non_inferior(was, reference, metric="top1", margin=0.015)
    assert non_inferior(now, reference, metric="top1", margin=0.015)
    assert bench.artifact(case).details["learned_from"] == 878


def on_digits(model: Any, examples: Iterator[Any], budget: int) -> Any:
    """Cross-entropy against labels, as in any tutorial."""
    import keras
    import tensorflow as tf

    optimizer = keras.optimizers.Adam(1e-3)
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    shown = 0
    while batch := list(islice(examples, 20)):
        shown += len(batch)
        images = np.concatenate([image for image, _ in batch])
        meant = np.array([int(sample.label) for _, sample in batch])
        pixels = np.stack([sample.image for _, sample in batch])
        np.testing.assert_allclose(images, pixels / 255, atol=1e-6)
        with tf.GradientTape() as tape:
            loss = loss_of(meant, model(images)["logits"])
        slopes = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(slopes, model.trainable_variables, strict=True))
    assert shown == budget == 2000
    return model


@pytest.mark.slow
def test_labels_teach_a_classifier_in_four_bits(bench: Session) -> None:
    """Through the study: inputs come with their own labels, and the code is part of the key."""
    case = mine("int4_weight_aeq_qat_2k", f"{HERE}:on_digits")
    was, now = bench.evaluate(unrecovered(case)), bench.evaluate(case)
    assert now.value("top1") - was.value("top1") > 0.01
    assert now.value("cross_entropy") < 0.8 * was.value("cross_entropy")
