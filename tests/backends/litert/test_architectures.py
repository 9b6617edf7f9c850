"""Detectors with random weights: published counts, anchors, signatures and suppression."""

from __future__ import annotations

from dataclasses import replace
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from quantbench.backends.litert.convert import LiteRTQuantizer, convert
from quantbench.backends.litert.importers.architectures import ARCHITECTURES, efficientdet, ssd
from quantbench.backends.litert.importers.architectures.detections import Detections
from quantbench.backends.litert.importers.architectures.importer import (
    RandomDetectorImporter,
    write_published,
)
from quantbench.backends.litert.importers.architectures.suppression import detections
from quantbench.backends.litert.interpreter import LiteRTModel
from quantbench.catalog.detectors import DETECTORS
from quantbench.catalog.models import find_model
from quantbench.errors import BuildError
from quantbench.sources.random_weights import RandomWeights
from quantbench.study import Scheme

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from quantbench.study import Model

SIZES = {"centernet_resnet50v2": 512, "ssd_mobilenetv2": 300, "efficientdet_d0": 512}
# Counted over the variables of what the Object Detection API 2.8.0 builds from its published
# configurations: less a normalization behind CenterNet's features, and less the end of
# EfficientNet's classifier; Keras' EfficientNet has 7 variables for mean and variance of pixels.
COUNTED = {
    "centernet_resnet50v2": 29_897_950 - 4 * 2048,
    "ssd_mobilenetv2": 6_103_999,
    "efficientdet_d0": 5_622_923 - (1280 * 1000 + 1000) - (320 * 1280 + 4 * 1280) + 7,
}
TINY = 96
SERVED = {
    "detection_anchor_indices",
    "detection_boxes",
    "detection_classes",
    "detection_multiclass_scores",
    "detection_scores",
    "num_detections",
    "raw_detection_boxes",
    "raw_detection_scores",
}


def described(architecture: str, size: int, outputs: tuple[tuple[str, str], ...] = ()) -> Model:
    like = find_model("ssd_mobilenetv2")
    assert like.interface is not None
    interface = replace(like.interface, size=(size, size), outputs=outputs)
    return replace(like, interface=interface, architecture=architecture).with_random_weights()


def imported(model: Model, folder: Path, seed: int = 0) -> Path:
    source, made = folder / "source", folder / "made"
    source.mkdir(parents=True)
    made.mkdir()
    RandomWeights(model.architecture, seed).fetch(source)
    RandomDetectorImporter().build(model, source, made)
    return made


def pictures(size: int, number: int = 4) -> list[NDArray[np.float32]]:
    rng = np.random.default_rng(1)
    return [rng.uniform(0, 255, (1, size, size, 3)).astype(np.float32) for _ in range(number)]


@pytest.mark.parametrize("name", SIZES)
def test_as_many_weights_as_the_published_code_makes(name: str) -> None:
    size = SIZES[name]
    made = resolve_name(ARCHITECTURES[name].build)((size, size))
    assert made.network.count_params() == ARCHITECTURES[name].parameters == COUNTED[name]


def test_the_papers_rounded_count_of_efficientdet() -> None:
    """Table 2 of arXiv 1911.09070: 3.9 million."""
    assert abs(ARCHITECTURES["efficientdet_d0"].parameters / 3.9e6 - 1) < 0.02


def test_the_catalog_names_architectures_that_are_known() -> None:
    named = {model.architecture for model in DETECTORS if model.architecture}
    assert set(SIZES) <= named


def corners(anchors: NDArray[np.float32]) -> NDArray[np.float32]:
    half = anchors[:, 2:] / 2
    return np.concatenate([anchors[:, :2] - half, anchors[:, :2] + half], axis=1)


def test_ssd_has_the_published_anchors() -> None:
    """Rows as the Object Detection API prints them: of the first map, and of the second."""
    maps = [(side, side) for side in (19, 10, 5, 3, 2, 1)]
    said = corners(ssd.anchors_of(maps))
    assert said.shape == (1917, 4)
    first = [
        (-0.02368421, -0.02368421, 0.07631579, 0.07631579),
        (-0.04439489, -0.11510557, 0.09702647, 0.16773716),
        (-0.11510557, -0.04439489, 0.16773716, 0.09702647),
    ]
    second = [
        (-0.125, -0.125, 0.225, 0.225),
        (-0.07374369, -0.19748737, 0.17374368, 0.29748738),
        (-0.19748737, -0.07374369, 0.29748738, 0.17374368),
        (-0.05103629, -0.25310886, 0.15103629, 0.35310888),
        (-0.25312403, -0.05103124, 0.35312405, 0.15103124),
        (-0.15916501, -0.15916501, 0.25916502, 0.25916502),
    ]
    np.testing.assert_allclose(said[:3], first, atol=1e-6)
    np.testing.assert_allclose(said[1083:1089], second, atol=1e-6)
    np.testing.assert_allclose(
        said.mean(0), [0.35170382, 0.35170546, 0.64829695, 0.64829475], atol=1e-5
    )


def test_efficientdet_has_the_published_anchors() -> None:
    said = corners(efficientdet.anchors_of((512, 512)))
    assert said.shape == (49104, 4)
    first = [
        (-0.0234375, -0.0234375, 0.0390625, 0.0390625),
        (-0.03156003, -0.03156003, 0.04718503, 0.04718503),
        (-0.04179378, -0.04179378, 0.05741878, 0.05741878),
        (-0.01428459, -0.03638167, 0.02990959, 0.05200667),
        (-0.02002809, -0.04786867, 0.03565308, 0.06349367),
    ]
    np.testing.assert_allclose(said[:5], first, atol=1e-6)
    np.testing.assert_allclose(
        said.mean(0), [0.43927982, 0.4392647, 0.56071836, 0.56072533], atol=1e-5
    )


def greedy(
    boxes: NDArray[np.float64], scores: NDArray[np.float64], overlap: float
) -> list[tuple[float, int]]:
    """Score and index of what suppression leaves, by its definition."""
    kept: list[tuple[float, int]] = []
    for index in np.argsort(-scores, kind="stable"):
        top, left, bottom, right = boxes[index]
        clash = False
        for _, other in kept:
            above, before, below, after = boxes[other]
            height = max(0.0, min(bottom, below) - max(top, above))
            shared = height * max(0.0, min(right, after) - max(left, before))
            union = (bottom - top) * (right - left) + (below - above) * (after - before) - shared
            clash |= shared / union > overlap
        if not clash:
            kept.append((float(scores[index]), int(index)))
    return kept


@pytest.mark.parametrize("background", [False, True])
def test_suppression_leaves_what_its_definition_leaves(*, background: bool) -> None:
    rng = np.random.default_rng(0)
    anchors = np.concatenate([rng.uniform(0.3, 0.7, (60, 2)), rng.uniform(0.2, 0.4, (60, 2))], 1)
    codes, logits = rng.normal(0, 1, (1, 60, 4)), rng.normal(-1, 2, (1, 60, 3))
    said = detections(
        codes.astype(np.float32),
        _tensor(logits),
        anchors.astype(np.float32),
        overlap=0.5,
        background=background,
    )
    centre = codes[0, :, :2] / 10 * anchors[:, 2:] + anchors[:, :2]
    half = np.exp(codes[0, :, 2:] / 5) * anchors[:, 2:] / 2
    boxes = np.concatenate([centre - half, centre + half], 1)
    odds = 1 / (1 + np.exp(-logits[0]))
    first = int(background)
    found = sorted(
        (
            (score, index, number - first + 1)
            for number in range(first, 3)
            for score, index in greedy(boxes, odds[:, number], 0.5)
        ),
        reverse=True,
    )[:100]
    number = int(said["num_detections"].numpy().item())
    assert number == len(found)
    scores = said["detection_scores"].numpy()[0]
    np.testing.assert_allclose(scores[:number], [each[0] for each in found], atol=1e-6)
    assert not scores[number:].any()
    indices = [each[1] for each in found]
    assert said["detection_anchor_indices"].numpy()[0, :number].tolist() == indices
    classes = said["detection_classes"].numpy()[0, :number].tolist()
    assert classes == [each[2] for each in found]
    inside = np.clip(boxes[indices], 0, 1)
    np.testing.assert_allclose(said["detection_boxes"].numpy()[0, :number], inside, atol=1e-6)


def _tensor(values: NDArray[Any]) -> Any:
    import tensorflow as tf

    return tf.constant(values, tf.float32)


def test_a_wide_picture_is_shrunk_and_padded_below(tmp_path: Path) -> None:
    import keras
    import tensorflow as tf

    network = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Identity()])
    made = Detections(network, lambda x: x / 10.0, lambda said: {"seen": said}, (8, 8), True)
    made.save(tmp_path / "kept")
    replace(made, keeps_shape=False).save(tmp_path / "stretched")
    picture = tf.fill([1, 8, 16, 3], tf.constant(100, tf.uint8))
    seen = {
        name: _served(tmp_path / name)(input_tensor=picture)["seen"].numpy()[0]
        for name in ("kept", "stretched")
    }
    assert (seen["kept"][:4] == 10).all()
    assert not seen["kept"][4:].any()
    assert (seen["stretched"] == 10).all()


def _served(folder: Path) -> Any:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder))
    served = loaded.signatures["serving_default"]
    served.owner = loaded  # it holds its variables weakly
    return served


def test_the_published_signature(tmp_path: Path) -> None:
    import tensorflow as tf

    write_published(RandomWeights("ssd_tiny", 0), (TINY, TINY), tmp_path / "made")
    served = _served(tmp_path / "made")
    ((name, spec),) = served.structured_input_signature[1].items()
    assert (name, spec.dtype, spec.shape.as_list()) == (
        "input_tensor",
        tf.uint8,
        [1, None, None, 3],
    )
    said = served(input_tensor=tf.zeros([1, 50, 70, 3], tf.uint8))
    assert set(said) == SERVED
    assert said["detection_boxes"].shape == (1, 100, 4)
    assert said["raw_detection_boxes"].shape[1] == said["raw_detection_scores"].shape[1]


def test_a_seed_decides_the_weights_and_pictures_the_answers(tmp_path: Path) -> None:
    raw = (("raw_detection_scores",) * 2,)
    model = described("ssd_tiny", TINY, raw)
    one, same, other = (
        LiteRTQuantizer().answers(imported(model, tmp_path / str(number), seed), pictures(TINY))
        for number, seed in enumerate((0, 0, 1))
    )
    for first, second, third in zip(one, same, other, strict=True):
        ((_, a),), ((_, b),), ((_, c),) = first.items(), second.items(), third.items()
        np.testing.assert_allclose(a, b, atol=1e-4)
        assert np.abs(a - c).max() > 0.01
    (a,), (b,) = one[0].values(), one[1].values()
    assert np.abs(a - b).max() > 0.01
    assert (a < 0.5).mean() > 0.9  # as in a trained one, most places are no object


@pytest.mark.parametrize("scheme", ["float32", "float16", "int8_dynamic", "int8_static"])
def test_every_scheme_converts_and_runs(
    scheme: str, tiny_saved_model: Path, tmp_path: Path
) -> None:
    samples = pictures(TINY)
    facts = LiteRTQuantizer().build(tiny_saved_model, Scheme.parse(scheme), samples, tmp_path)
    said = LiteRTModel(tmp_path / "model.tflite", threads=1)(samples[0])
    assert set(said) == {"detection_boxes", "detection_classes", "detection_scores"}
    assert said["detection_boxes"].shape == (1, 100, 4)
    if scheme == "float32":
        assert facts["float_difference"] < 1e-3


@pytest.fixture(scope="module")
def tiny_saved_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = ("detection_boxes", "detection_classes", "detection_scores")
    model = described("ssd_tiny", TINY, tuple((name, name) for name in names))
    return imported(model, tmp_path_factory.mktemp("tiny"))


def test_an_unknown_architecture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"(?s)unknown architecture 'yolo'.*centernet_resnet50v2"):
        write_published(RandomWeights("yolo", 0), (TINY, TINY), tmp_path)


def test_another_count_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = replace(ARCHITECTURES["ssd_tiny"], parameters=1)
    monkeypatch.setitem(ARCHITECTURES, "ssd_tiny", wrong)
    with pytest.raises(BuildError, match="not as many weights as were published"):
        write_published(RandomWeights("ssd_tiny", 0), (TINY, TINY), tmp_path)


def test_an_op_without_a_kernel_is_named_and_counted(tmp_path: Path) -> None:
    import tensorflow as tf

    module = tf.Module()

    def run(x: Any) -> dict[str, Any]:
        return {"y": tf.linalg.cholesky(x) + tf.linalg.cholesky(x + 1.0)}

    module.run = tf.function(run, input_signature=[tf.TensorSpec([1, 4, 4])])
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=module.run)
    with pytest.raises(BuildError, match=r"Cholesky \(2\)") as caught:
        convert(tmp_path / "model", Scheme.parse("float32"), [], tmp_path / "model.tflite")
    assert len(str(caught.value).splitlines()) < 6


@pytest.mark.slow
@pytest.mark.parametrize("name", SIZES)
def test_full_size_answers_as_tensorflow_does(name: str, tmp_path: Path) -> None:
    model = find_model(name).with_random_weights()
    made = imported(model, tmp_path)
    samples = pictures(SIZES[name], 2)
    (tmp_path / "float").mkdir()
    LiteRTQuantizer().build(made, Scheme.parse("float32"), samples, tmp_path / "float")
    said = LiteRTModel(tmp_path / "float" / "model.tflite", threads=2)(samples[0])
    (meant, _) = LiteRTQuantizer().answers(made, samples)
    for key in ("detection_scores", "detection_boxes"):
        assert said[key].shape == meant[key].shape
    np.testing.assert_allclose(said["detection_scores"], meant["detection_scores"], atol=1e-3)
