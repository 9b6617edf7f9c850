"""What a build must show, and what it is refused for."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from quantbench.backends.litert.aeq import AEQQuantizer
from quantbench.backends.litert.check import check_build
from quantbench.backends.litert.convert import LiteRTQuantizer
from quantbench.backends.litert.interpreter import LiteRTModel, finished_model
from quantbench.errors import BuildError, PredictionError
from quantbench.study import Scheme

if TYPE_CHECKING:
    from pathlib import Path

SCHEMES = ("float32", "float16", "int8_dynamic", "int8_static", "int16x8_static")
AEQ = (
    *("float16_aeq", "int8_dynamic_aeq", "int8_static_aeq", "int16x8_static_aeq"),
    "int4_weight_aeq",
)


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three convolutions, a reversal that no delegate takes, and two heads."""
    import keras
    import tensorflow as tf
    from keras import layers

    keras.utils.set_random_seed(0)
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(32, 3, activation="relu", padding="same")(image)
    x = layers.Lambda(lambda v: tf.reverse(v, [1]))(x)
    x = layers.Conv2D(32, 3, activation="relu", padding="same")(x)
    outputs = {
        "scores": layers.Conv2D(4, 1, activation="sigmoid")(x),
        "size": layers.Conv2D(2, 1)(x),
    }
    folder = tmp_path_factory.mktemp("model")
    keras.Model(image, outputs).export(
        folder,
        "tf_saved_model",
        verbose=False,
        input_signature=[tf.TensorSpec((1, 16, 16, 3), tf.float32, name="image")],
    )
    return folder


@pytest.fixture(scope="module")
def samples() -> list[np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    return [rng.random((1, 16, 16, 3), dtype=np.float32) for _ in range(8)]


@pytest.mark.parametrize("name", [*SCHEMES, *AEQ])
def test_every_scheme_builds_checks_and_stores_what_its_name_says(
    saved_model: Path, samples: list[Any], tmp_path: Path, name: str
) -> None:
    scheme = Scheme.parse(name)
    quantizer = AEQQuantizer() if scheme.quantizer == "aeq" else LiteRTQuantizer()
    facts = quantizer.build(saved_model, scheme, samples, tmp_path)
    wanted = {"float32": "FLOAT32", "float16": "FLOAT16", "int8": "INT8", "int4": "INT4"}
    assert max(facts["stored"], key=lambda kind: facts["stored"][kind]) == wanted[scheme.weights]
    model = LiteRTModel(tmp_path / "model.tflite", threads=1)
    integer = {"int8": np.int8, "int16": np.int16}.get(scheme.activations, np.float32)
    assert model.input["dtype"] == integer
    (tmp_path / "float").mkdir()
    LiteRTQuantizer().build(saved_model, Scheme.parse("float32"), samples, tmp_path / "float")
    meant = LiteRTModel(tmp_path / "float" / "model.tflite", threads=1)(samples[0])
    loose = 0.5 if scheme.weights == "int4" else 0.1
    for output, values in meant.items():
        np.testing.assert_allclose(model(samples[0])[output], values, atol=loose)


def test_delegation_is_counted_in_ops(
    saved_model: Path, samples: list[Any], tmp_path: Path
) -> None:
    facts = LiteRTQuantizer().build(saved_model, Scheme.parse("float32"), samples, tmp_path)
    assert facts["delegate"] == "XNNPACK"
    # the reversal, and the axis-making around it, stand between two partitions
    assert 0 < facts["delegated_ops"] < facts["ops"]
    assert facts["delegate_partitions"] == 2


def test_how_far_an_artifact_is_from_its_framework_is_a_share_of_the_largest_answer(
    saved_model: Path, samples: list[Any], tmp_path: Path
) -> None:
    LiteRTQuantizer().build(saved_model, Scheme.parse("float32"), samples, tmp_path)
    model = LiteRTModel(tmp_path / "model.tflite", threads=1)
    meant = [model(sample) for sample in samples]
    facts = check_build(tmp_path / "model.tflite", samples, "float32", meant)
    assert facts["float_difference"] == 0
    meant[1]["size"] = meant[1]["size"] + np.float32(2e-3)
    facts = check_build(tmp_path / "model.tflite", samples, "float32", meant)
    largest = max(1.0, np.abs(meant[1]["size"]).max())
    assert facts["float_difference"] == pytest.approx(2e-3 / largest, rel=1e-3)
    meant[1]["size"] = meant[1]["size"][:, :-1]
    with pytest.raises(BuildError, match="'size' changed its shape on the way"):
        check_build(tmp_path / "model.tflite", samples, "float32", meant)


def test_what_was_compared_with_nothing_says_no_difference(
    saved_model: Path, samples: list[Any], tmp_path: Path
) -> None:
    LiteRTQuantizer().build(saved_model, Scheme.parse("float32"), samples, tmp_path)
    path = tmp_path / "model.tflite"
    assert "float_difference" not in check_build(path, [], "float32", [])
    model = LiteRTModel(path, threads=1)
    lost = {name: np.full_like(values, np.nan) for name, values in model(samples[0]).items()}
    with pytest.raises(BuildError, match="the source framework's own output"):
        check_build(path, samples[:1], "float32", [lost])


def test_channels_in_the_other_order_are_told(
    saved_model: Path, samples: list[Any], tmp_path: Path
) -> None:
    """A PyTorch model's file takes channels first; no op is missing."""
    LiteRTQuantizer().build(saved_model, Scheme.parse("float32"), samples, tmp_path)
    model = LiteRTModel(tmp_path / "model.tflite", threads=1)
    with pytest.raises(PredictionError, match=r'takes channels last: Detector\(layout="nhwc"\)'):
        model(np.moveaxis(samples[0], -1, 1))
    with pytest.raises(PredictionError, match=r"another shape[^$]*size=\(height, width\)"):
        model(samples[0][:, :-1])


def test_a_folder_with_a_saved_model_is_one_whatever_lies_beside_it(
    saved_model: Path, samples: list[Any], tmp_path: Path
) -> None:
    """Converters leave `.tflite` files there."""
    folder = tmp_path / "both"
    shutil.copytree(saved_model, folder)
    (folder / "model_float16.tflite").write_bytes(b"x")
    (folder / "model_float32.tflite").write_bytes(b"x")
    assert finished_model(folder) is None
    (built := tmp_path / "built").mkdir()
    facts = LiteRTQuantizer().build(folder, Scheme.parse("float32"), samples, built)
    assert facts["float_difference"] < 1e-4


def test_a_model_calibrated_on_black_images_is_refused(
    saved_model: Path, samples: list[Any], tmp_path: Path
) -> None:
    """Mistake 5 of the published study: a picture divided by 255 twice is black."""
    black = [sample / 255 for sample in samples]
    LiteRTQuantizer().build(saved_model, Scheme.parse("int8_static"), black, tmp_path)
    with pytest.raises(BuildError, match=r"cuts off its samples[^$]*got: +values in \[0"):
        check_build(tmp_path / "model.tflite", samples)


def test_shares_fed_to_an_input_of_pixels_are_refused(
    saved_model: Path, samples: list[Any], tmp_path: Path
) -> None:
    """The same mistake the other way round: everything falls into one step of 255."""
    pixels = [sample * 255 for sample in samples]
    LiteRTQuantizer().build(saved_model, Scheme.parse("int8_static"), pixels, tmp_path)
    with pytest.raises(BuildError, match=r"is too coarse for its samples[^$]*got: +values in \[0"):
        check_build(tmp_path / "model.tflite", samples)


def test_a_file_of_another_width_than_its_scheme_is_refused(
    saved_model: Path, samples: list[Any], tmp_path: Path
) -> None:
    """An int8 file as float32 would be a reference that has lost already."""
    LiteRTQuantizer().build(saved_model, Scheme.parse("int8_dynamic"), samples, tmp_path)
    (tmp_path / "float").mkdir()
    with pytest.raises(BuildError, match=r"not stored as float32[^$]*schemes=\('as_shipped',\)"):
        LiteRTQuantizer().build(tmp_path, Scheme.parse("float32"), samples, tmp_path / "float")


def test_rows_that_swap_are_the_same_answer(
    saved_model: Path, samples: list[Any], tmp_path: Path
) -> None:
    LiteRTQuantizer().build(saved_model, Scheme.parse("float32"), samples, tmp_path)
    model = LiteRTModel(tmp_path / "model.tflite", threads=1)
    meant = [{name: values[:, ::-1] for name, values in model(s).items()} for s in samples]
    facts = check_build(tmp_path / "model.tflite", samples, "float32", meant)
    assert facts["rows_reordered"]


def test_infinity_in_an_answer_is_refused(samples: list[Any], tmp_path: Path) -> None:
    import tensorflow as tf

    module = tf.Module()
    spec = tf.TensorSpec((1, 16, 16, 3), tf.float32, name="image")
    module.run = tf.function(lambda image: {"inverse": 1 / (image * 0)}, input_signature=[spec])
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=module.run)
    with pytest.raises(BuildError, match="'inverse' of the built model holds NaN or infinity"):
        LiteRTQuantizer().build(tmp_path / "model", Scheme.parse("float32"), samples, tmp_path)


def test_a_refusal_of_the_converter_is_explained(samples: list[Any], tmp_path: Path) -> None:
    import tensorflow as tf

    module = tf.Module()
    spec = tf.TensorSpec((1, 16, 16, 3), tf.float32, name="image")
    module.run = tf.function(
        lambda image: {"joined": tf.strings.length(tf.strings.as_string(image))},
        input_signature=[spec],
    )
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=module.run)
    with pytest.raises(BuildError, match=r"converter refuses float32[^$]*next:"):
        LiteRTQuantizer().build(tmp_path / "model", Scheme.parse("float32"), samples, tmp_path)


def test_a_finished_tflite_is_taken_as_it_is_or_by_the_other_tool(
    saved_model: Path, samples: list[Any], tmp_path: Path
) -> None:
    finished = tmp_path / "finished"
    finished.mkdir()
    LiteRTQuantizer().build(saved_model, Scheme.parse("float32"), samples, finished)
    (tmp_path / "copy").mkdir()
    LiteRTQuantizer().build(finished, Scheme.parse("float32"), samples, tmp_path / "copy")
    copied = (tmp_path / "copy" / "model.tflite").read_bytes()
    assert copied == (finished / "model.tflite").read_bytes()
    with pytest.raises(BuildError, match="int8_static_aeq"):
        LiteRTQuantizer().build(finished, Scheme.parse("int8_static"), samples, tmp_path)
    (tmp_path / "int8").mkdir()
    facts = AEQQuantizer().build(
        finished, Scheme.parse("int8_static_aeq"), samples, tmp_path / "int8"
    )
    assert facts["stored"]["INT8"] > 0


def test_a_model_that_the_runtime_cannot_run_names_the_likely_cause(tmp_path: Path) -> None:
    import tensorflow as tf

    module = tf.Module()
    spec = tf.TensorSpec((1, 16, 16, 3), tf.float32, name="image")
    module.run = tf.function(
        lambda image: {"grey": tf.image.adjust_saturation(image, 0.5)},
        input_signature=[spec],
    )
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=module.run)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "model"))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.SELECT_TF_OPS]
    (tmp_path / "model.tflite").write_bytes(converter.convert())
    with pytest.raises(PredictionError, match=r"left to TensorFlow \(Flex\)"):
        LiteRTModel(tmp_path / "model.tflite", threads=1)(np.zeros((1, 16, 16, 3), np.float32))
