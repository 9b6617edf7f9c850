"""Each family against the framework's own post-processing, or its formulas written out plainly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask
from scipy.ndimage import maximum_filter
from scipy.special import expit, softmax

from quantbench import Detector
from quantbench.backends.litert.interpreter import LiteRTModel
from quantbench.errors import PredictionError, UsageError
from quantbench.tasks.detection.decoders import DECODERS, find_decoder
from quantbench.tasks.detection.decoders.efficientdet import anchors
from quantbench.tasks.detection.decoders.found import Found, without_duplicates

if TYPE_CHECKING:
    from pathlib import Path

CLASSES = 3


def detector(decoder: str, size: tuple[int, int] = (64, 96), **more: Any) -> Detector:
    return Detector(size=size, decoder=decoder, category_ids=tuple(range(1, CLASSES + 1)), **more)


def decoded(described: Detector, outputs: dict[str, Any]) -> Found:
    return find_decoder(described.decoder)(outputs, described)


def naive_suppression(
    boxes: np.ndarray[Any, Any], scores: np.ndarray[Any, Any], labels: Any, threshold: float
) -> list[int]:
    kept: list[int] = []
    for i in np.argsort(-scores, kind="stable"):
        rivals = [k for k in kept if labels[k] == labels[i]]
        overlaps = mask.iou(boxes[[i]], boxes[rivals], [0] * len(rivals)) if rivals else []
        if not np.any(np.asarray(overlaps) > threshold):
            kept.append(int(i))
    return kept


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 40), st.sampled_from([0.3, 0.5, 0.65]))
def test_suppression_is_what_a_plain_loop_does(seed: int, n: int, threshold: float) -> None:
    rng = np.random.default_rng(seed)
    boxes = np.concatenate([rng.uniform(0, 40, (n, 2)), rng.uniform(5, 30, (n, 2))], axis=1)
    scores = np.sort(rng.random(n))[::-1]
    labels = rng.integers(0, 2, n)
    found = without_duplicates(Found(boxes, scores, labels), threshold)
    kept = naive_suppression(boxes, scores, labels, threshold)
    np.testing.assert_array_equal(found.boxes, boxes[kept])


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000))
def test_peaks_are_those_of_a_max_pooling(seed: int) -> None:
    rng = np.random.default_rng(seed)
    heatmap = rng.choice([0.0, 0.005, 0.01, 0.2, 0.5, 0.9], (1, 9, 7, CLASSES)).astype(np.float32)
    size = rng.random((1, 9, 7, 2), dtype=np.float32)
    found = decoded(
        detector("centernet", strides=(4,)), {"heatmap": heatmap, "size": size, "offset": 0 * size}
    )
    pooled = maximum_filter(heatmap[0], (3, 3, 1), mode="nearest")
    peaks = heatmap[0][(heatmap[0] == pooled) & (heatmap[0] >= 0.01)]
    assert found.scores.tolist() == np.sort(peaks)[::-1][:100].tolist()


def nanodet_outputs(rng: np.random.Generator, bins: int = 8) -> dict[str, Any]:
    outputs = {}
    for i, cells in enumerate((8 * 12, 4 * 6, 2 * 3)):
        outputs[f"a{i}"] = expit(rng.normal(-2, 2, (1, cells, CLASSES))).astype(np.float32)
        outputs[f"b{i}"] = rng.normal(0, 2, (1, cells, 4 * bins)).astype(np.float32)
    return outputs


@pytest.mark.parametrize(("decoder", "offset"), [("nanodet", 0.5), ("nanodet_plus", 0.0)])
def test_nanodet_reads_distances_as_means_of_distributions(decoder: str, offset: float) -> None:
    outputs = nanodet_outputs(np.random.default_rng(0))
    boxes, scores, labels = [], [], []
    for i, (stride, rows, columns) in enumerate(((8, 8, 12), (16, 4, 6), (32, 2, 3))):
        for row in range(rows):
            for column in range(columns):
                cell = row * columns + column
                x, y = (column + offset) * stride, (row + offset) * stride
                sides = softmax(outputs[f"b{i}"][0, cell].reshape(4, 8), axis=1) @ np.arange(8)
                left, top, right, bottom = sides * stride
                for label, score in enumerate(outputs[f"a{i}"][0, cell]):
                    if score >= 0.05:
                        one = np.clip([x - left, y - top], 0, [96, 64])
                        other = np.clip([x + right, y + bottom], 0, [96, 64])
                        boxes.append([*one, *(other - one)])
                        scores.append(score)
                        labels.append(label)
    kept = naive_suppression(np.array(boxes), np.array(scores), labels, 0.6)[:100]
    found = decoded(detector(decoder, strides=(8, 16, 32)), outputs)
    np.testing.assert_allclose(found.boxes, np.array(boxes)[kept], atol=1e-3)
    np.testing.assert_allclose(found.scores, np.array(scores)[kept])
    assert found.labels.tolist() == [labels[k] for k in kept]


def test_yolox_takes_the_class_that_objectness_and_score_favour() -> None:
    rng = np.random.default_rng(1)
    cells = [(8, 8, 12), (16, 4, 6), (32, 2, 3)]
    n = sum(rows * columns for _, rows, columns in cells)
    said = rng.normal(0, 0.7, (1, n, 5 + CLASSES)).astype(np.float32)
    said[..., 4:] = expit(said[..., 4:])
    boxes, scores, labels = [], [], []
    place = 0
    for stride, rows, columns in cells:
        for row in range(rows):
            for column in range(columns):
                x, y, w, h, objectness, *classes = said[0, place]
                wide, tall = np.exp(w) * stride, np.exp(h) * stride
                left = (x + column) * stride - wide / 2
                boxes.append([left, (y + row) * stride - tall / 2, wide, tall])
                labels.append(int(np.argmax(classes)))
                scores.append(objectness * max(classes))
                place += 1
    kept = naive_suppression(np.array(boxes), np.array(scores), labels, 0.65)[:100]
    found = decoded(detector("yolox", strides=(8, 16, 32)), {"whatever": said})
    np.testing.assert_allclose(found.boxes, np.array(boxes)[kept], rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(found.scores, np.array(scores)[kept], rtol=1e-6)
    assert found.labels.tolist() == [labels[k] for k in kept]


def test_detr_is_what_transformers_makes_of_it() -> None:
    import torch
    from transformers import DetrImageProcessor
    from transformers.models.detr.modeling_detr import DetrObjectDetectionOutput

    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(1, 20, CLASSES + 1, generator=generator)
    boxes = 0.1 + 0.4 * torch.rand(1, 20, 4, generator=generator)
    (meant,) = DetrImageProcessor().post_process_object_detection(
        DetrObjectDetectionOutput(logits=logits, pred_boxes=boxes),
        threshold=0.0,
        target_sizes=[(64, 96)],
    )
    found = decoded(detector("detr"), {"logits": logits.numpy(), "boxes": boxes.numpy()})
    order = np.argsort(-meant["scores"].numpy(), kind="stable")
    corners = meant["boxes"].numpy()[order]
    np.testing.assert_allclose(found.scores, meant["scores"].numpy()[order], rtol=1e-5)
    assert found.labels.tolist() == meant["labels"].numpy()[order].tolist()
    np.testing.assert_allclose(found.boxes[:, :2], corners[:, :2], atol=1e-3)
    np.testing.assert_allclose(found.boxes[:, 2:], corners[:, 2:] - corners[:, :2], atol=1e-3)


def postprocess_op(
    folder: Path, anchor: np.ndarray[Any, Any], *, scales: float, limit: int, regular: bool
) -> LiteRTModel:
    """LiteRT's own decoding and suppression, as the Object Detection API exports it."""
    import tensorflow as tf

    integers = {
        "max_detections": limit,
        "max_classes_per_detection": 1,
        "detections_per_class": limit,
        "num_classes": CLASSES,
    }
    floats = {
        "nms_score_threshold": 0.01,
        "nms_iou_threshold": 0.5,
        **dict.fromkeys(("y_scale", "x_scale", "h_scale", "w_scale"), scales),
    }
    attributes = [
        'name: "TFLite_Detection_PostProcess"',
        *(f'attr {{ key: "{key}" value {{ i: {value} }} }}' for key, value in integers.items()),
        *(f'attr {{ key: "{key}" value {{ f: {value} }} }}' for key, value in floats.items()),
        f'attr {{ key: "use_regular_nms" value {{ b: {str(regular).lower()} }} }}',
    ]

    @tf.function(experimental_implements=" ".join(attributes))  # type: ignore[untyped-decorator]
    def op(codes: Any, scores: Any, fixed: Any) -> Any:
        del codes, scores, fixed
        shapes = ([1, limit, 4], [1, limit], [1, limit], [1])
        return tuple(tf.zeros(shape) for shape in shapes)

    n = len(anchor)

    def heads(values: Any) -> dict[str, Any]:
        made = op(values[..., :4], values[..., 4:], tf.constant(anchor))
        return dict(zip(("boxes", "classes", "scores", "count"), made, strict=True))

    module = tf.Module()
    spec = tf.TensorSpec((1, n, 4 + CLASSES), tf.float32, name="heads")
    module.run = tf.function(heads, input_signature=[spec])
    tf.saved_model.save(module, str(folder), signatures=module.run)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
    converter.allow_custom_ops = True
    (folder / "model.tflite").write_bytes(converter.convert())
    return LiteRTModel(folder / "model.tflite", threads=1)


def test_efficientdet_is_what_litert_makes_of_the_same_heads(tmp_path: Path) -> None:
    described = detector("efficientdet", (64, 64), strides=(8, 16, 32, 64, 128), anchor_scale=4.0)
    anchor = anchors(described.size, described.strides, described.anchor_scale)
    op = postprocess_op(tmp_path, anchor, scales=1.0, limit=100, regular=True)
    rng = np.random.default_rng(2)
    codes = rng.normal(0, 0.3, (1, len(anchor), 4)).astype(np.float32)
    logits = rng.normal(-2, 1.5, (1, len(anchor), CLASSES)).astype(np.float32)
    meant = op(np.concatenate([codes, expit(logits)], axis=-1))
    found = decoded(described, {"class_logits": logits, "box_codes": codes})
    count = int(meant["count"][0])
    assert len(found.scores) == count == 100
    np.testing.assert_allclose(found.scores, meant["scores"][0, :count], rtol=1e-5)
    assert found.labels.tolist() == meant["classes"][0, :count].tolist()
    top, left, bottom, right = meant["boxes"][0, :count].T
    expected = np.stack([left, top, right - left, bottom - top], axis=1)
    np.testing.assert_allclose(found.boxes, expected, rtol=1e-4, atol=1e-3)


def test_efficientdet_has_the_published_number_of_anchors() -> None:
    made = anchors((512, 512), (8, 16, 32, 64, 128), 4.0)
    assert made.shape == (49104, 4)  # EfficientDet-D0
    assert made[0].tolist() == [4, 4, 32, 32]
    np.testing.assert_allclose(made[1], [4, 4, 32 * 0.7, 32 * 1.4], rtol=1e-6)
    np.testing.assert_allclose(made[3], [4, 4, 32 * 2 ** (1 / 3), 32 * 2 ** (1 / 3)], rtol=1e-6)
    # 448 pixels are 3.5 cells of 128: four cells of 112 fill them
    assert anchors((448, 448), (128,), 3.0)[0, :3].tolist() == [56, 56, 336]


def test_the_postprocess_op_of_litert_is_read(tmp_path: Path) -> None:
    anchor = np.array([[0.25, 0.25, 0.5, 0.5], [0.75, 0.5, 0.2, 0.4]], np.float32)
    op = postprocess_op(tmp_path, anchor, scales=10.0, limit=10, regular=False)
    values = np.zeros((1, 2, 4 + CLASSES), np.float32)
    values[0, 0, 4:] = 0, 0.6, 0
    values[0, 1, 4:] = 0, 0, 0.9
    found = decoded(detector("tflite_postprocess"), op(values))
    # two objects, and eight rows of uninitialised memory
    assert found.labels.tolist() == [2, 1]
    assert found.scores.tolist() == pytest.approx([0.9, 0.6])
    expected = [[0.3 * 96, 0.65 * 64, 0.4 * 96, 0.2 * 64], [0, 0, 0.5 * 96, 0.5 * 64]]
    np.testing.assert_allclose(found.boxes, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("decoder", "scale", "unit"),
    [("tf2_detection", (64, 96), (1, 1)), ("tf2_detection_pixels", (1, 1), (64, 96))],
)
def test_outputs_of_the_object_detection_api_are_read(
    decoder: str, scale: tuple[int, int], unit: tuple[int, int]
) -> None:
    boxes = np.array([[[0.1, 0.2, 0.5, 0.6], [0.2, 0.2, 0.4, 0.4], [0] * 4]])
    outputs = {
        "detection_boxes": boxes * np.array([*unit, *unit]),
        "detection_classes": np.array([[3.0, 1.0, 0.0]]),
        "detection_scores": np.array([[0.4, 0.8, 0.0]]),
        "num_detections": np.array([3.0]),  # what LiteRT says for every picture
    }
    found = decoded(detector(decoder), outputs)
    assert found.labels.tolist() == [0, 2]  # classes count from one
    assert found.scores.tolist() == [0.8, 0.4]
    np.testing.assert_allclose(found.boxes[1], [0.2 * 96, 0.1 * 64, 0.4 * 96, 0.4 * 64])
    # Mistake 7 of the published study: shares divided by the size again, or pixels times it.
    outputs["detection_boxes"] = boxes * np.array([*scale, *scale])
    with pytest.raises(PredictionError, match=r"the other decoder of the two"):
        decoded(detector(decoder), outputs)


def test_outputs_are_told_apart_by_shape_and_never_by_place() -> None:
    outputs = nanodet_outputs(np.random.default_rng(0))
    described = detector("nanodet", strides=(8, 16, 32))
    turned = dict(reversed(outputs.items()))
    np.testing.assert_array_equal(
        decoded(described, outputs).boxes, decoded(described, turned).boxes
    )
    outputs["c"] = outputs["a0"]
    with pytest.raises(PredictionError, match=r"no output 'scores_8'[^$]*2 fit"):
        decoded(described, outputs)


def own(outputs: dict[str, Any], described: Detector) -> Found:
    del described
    return Found(outputs["boxes"], outputs["scores"], np.zeros(1, np.int64))


def test_a_decoder_of_ones_own_is_named_by_module_and_function() -> None:
    assert find_decoder(f"{__name__}:own") is own
    with pytest.raises(UsageError, match=r"unknown decoder 'yolo'[^$]*centernet"):
        find_decoder("yolo")
    with pytest.raises(UsageError, match="cannot be imported"):
        find_decoder("no_such_module:decode")


def test_every_decoder_of_the_table_is_there() -> None:
    for name in DECODERS:
        assert callable(find_decoder(name))


@pytest.mark.parametrize("decoder", ["centernet", "centernet_sides"])
def test_maps_with_channels_first_decode_alike(decoder: str) -> None:
    rng = np.random.default_rng(0)
    maps = {
        name: rng.random((1, 9, 7, channels), dtype=np.float32)
        for name, channels in (("heatmap", CLASSES), ("size", 2), ("offset", 2), ("sides", 4))
    }
    first = {name: np.moveaxis(values, -1, 1) for name, values in maps.items()}
    described = detector(decoder, strides=(4,))
    meant, said = decoded(described, maps), decoded(described, first)
    for one, other in zip(meant, said, strict=True):
        np.testing.assert_array_equal(one, other)
    first["heatmap"] = first["heatmap"][:, :-1]
    with pytest.raises(PredictionError, match=r"'heatmap' is no map of \d+ channels"):
        decoded(described, first)
