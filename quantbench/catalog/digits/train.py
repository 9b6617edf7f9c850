"""Trains `digits_centernet` anew: `python -m quantbench.catalog.digits.train --out FILE`.

Scenes of the train glyphs only, drawn as they are needed; focal loss on the heatmap, L1 on size
and offset at the centres (Zhou et al., "Objects as Points", 2019, eq. 1 to 4).
"""

from __future__ import annotations

import argparse
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.catalog.digits.network import STRIDE, build_network, save_network
from quantbench.catalog.digits.scenes import CATEGORIES, SIZE_PX, Scene, scene

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_GRID = SIZE_PX // STRIDE
_BATCH = 16
_MIN_OVERLAP = 0.7  # a box moved by the radius still overlaps the truth by this IoU (CornerNet)


def targets(truth: Scene) -> dict[str, NDArray[np.float32]]:
    """What the three heads should say of a scene; `mask` [40, 40, 1] is 1 at the centres."""
    heatmap = np.zeros((_GRID, _GRID, len(CATEGORIES)), np.float32)
    size = np.zeros((_GRID, _GRID, 2), np.float32)
    offset = np.zeros((_GRID, _GRID, 2), np.float32)
    mask = np.zeros((_GRID, _GRID, 1), np.float32)
    rows, columns = np.mgrid[0:_GRID, 0:_GRID]
    for (x, y, width, height), label in zip(truth.boxes / STRIDE, truth.labels, strict=True):
        centre_x, centre_y = x + width / 2, y + height / 2
        column, row = int(centre_x), int(centre_y)
        sigma = (2 * _gaussian_radius(width, height) + 1) / 6
        bump = np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * sigma**2))
        np.maximum(heatmap[:, :, label], bump, out=heatmap[:, :, label])
        size[row, column] = width, height
        offset[row, column] = centre_x - column, centre_y - row
        mask[row, column] = 1
    return {"heatmap": heatmap, "size": size, "offset": offset, "mask": mask}


def train(out: Path, steps: int) -> None:
    """Train for `steps` batches of 16 scenes (one pass, no scene twice) and write the weights."""
    import keras
    import tensorflow as tf
    from tqdm import tqdm

    keras.utils.set_random_seed(0)
    network = build_network()
    optimizer = keras.optimizers.AdamW(
        keras.optimizers.schedules.CosineDecay(
            1e-5, steps, alpha=0.002, warmup_target=6e-3, warmup_steps=steps // 20
        ),
        weight_decay=1e-4,
    )

    def step(images: Any, wanted: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = _loss(network(images, training=True), wanted)
        gradients = tape.gradient(loss, network.trainable_variables)
        optimizer.apply_gradients(zip(gradients, network.trainable_variables, strict=True))
        return loss

    step = tf.function(step)
    losses = []
    progress = tqdm(_batches(steps), total=steps, unit="batch", mininterval=10)
    for images, wanted in progress:
        losses.append(float(step(images, wanted)))
        if len(losses) % 100 == 0:
            progress.set_postfix(loss=f"{np.mean(losses[-100:]):.3f}", refresh=False)
    save_network(network, out)


def _batches(steps: int) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Batches of (images in [0, 1], targets); the next one is drawn while one is used."""

    def batch(index: int) -> tuple[Any, dict[str, Any]]:
        truths = [scene("train", index * _BATCH + i) for i in range(_BATCH)]
        rows = [targets(truth) for truth in truths]
        images = np.stack([truth.image for truth in truths]).astype(np.float32) / 255
        return images, {name: np.stack([row[name] for row in rows]) for name in rows[0]}

    with ThreadPoolExecutor(1) as drawer:
        coming = drawer.submit(batch, 0)
        for index in range(steps):
            ready = coming.result()
            coming = drawer.submit(batch, index + 1)
            yield ready


def _loss(said: dict[str, Any], wanted: dict[str, Any]) -> Any:
    import tensorflow as tf

    centres = tf.reduce_sum(wanted["mask"]) + 1e-6
    p = tf.clip_by_value(said["heatmap"], 1e-4, 1 - 1e-4)
    truth = wanted["heatmap"]
    peak = tf.cast(truth == 1.0, tf.float32)
    hit = peak * (1 - p) ** 2 * tf.math.log(p)
    miss = (1 - peak) * (1 - truth) ** 4 * p**2 * tf.math.log(1 - p)
    focal = -tf.reduce_sum(hit + miss) / centres
    size = tf.reduce_sum(wanted["mask"] * tf.abs(said["size"] - wanted["size"])) / centres
    offset = tf.reduce_sum(wanted["mask"] * tf.abs(said["offset"] - wanted["offset"])) / centres
    return focal + 0.1 * size + offset


def _gaussian_radius(width: float, height: float) -> int:
    """Largest shift of the corners that keeps IoU at 0.7 (Law and Deng, CornerNet, 2018)."""
    overlap = _MIN_OVERLAP
    roots = []
    for a, b, c in (
        (1.0, -(height + width), width * height * (1 - overlap) / (1 + overlap)),
        (4.0, -2 * (height + width), (1 - overlap) * width * height),
        (4 * overlap, 2 * overlap * (height + width), (overlap - 1) * width * height),
    ):
        # The smaller root where both are positive, the positive one where signs differ.
        discriminant = math.sqrt(b * b - 4 * a * c)
        roots.append((-b - discriminant) / (2 * a) if b < 0 else (-b + discriminant) / (2 * a))
    return max(0, int(min(roots)))


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(prog="python -m quantbench.catalog.digits.train")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("weights.safetensors"))
    parser.add_argument("--steps", type=int, default=4000)
    arguments = parser.parse_args()
    train(arguments.out, arguments.steps)


if __name__ == "__main__":
    main()
