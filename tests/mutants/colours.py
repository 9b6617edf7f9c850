"""A made-up study in colour: letterboxed photos, crowds, and category ids with gaps.

What the digits cannot show, being grey, square and without crowds. Its detector averages how red
and how blue each place is; its score on its photos is worked out here, by numpy and pycocotools.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image

from quantbench import Anchor, CocoImages, Detector, Model, cases

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from quantbench.study import Case

N, CALIBRATION_N = 60, 12
SIDE, STRIDE = 96, 4  # pixels
_POOLS = (9, 1), (8, STRIDE)  # window and step: twice, so that no two neighbours score alike
RED, BLUE = 3, 44  # ids as in COCO: neither 0 and 1 nor 1 and 2
_MIX = np.array([[1, -0.5], [-0.5, -0.5], [-0.5, 1]], np.float32)  # RGB to redness and blueness
_SIZE = np.array([[0.5, -0.5], [-0.5, 0.5]], np.float32), np.float32(4)
_OFFSET = np.array([[0.1, 0], [0, 0.1]], np.float32), np.float32(0.5)
DETECTOR = Detector(
    size=(SIDE, SIDE),
    decoder="centernet",
    category_ids=(RED, BLUE),
    labels=("red", "blue"),
    value_range=(0.0, 1.0),
    fit="letterbox",
    strides=(STRIDE,),
)


def write_photos(folder: Path) -> None:
    """Photos and annotations in COCO's layout, evaluation and calibration."""
    rng = np.random.default_rng(0)
    (folder / "annotations").mkdir(parents=True)
    for split, n in (("val2017", N), ("train2017", CALIBRATION_N)):
        (folder / split).mkdir()
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for i in range(1, n + 1):
            image, truths = _photo(rng)
            name = f"{i:012d}.png"
            Image.fromarray(image).save(folder / split / name)
            height, width = image.shape[:2]
            images.append({"id": i, "file_name": name, "height": height, "width": width})
            for truth in truths:
                annotations.append({"id": len(annotations) + 1, "image_id": i, **truth})
        categories = [{"id": RED, "name": "red"}, {"id": BLUE, "name": "blue"}]
        described = {"images": images, "annotations": annotations, "categories": categories}
        path = folder / "annotations" / f"instances_{split}.json"
        path.write_text(json.dumps(described))


def _photo(rng: np.random.Generator) -> tuple[NDArray[np.uint8], list[dict[str, Any]]]:
    """Patches on grey: some are objects, some crowds, some too small to be either."""
    across, down = (3, 2) if rng.random() < 0.5 else (2, 3)
    image = rng.integers(0, 60, (32 * down, 32 * across, 1)).repeat(3, axis=2).astype(np.uint8)
    truths = []
    for place in rng.permutation(across * down)[:4]:
        kind = rng.choice(["object", "object", "crowd", "speck"])
        low, high = (6, 9) if kind == "speck" else (28, 32) if kind == "crowd" else (11, 20)
        wide, tall = (int(side) for side in rng.integers(low, high, 2))
        left, top = (
            32 * int(cell) + int(rng.integers(0, 33 - side))
            for cell, side in zip((place % across, place // across), (wide, tall), strict=True)
        )
        category = (RED, BLUE)[rng.integers(2)]
        colour = np.array([200, 30, 30] if category == RED else [30, 30, 200])
        patch = colour + rng.integers(-25, 25, (tall, wide, 3)) + int(rng.integers(0, 25))
        image[top : top + tall, left : left + wide] = patch
        if kind != "speck":
            truths.append(
                {
                    "bbox": [left, top, wide, tall],
                    "area": wide * tall,
                    "category_id": category,
                    "iscrowd": int(kind == "crowd"),
                }
            )
    return image, truths


def save_model(folder: Path, brightness: float = 1.0) -> None:
    """The detector as a SavedModel; `brightness` scales its scores."""
    import tensorflow as tf

    def heads(image: Any) -> dict[str, Any]:
        heatmap = tf.nn.relu(tf.nn.conv2d(image, (brightness * _MIX)[None, None], 1, "SAME"))
        for window, step in _POOLS:
            heatmap = tf.nn.avg_pool2d(heatmap, window, step, "SAME")
        size, offset = (
            tf.nn.conv2d(heatmap, weights[None, None], 1, "SAME") + bias
            for weights, bias in (_SIZE, _OFFSET)
        )
        return {"heatmap": heatmap, "size": size, "offset": offset}

    module = tf.Module()
    signature = tf.TensorSpec((1, SIDE, SIDE, 3), tf.float32, name="image")
    module.serve = tf.function(heads, input_signature=[signature])
    tf.saved_model.save(module, str(folder), signatures=module.serve)


def known_score(photos: Path) -> float:
    """AP of the float model, by numpy and pycocotools, from the files alone."""
    import contextlib
    import io

    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(photos / "annotations" / "instances_val2017.json")
        found = []
        for image in truth.dataset["images"]:
            picture = np.asarray(Image.open(photos / "val2017" / image["file_name"]))
            found += [{"image_id": image["id"], **said} for said in _detections(picture)]
        evaluation = COCOeval(truth, truth.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0])


def _detections(picture: NDArray[np.uint8]) -> list[dict[str, Any]]:
    from scipy.ndimage import maximum_filter

    height, width = picture.shape[:2]
    top, left = (SIDE - height) // 2, (SIDE - width) // 2
    canvas = np.zeros((SIDE, SIDE, 3), np.float32)
    canvas[top : top + height, left : left + width] = picture / np.float32(255)
    heatmap = np.maximum(canvas @ _MIX, 0)
    for window, step in _POOLS:
        edge = (window - step) // 2  # padding has no say in a mean
        padded = np.pad(heatmap, ((edge, edge), (edge, edge), (0, 0)), constant_values=np.nan)
        axes: Any = (0, 1)  # numpy's stub knows one
        windows = sliding_window_view(padded, (window, window), axes)
        heatmap = np.nanmean(windows[::step, ::step], axis=(-2, -1))
    peaks = (maximum_filter(heatmap, (3, 3, 1)) == heatmap) & (heatmap >= 0.01)
    said = []
    for row, column, label in np.argwhere(peaks):
        pooled = heatmap[row, column]
        extent, offset = (pooled @ weights + bias for weights, bias in (_SIZE, _OFFSET))
        centre = (np.array([column, row]) + offset) * STRIDE
        corner = centre - extent * STRIDE / 2 - [left, top]
        said.append(
            {
                "bbox": [*map(float, corner), *map(float, extent * STRIDE)],
                "score": float(pooled[label]),
                "category_id": (RED, BLUE)[label],
            }
        )
    return said


def study_of(
    model: Path, photos: Path, *anchors: Anchor, detector: Detector = DETECTOR
) -> tuple[Case, Case]:
    """The float case and the int8 case."""
    described = Model(
        name="colours",
        source=f"file:{model}",
        reference="float32",
        schemes=("float32", "int8_static"),
        datasets=(CocoImages("photos", f"file:{photos}", calibration_n=CALIBRATION_N),),
        interface=detector,
        anchors=anchors,
    )
    first, second = cases(described)
    return first, second
