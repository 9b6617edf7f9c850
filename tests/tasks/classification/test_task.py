"""Pictures to inputs, outputs to rows, and what is refused on the way."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from quantbench.catalog.imagenet import CLASSES as IMAGENET
from quantbench.catalog.models import MODELS, find_model
from quantbench.data.labelled import Labelled
from quantbench.data.samples import Picture
from quantbench.errors import AnchorError, DataError, PredictionError, UsageError
from quantbench.tasks.classification.classifier import Classifier
from quantbench.tasks.classification.pictures import centre, shorter_side
from tests.tasks.classification.rows import described, picture, rows_of, task

if TYPE_CHECKING:
    from quantbench.study import Model


def labelled(image: Any) -> Labelled:
    return Labelled("p", Picture("p", image, ()), "c0", ("c0", "c1"))


@pytest.mark.parametrize("resample", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("height", "width"), [(300, 500), (500, 301), (257, 257), (40, 60)])
def test_the_crop_is_torchvisions_by_pillow_s_own_arithmetic(
    height: int, width: int, resample: Any
) -> None:
    """Resize(256), CenterCrop(224), ToTensor, Normalize."""
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    interface = described(
        size=(224, 224), fit="crop", resize=256, resample=resample, value_range=(0.0, 1.0),
        mean=mean, std=std, layout="nchw",
    )  # fmt: skip
    found = task(interface).prepare(labelled(image))
    short = min(height, width)
    size = (256, 256 * height // width) if short == width else (256 * width // height, 256)
    scaled = Image.fromarray(image).resize(size, getattr(Image.Resampling, resample.upper()))
    left, top = round((size[0] - 224) / 2.0), round((size[1] - 224) / 2.0)
    cut = np.asarray(scaled.crop((left, top, left + 224, top + 224)), np.float32) / 255
    expected = ((cut - np.array(mean, np.float32)) / np.array(std, np.float32)).transpose(2, 0, 1)[
        None
    ]
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_the_arithmetic_of_sides_and_middles_is_known() -> None:
    assert shorter_side((480, 640), 256) == (256, 341)
    assert shorter_side((640, 480), 256) == (341, 256)
    assert shorter_side((375, 500), 232) == (232, 309)
    assert centre((256, 341), (224, 224)) == (16, 58)  # 58.5: halves go to even
    assert centre((256, 343), (224, 224)) == (16, 60)  # 59.5


def test_a_stretched_picture_fills_the_input() -> None:
    interface = described(size=(8, 6), fit="stretch", channels="bgr")
    image = np.tile(np.array([10, 20, 30], np.uint8), (5, 50, 1))
    found = task(interface).prepare(labelled(image))
    assert found.shape == (1, 8, 6, 3)
    assert (found == [30, 20, 10]).all()


def test_a_picture_of_another_size_or_type_is_refused() -> None:
    made = task(described())
    for image in (np.zeros((5, 4, 3), np.uint8), np.zeros((4, 4, 3), np.float32)):
        with pytest.raises(DataError, match=r"does not fit the classifier(?s:.*)uint8 \(4, 4, 3\)"):
            made.prepare(labelled(image))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"class_ids": ("a", "b", "a")}, r"same class id(?s:.*)got: *a"),
        ({"class_ids": (1, "1")}, "same class id"),
        ({"class_ids": ("a",)}, "at least two classes"),
        ({"class_ids": "ab"}, "no names"),
        ({"class_ids": (True, False)}, "no names"),
        ({"labels": ("one",)}, "a label for each of its classes"),
        ({"unused": ("zebra",)}, "unused classes are none of its own"),
        ({"says": "logit"}, "unknown says of a classifier(?s:.*)did you mean 'logits'"),
        ({"fit": "crop"}, "goes with the side"),
        ({"resize": 256}, "goes with the side"),
        ({"fit": "crop", "resize": 2}, "larger than what it is cut out of"),
        ({"std": (1.0, 0.0, 1.0)}, "standard deviation of a classifier's input is zero"),
        ({"outputs": (("logits", "a"),)}, "one output that counts"),
        ({"outputs": (("scores", "a"), ("scores", "b"))}, "one output that counts"),
    ],
)
def test_a_description_that_means_nothing_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        replace(described(), **change)


def test_class_ids_may_be_numbers() -> None:
    made = Classifier(size=(4, 4), class_ids=[0, 1], says="logits")  # type: ignore[arg-type]
    assert made.class_ids == ("0", "1")


def test_a_model_without_a_description_is_refused() -> None:
    with pytest.raises(UsageError, match="does not say how it is fed"):
        task(None)


OUT: dict[str, list[float]] = {
    "logits": [3.0, -1.0, 0.5, 0.0],
    "probabilities": [0.7, 0.1, 0.15, 0.05],
}


@pytest.mark.parametrize(
    ("says", "values", "said"),
    [
        ("probabilities", OUT["logits"], r'no probabilities(?s:.*)says="logits"'),
        ("probabilities", [0.9, 0.8, 0.1, 0.2], "sum to 2"),  # a sigmoid for each
        ("probabilities", [1.2, -0.2, 0.0, 0.0], "no probabilities"),
        ("probabilities", [0.2, 0.1, 0.1, 0.1], "sum to 0.5"),
        ("logits", [np.nan, 0.0, 0.0, 1.0], "holds NaN or infinity(?s:.*)1 of 4"),
        ("probabilities", [np.inf, 0.0, 0.0, 1.0], "holds NaN or infinity"),
        ("logits", [1.0, 2.0, 3.0], r"another number of classes(?s:.*)4 values(?s:.*)\[1, 3\]"),
        ("logits", [1.0] * 5, "another number of classes"),
    ],
)
def test_outputs_that_are_not_what_was_described_are_refused(
    says: Any, values: list[float], said: str
) -> None:
    made = task(described(says=says))
    with pytest.raises(PredictionError, match=said):
        made.evidence(picture(), {"out": np.array([values], np.float32)})


def test_logits_that_are_all_probabilities_are_refused() -> None:
    made, out = task(described(says="logits")), {"out": np.array([OUT["probabilities"]])}
    for _ in range(4):
        made.evidence(picture(), out)
    with pytest.raises(PredictionError, match=r'probabilities already(?s:.*)says="probabilities"'):
        made.evidence(picture(), out)


def test_logits_that_sum_to_one_by_chance_are_logits() -> None:
    """Of two classes in steps of .05, 146 of 20,000 rows do."""
    made = task(described(says="logits"))
    made.evidence(picture(), {"out": np.array([OUT["logits"]])})
    for _ in range(9):
        made.evidence(picture(), {"out": np.array([[0.25, 0.75, 0.0, 0.0]])})


def test_a_flat_output_of_as_many_numbers_is_no_row_of_classes() -> None:
    with pytest.raises(PredictionError, match=r"another number of classes(?s:.*)\[2, 2\]"):
        task(described()).evidence(picture(), {"out": np.zeros((2, 2))})


def test_the_output_that_counts_is_named_where_there_are_several() -> None:
    several = {"features": np.zeros((1, 9)), "head": np.array([OUT["logits"]])}
    with pytest.raises(PredictionError, match=r"several outputs(?s:.*)features \[1, 9\]"):
        task(described()).evidence(picture(), several)
    named = task(described(outputs=(("scores", "head"),)))
    assert named.evidence(picture(), several)["rank"] == 0
    with pytest.raises(PredictionError, match="no output 'head'"):
        named.evidence(picture(), {"features": np.zeros((1, 9))})


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10**6), st.sampled_from([4, 10, 100, 1000]), st.floats(0.1, 8))
def test_a_softmax_of_eight_bits_counts_as_probabilities(
    seed: int, classes: int, spread: float
) -> None:
    """LiteRT's integer softmax: steps of 1/256 from 0 to 255/256, each rounded by itself."""
    logits = np.random.default_rng(seed).normal(0, spread, classes)
    exact = np.exp(logits) / np.exp(logits).sum()
    rounded = np.minimum(np.rint(exact * 256), 255) / 256
    if rounded.sum() > 1.4:
        return
    made = task(described(classes, says="probabilities"))
    row = made.evidence(picture(0, classes=classes), {"out": rounded[None]})
    assert row["top"][0] == f"c{rounded.argmax()}"
    assert -row["logprob"] <= -np.log(1e-7) + 1e-6


def test_classes_that_the_classifier_cannot_say_are_refused() -> None:
    made = task(described(3))
    with pytest.raises(DataError, match=r"does not know(?s:.*)1 of 4 classes(?s:.*)c0, c1, c2"):
        made.check([picture(0), picture(1)])
    with pytest.raises(DataError, match=r"does not know(?s:.*)got: *c3"):
        made.evidence(picture(3), {"out": np.zeros((1, 3))})
    unused = task(described(4, unused=("c3",)))
    with pytest.raises(DataError, match="does not know"):
        unused.check([picture(3)])
    task(described(9)).check([picture(0)])  # a data set of a part of the classes


def test_an_index_map_in_another_order_is_refused_where_it_would_come_out_green() -> None:
    """Right by chance in float, right by chance in int8: the difference is nothing."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 300)
    logits = 4 * np.eye(10)[labels] + rng.normal(size=(300, 10))
    made = task(described(10))
    made.check_reference(rows_of(logits, labels))
    with pytest.raises(AnchorError, match=r"(?s)for 10 of 10 classes.*class_ids in the order"):
        made.check_reference(rows_of(np.roll(logits, 1, axis=1), labels))
    made.check_reference(rows_of(np.roll(logits, 1, axis=1)[:8], labels[:8]))  # too few to say


def test_a_weak_classifier_is_no_mistaken_one() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 10, 400)
    logits = 1.0 * np.eye(10)[labels] + rng.normal(size=(400, 10))
    rows = rows_of(logits, labels)
    assert np.mean([row["rank"] == 0 for row in rows]) < 0.45
    task(described(10)).check_reference(rows)


def test_identity_tells_what_changes_rows_and_nothing_else() -> None:
    model = find_model("digits_classifier")
    assert isinstance(model.interface, Classifier)
    made = type(task(described()))

    def identity(**change: Any) -> Any:
        interface = replace(model.interface, **change)
        return made.identity(replace(model, interface=interface))

    assert identity(labels=tuple("abcdefghij")) == identity() == identity(unused=("3",))
    assert identity(mean=(0.5, 0.5, 0.5)) != identity()
    assert identity(class_ids=tuple("9876543210")) != identity()


def test_the_pictures_that_changed_most_come_with_both_answers() -> None:
    eye, labels = 4.0 * np.eye(4), np.array([0, 1, 2, 3])
    was = rows_of(eye, labels)
    logits = eye.copy()
    logits[1] += [0, -1.0, 0, 0]  # less sure
    logits[2] = eye[3]  # flipped
    logits[3] += 1e-5  # nothing that anybody would see
    samples = {f"p{i}": picture(i, f"p{i}") for i in range(4)}
    made = task(described(labels=("ant", "bee", "cat", "dog")))
    flipped, moved = made.changes(samples, rows_of(logits, labels), was, 10)
    assert (flipped["id"], flipped["target"], flipped["flip"]) == ("p2", "cat", ["c2", "c3"])
    assert flipped["float"]["right"] and not flipped["quantized"]["right"]
    assert flipped["quantized"]["words"][0][0] == "dog"
    assert moved["id"] == "p1" and "flip" not in moved
    assert 0.01 < moved["change"] < flipped["change"] < 1
    assert (flipped["width"], flipped["height"]) == (4, 4) and flipped["picture"]
    assert made.changes(samples, was, was, 10) == []


@pytest.mark.parametrize(
    "model", [m for m in MODELS.values() if isinstance(m.interface, Classifier)], ids=str
)
def test_classifiers_by_name_know_the_classes_of_their_data_sets(model: Model) -> None:
    assert isinstance(model.interface, Classifier)
    known = set(model.interface.class_ids) - set(model.interface.unused)
    assert known == (set(IMAGENET) if "imagenet" in model.datasets else set("0123456789"))
    assert model.published or model.anchors


def test_imagenet_has_a_thousand_classes_in_the_order_of_their_ids() -> None:
    assert len(IMAGENET) == 1000
    assert list(IMAGENET) == sorted(IMAGENET)
    assert (next(iter(IMAGENET)), IMAGENET["n01440764"]) == ("n01440764", "tench")
