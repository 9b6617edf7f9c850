"""A small detector's graph with everything that can go wrong in it, still right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from quantbench.backends.litert.convert import convert
from quantbench.backends.litert.mending.ranges import observe
from quantbench.diagnosis.ranges import RULES
from quantbench.study import Scheme

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from quantbench.backends.litert.graph import Graph
    from quantbench.diagnosis.ranges import Range


@pytest.fixture(scope="session")
def samples() -> list[NDArray[np.float32]]:
    """Smooth pictures: what they show goes through the whole graph."""
    rng = np.random.default_rng(0)
    coarse = rng.random((16, 1, 4, 4, 3), dtype=np.float32)
    return list(np.repeat(np.repeat(coarse, 4, axis=2), 4, axis=3))


@pytest.fixture(scope="session")
def float_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Convolution, hard-swish written out, padded maximum, convolution, two heads."""
    import keras
    import tensorflow as tf
    from keras import layers

    keras.utils.set_random_seed(0)
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(16, 3, padding="same", name="stem")(image)
    # A sixth in half precision, as weights are shipped: the converter does not know it again.
    sixth = float(np.float16(1 / 6))
    x = layers.Lambda(lambda v: v * tf.nn.relu6(v + 3.0) * sixth, name="swish")(x)
    x = layers.Conv2D(16, 1, activation="relu", name="expand")(x)
    pads = [[0, 0], [1, 1], [1, 1], [0, 0]]
    x = layers.Lambda(lambda v: tf.pad(v, pads, constant_values=-2.0), name="padding")(x)
    x = layers.MaxPooling2D(3, 2)(x)
    x = layers.Conv2D(16, 3, activation="relu", padding="same", name="body")(x)
    outputs = {
        "scores": layers.Conv2D(4, 1, activation="sigmoid", name="scores")(x),
        "sides": layers.Conv2D(4, 1, name="sides")(x),
    }
    folder = tmp_path_factory.mktemp("float")
    keras.Model(image, outputs).export(
        folder / "saved",
        "tf_saved_model",
        verbose=False,
        input_signature=[tf.TensorSpec((1, 16, 16, 3), tf.float32, name="image")],
    )
    path = folder / "float.tflite"
    convert(folder / "saved", Scheme.parse("float32"), [], path)
    return path


def whole_ranges(path: Path, samples: list[NDArray[Any]]) -> dict[str, Range]:
    """Minimum and maximum of every tensor."""
    return {
        name: RULES["minimum and maximum"](seen) for name, seen in observe(path, samples).items()
    }


def op_named(graph: Graph, word: str, kind: str) -> Any:
    """The one op of a kind whose name has this word."""
    (found,) = [op for op in graph.ops if word in op.name and op.kind == kind]
    return found


def silent(what: str, parts: int) -> Callable[[int], None]:
    """Progress that nobody watches."""
    del what, parts
    return lambda _: None
