"""Integer tensors: real values in, real values out, by each tensor's own parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantbench.backends.litert.convert import LiteRTQuantizer
from quantbench.backends.litert.interpreter import dequantize, quantize
from quantbench.backends.litert.runner import LiteRTRunner
from quantbench.core.settings import Machine
from quantbench.errors import PredictionError
from quantbench.study import Scheme

if TYPE_CHECKING:
    from pathlib import Path

parameters = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from([np.int8, np.uint8, np.int16]),
        "quantization": st.tuples(st.floats(1e-4, 10.0), st.integers(-100, 100)),
    }
)


@given(parameters, st.floats(-2000, 2000))
def test_quantizing_inverts_to_within_half_a_step_inside_the_range(
    detail: dict[str, Any], value: float
) -> None:
    scale, zero_point = detail["quantization"]
    limits = np.iinfo(detail["dtype"])
    low, high = (limits.min - zero_point) * scale, (limits.max - zero_point) * scale
    back = dequantize(quantize(np.array([value], np.float32), detail), detail)[0]
    nearest = min(max(value, low), high)
    assert abs(back - nearest) <= scale / 2 + 1e-4 * abs(nearest) + 1e-6


def test_float_tensors_pass_through() -> None:
    detail = {"dtype": np.float32, "quantization": (0.0, 0)}
    values = np.array([0.25, -3.0], np.float32)
    assert (quantize(values, detail) == values).all()
    assert (dequantize(values, detail) == values).all()


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small convolution with named outputs, one of them large and one small in range."""
    import keras
    import tensorflow as tf
    from keras import layers

    keras.utils.set_random_seed(1)
    image = keras.Input((8, 8, 3), name="image")
    features = layers.Conv2D(64, 3, activation="relu6", padding="same")(image)  # enough to quantize
    outputs = {
        "far": layers.Conv2D(2, 1, bias_initializer=keras.initializers.Constant(100.0))(features),
        "near": layers.Conv2D(2, 1, activation="sigmoid")(features),
    }
    folder = tmp_path_factory.mktemp("saved_model")
    signature = [tf.TensorSpec((1, 8, 8, 3), tf.float32, name="image")]
    keras.Model(image, outputs).export(
        folder, "tf_saved_model", verbose=False, input_signature=signature
    )
    return folder


@pytest.fixture(scope="module")
def images() -> list[np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    return [rng.random((1, 8, 8, 3), dtype=np.float32) for _ in range(8)]


@pytest.fixture(scope="module")
def float_outputs(saved_model: Path, images: list[np.ndarray[Any, Any]]) -> list[dict[str, Any]]:
    import tensorflow as tf

    serve = tf.saved_model.load(str(saved_model)).signatures["serving_default"]
    return [{k: v.numpy() for k, v in serve(tf.constant(image)).items()} for image in images]


@pytest.mark.parametrize(
    ("scheme", "near", "far"),
    [
        ("float32", 1e-5, 1e-3),
        ("float16", 1e-2, 0.5),
        ("int8_dynamic", 2e-2, 0.5),
        ("int8_static", 3e-2, 1.0),
    ],
)
def test_every_scheme_answers_like_the_framework(
    saved_model: Path,
    images: list[np.ndarray[Any, Any]],
    float_outputs: list[dict[str, Any]],
    tmp_path: Path,
    scheme: str,
    near: float,
    far: float,
) -> None:
    LiteRTQuantizer().build(saved_model, Scheme.parse(scheme), images, tmp_path)
    runner = LiteRTRunner(tmp_path, Machine())
    for said, meant in zip(runner.predict_all(images), float_outputs, strict=True):
        assert set(said) == {"near", "far"}
        np.testing.assert_allclose(said["near"], meant["near"], atol=near)
        np.testing.assert_allclose(said["far"], meant["far"], atol=far)
    assert runner.facts().as_json()["threads"] == 1
    assert runner.facts().as_json()["weights_bytes"] == (tmp_path / "model.tflite").stat().st_size


def test_the_static_scheme_takes_integers_inside(
    saved_model: Path, images: list[np.ndarray[Any, Any]], tmp_path: Path
) -> None:
    from ai_edge_litert.interpreter import Interpreter

    LiteRTQuantizer().build(saved_model, Scheme.parse("int8_static"), images, tmp_path)
    interpreter = Interpreter(str(tmp_path / "model.tflite"))
    assert interpreter.get_input_details()[0]["dtype"] == np.int8
    assert {detail["dtype"] for detail in interpreter.get_output_details()} == {np.int8}


def test_a_file_that_is_no_model_is_explained(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(b"not a flatbuffer")
    with pytest.raises(PredictionError, match="cannot load the model"):
        LiteRTRunner(tmp_path, Machine())


def test_an_input_of_another_shape_is_explained(
    saved_model: Path, images: list[np.ndarray[Any, Any]], tmp_path: Path
) -> None:
    LiteRTQuantizer().build(saved_model, Scheme.parse("float32"), images, tmp_path)
    with pytest.raises(PredictionError, match=r"expected:\s+input \[1, 8, 8, 3\]|expected:"):
        LiteRTRunner(tmp_path, Machine()).predict(np.zeros((1, 4, 4, 3), np.float32))
