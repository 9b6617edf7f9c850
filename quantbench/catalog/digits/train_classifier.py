"""Trains `digits_classifier` anew: `python -m quantbench.catalog.digits.train_classifier`.

Cross-entropy on the 878 train glyphs, each shifted by up to a pixel and blurred with noise anew in
every epoch; AdamW under a cosine schedule. 26 seconds of processor time.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.catalog.digits.classes import WEIGHTS
from quantbench.catalog.digits.classifier import build_network
from quantbench.catalog.digits.glyphs import glyphs
from quantbench.catalog.digits.network import save_network

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BATCH = 64
_NOISE = 0.06  # of the range from black to white


def train(out: Path, epochs: int) -> None:
    """Train and write the weights."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    images, labels, _ = glyphs("train")
    network = build_network()
    steps = epochs * -(-len(images) // _BATCH)
    schedule = keras.optimizers.schedules.CosineDecay(
        1e-4, steps, alpha=0.01, warmup_target=8e-3, warmup_steps=steps // 20
    )
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=1e-3)
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def step(batch: Any, meant: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = loss_of(meant, network(batch, training=True)["logits"])
        gradients = tape.gradient(loss, network.trainable_variables)
        optimizer.apply_gradients(zip(gradients, network.trainable_variables, strict=True))
        return loss

    step = tf.function(step)
    for epoch in range(epochs):
        order = rng.permutation(len(images))
        losses = [
            float(step(_moved(images[chosen], rng), labels[chosen]))
            for chosen in np.split(order, range(_BATCH, len(order), _BATCH))
        ]
        if epoch % 10 == 0:
            print(f"epoch {epoch}: loss {np.mean(losses):.4f}")  # noqa: T201 - a command's output
    save_network(network, out)


def _moved(images: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.float32]:
    """In [0, 1], each shifted by -1 to 1 pixel both ways, with noise."""
    padded = np.pad(images.astype(np.float32) / 255, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifts = rng.choice(3, (len(images), 2), p=(0.2, 0.6, 0.2))
    size = images.shape[1]
    cut = [each[y : y + size, x : x + size] for each, (y, x) in zip(padded, shifts, strict=True)]
    noise = rng.normal(0, _NOISE, (len(images), size, size, 1))
    return np.clip(np.stack(cut) + noise, 0, 1).astype(np.float32)


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(prog="python -m quantbench.catalog.digits.train_classifier")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name(WEIGHTS))
    parser.add_argument("--epochs", type=int, default=40)
    arguments = parser.parse_args()
    train(arguments.out, arguments.epochs)


if __name__ == "__main__":
    main()
