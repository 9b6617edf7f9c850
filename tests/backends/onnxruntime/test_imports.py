"""SavedModels and PyTorch programs on their way to ONNX Runtime."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from quantbench.backends.onnxruntime.importers.pytorch import TorchExportImporter
from quantbench.backends.onnxruntime.importers.saved_model import SavedModelImporter
from quantbench.catalog.models import find_model
from quantbench.errors import BuildError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from quantbench.study import Model

DIGITS = find_model("digits_centernet")  # channels last
assert DIGITS.interface is not None


def described(source: str = "file:mine", **changes: Any) -> Model:
    return replace(DIGITS, source=source, interface=replace(DIGITS.interface, **changes))


def answered(folder: Path, x: NDArray[np.float32]) -> tuple[Any, dict[str, NDArray[Any]]]:
    """The input's description, and what ONNX Runtime answers, in the model's order."""
    import onnxruntime

    session = onnxruntime.InferenceSession(
        str(folder / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    (given,) = session.get_inputs()
    names = [each.name for each in session.get_outputs()]
    return given, dict(zip(names, session.run(names, {given.name: x}), strict=True))


def assert_alike(said: Any, meant: Any) -> None:
    assert list(said) == list(meant)
    for name, values in meant.items():
        np.testing.assert_allclose(said[name], values, rtol=0, atol=1e-5)


def saved(folder: Path, shape: Any, run: Any, dtype: str = "float32") -> Path:
    import tensorflow as tf

    module = tf.Module()
    spec = tf.TensorSpec(shape, dtype, name="picture")
    module.run = tf.function(run, input_signature=[spec])
    tf.saved_model.save(module, str(folder), signatures=module.run)
    return folder


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "made").mkdir()
    return tmp_path / "made"


@pytest.mark.parametrize("open_size", [False, True])
def test_a_saved_model_keeps_names_and_layout(
    tmp_path: Path, target: Path, *, open_size: bool
) -> None:
    """Channels last go in and come out, at the detector's size where the model leaves it open."""
    import keras
    import tensorflow as tf
    from keras import layers

    keras.utils.set_random_seed(0)
    image = keras.Input((None, None, 3) if open_size else (32, 48, 3))
    features = layers.BatchNormalization()(layers.Conv2D(8, 3, 2, "same")(image))
    deep = layers.DepthwiseConv2D(3, padding="same", activation="hard_swish")(features)
    small = layers.MaxPooling2D(3, 2, "same")(deep)
    wide = layers.Conv2DTranspose(8, 3, 2, "same", activation="leaky_relu")(small)
    heads = {
        "wh": layers.Conv2D(2, 1)(wide),
        "heatmap": layers.Conv2D(3, 1, activation="sigmoid")(wide),
        "again": wide,
    }
    keras.Model(image, heads).export(
        tmp_path / "source",
        "tf_saved_model",
        verbose=False,
        input_signature=[
            tf.TensorSpec((None, None, None, 3) if open_size else (1, 32, 48, 3), name="image")
        ],
    )
    importer = SavedModelImporter()
    importer.build(described(size=(32, 48)), tmp_path / "source", target)
    x = np.random.default_rng(0).random((1, 32, 48, 3), dtype=np.float32)
    given, said = answered(target, x)
    assert (given.name, given.shape) == ("image", [1, 32, 48, 3])
    (meant,) = importer.answers(tmp_path / "source", [x])
    assert sorted(said) == ["again", "heatmap", "wh"]
    assert_alike(said, {name: meant[name] for name in said})


def test_tensorflow_ops_that_onnx_lacks_are_counted(tmp_path: Path, target: Path) -> None:
    import tensorflow as tf

    def run(picture: Any) -> dict[str, Any]:
        return {"y": tf.math.igamma(tf.abs(picture) + 1.0, picture), "z": tf.math.lgamma(picture)}

    saved(tmp_path / "source", (1, 8, 8, 3), run)
    with pytest.raises(BuildError, match=r"no conversion for[^$]*Igamma \(1\), Lgamma \(1\)"):
        SavedModelImporter().build(described(), tmp_path / "source", target)


def test_saved_models_that_do_not_fit_are_explained(tmp_path: Path, target: Path) -> None:
    import tensorflow as tf

    def same(picture: Any) -> dict[str, Any]:
        return {"y": tf.identity(picture)}

    importer = SavedModelImporter()
    with pytest.raises(BuildError, match=r"expected one saved_model\.pb"):
        importer.build(described(), tmp_path, target)
    saved(tmp_path / "whole", (1, 8, 8, 3), same, "uint8")
    with pytest.raises(BuildError, match=r"float32 input[^$]*uint8"):
        importer.build(described(), tmp_path / "whole", target)
    saved(tmp_path / "open", (1, None, None, 3), same)
    with pytest.raises(BuildError, match="has no input size"):
        importer.build(replace(DIGITS, interface=None), tmp_path / "open", target)
    saved(tmp_path / "other", (1, 8, 8, None), same)
    with pytest.raises(BuildError, match=r"another size[^$]*16"):
        importer.build(described(size=(16, 16)), tmp_path / "other", target)
    tf.saved_model.save(tf.Module(), str(tmp_path / "bare"))
    with pytest.raises(BuildError, match="no signature"):
        importer.build(described(), tmp_path / "bare", target)
    module = tf.Module()
    specs = [tf.TensorSpec((1, 8), name=name) for name in ("a", "b")]
    module.run = tf.function(lambda a, b: {"y": a + b}, input_signature=specs)
    tf.saved_model.save(module, str(tmp_path / "two"), signatures=module.run)
    with pytest.raises(BuildError, match=r"one input[^$]*'a', 'b'"):
        importer.build(described(), tmp_path / "two", target)


def exported(folder: Path, forward: Any, *given: Any) -> Path:
    import torch

    class Network(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.convolution = torch.nn.Conv2d(3, 4, 3, padding=1)
            self.normalization = torch.nn.BatchNorm2d(4)

        def forward(self, *inputs: Any) -> Any:
            return forward(self, *inputs)

    torch.manual_seed(0)
    folder.mkdir()
    program = torch.export.export(Network().eval(), given)
    torch.export.save(program, folder / "detector.pt2")
    return folder


def test_a_torch_program_keeps_the_names_of_its_outputs(tmp_path: Path, target: Path) -> None:
    """In the dictionary's order, one of them under two names."""
    import torch

    def forward(network: Any, picture: Any) -> dict[str, Any]:
        features = torch.nn.functional.silu(network.normalization(network.convolution(picture)))
        small = torch.nn.functional.max_pool2d(features, 3, 2, 1)
        heat = torch.sigmoid(torch.nn.functional.interpolate(small, scale_factor=2.0))
        return {"wh": features.flatten(2).permute(0, 2, 1), "heat": heat, "again": heat}

    source = exported(tmp_path / "source", forward, torch.rand(1, 3, 32, 32))
    importer = TorchExportImporter()
    importer.build(described(), source, target)
    x = np.random.default_rng(0).random((1, 3, 32, 32), dtype=np.float32)
    given, said = answered(target, x)
    assert given.shape == [1, 3, 32, 32]
    assert list(said) == ["wh", "heat", "again"]
    (meant,) = importer.answers(source, [x])
    assert_alike(said, meant)


def test_torch_programs_that_do_not_fit_are_explained(tmp_path: Path, target: Path) -> None:
    import torch

    importer, picture = TorchExportImporter(), torch.rand(1, 3, 8, 8)
    with pytest.raises(BuildError, match="a PyTorch program from elsewhere is not opened"):
        importer.build(described("https://example.org/detector.pt2"), tmp_path, target)
    with pytest.raises(BuildError, match=r"expected one \.pt2 file"):
        importer.build(described(), tmp_path, target)
    bare = exported(tmp_path / "bare", lambda network, x: network.convolution(x), picture)
    with pytest.raises(BuildError, match=r"must have names[^$]*Tensor"):
        importer.build(described(), bare, target)
    two = exported(tmp_path / "two", lambda _, a, b: {"y": a + b}, picture, picture)
    with pytest.raises(BuildError, match="expected one input"):
        importer.build(described(), two, target)
    strange = exported(tmp_path / "svd", lambda _, x: {"y": torch.linalg.svdvals(x)}, picture)
    with pytest.raises(BuildError, match=r"makes no ONNX model[^$]*_linalg_svd"):
        importer.build(described(), strange, target)
