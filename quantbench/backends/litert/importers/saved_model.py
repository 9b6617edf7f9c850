"""TensorFlow's own formats: SavedModels with a signature made fit, and Keras files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.backends.litert.importers.unrolling import unrolled
from quantbench.diagnosis.tensorflow import start_tensorflow
from quantbench.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from quantbench.protocols import PictureInterface
    from quantbench.study import Model


class SavedModelImporter:
    """A SavedModel of any input type and open sizes becomes one of a fixed float32 input.

    So are TF2 Object Detection models made convertible: uint8 pictures of any size become float32
    [1, height, width, 3] of the detector's size, and of the outputs those stay that its
    description names.
    """

    tools = ("tensorflow",)
    version = 1

    def build(self, model: Model, source: Path, folder: Path) -> None:
        """Write the SavedModel.

        Raises:
            BuildError: no SavedModel, no `serving_default`, several inputs, whole pixel values that
                would be mapped, loops that run more than once, or an output is missing.
        """
        start_tensorflow()
        import tensorflow as tf

        found = [path.parent for path in source.rglob("saved_model.pb")]
        if len(found) != 1:
            raise BuildError("expected one saved_model.pb", where=source, got=len(found))
        loaded = tf.saved_model.load(str(found[0]))
        if "serving_default" not in loaded.signatures:
            raise BuildError(
                "the SavedModel has no signature to serve by",
                where=model.source,
                expected="serving_default",
                got=sorted(loaded.signatures),
            )
        serve = loaded.signatures["serving_default"]
        inputs = serve.structured_input_signature[1]
        if len(inputs) != 1:
            raise BuildError("expected one input", where=model.source, got=sorted(inputs))
        ((name, spec),) = inputs.items()
        if spec.dtype.is_integer and model.interface and _mapped(model.interface):
            raise BuildError(
                "the model takes whole pixel values",
                where=model.source,
                expected="Detector(value_range=(0, 255)), without mean and std",
                got=model.interface,
                remedy="it normalizes by itself: other values would be rounded to black",
            )
        _save(model, lambda x: serve(**{name: _as(spec.dtype, x)}), folder)


class KerasImporter:
    """A `.keras` file becomes a SavedModel; outputs keep the names of the model's dictionary."""

    tools = ("tensorflow", "keras")
    version = 1

    def build(self, model: Model, source: Path, folder: Path) -> None:
        """Write the SavedModel.

        Raises:
            BuildError: not one `.keras` file, one that cannot be read safely, or unnamed outputs.
        """
        start_tensorflow()
        import keras

        files = list(source.glob("*.keras"))
        if len(files) != 1:
            raise BuildError("expected one .keras file", where=source, got=len(files))
        network = keras.saving.load_model(files[0], compile=False, safe_mode=True)
        _save(model, lambda x: _named(network(x, training=False)), folder)


def _mapped(interface: PictureInterface) -> bool:
    """Whether pixels are fed as anything else than 0 to 255."""
    as_they_are = (0.0, 255.0), (0.0,) * 3, (1.0,) * 3
    return (
        tuple(interface.value_range),
        tuple(interface.mean),
        tuple(interface.std),
    ) != as_they_are


def _as(dtype: Any, values: Any) -> Any:
    import tensorflow as tf

    return tf.cast(tf.round(values) if dtype.is_integer else values, dtype)


def _named(outputs: Any) -> Mapping[str, Any]:
    if isinstance(outputs, dict):
        return outputs
    listed = outputs if isinstance(outputs, list | tuple) else [outputs]
    return {f"output_{i}": value for i, value in enumerate(listed)}


def _save(model: Model, call: Any, folder: Path) -> None:
    """A SavedModel of `call`, without variables and without loops."""
    import tensorflow as tf

    if model.interface is None:
        raise BuildError(
            f"{model.name} has no input size",
            expected="Model(interface=Detector(size=...))",
        )
    height, width = model.interface.size
    first = model.interface.layout == "nchw"
    shape = (1, 3, height, width) if first else (1, height, width, 3)
    wanted = {name for _, name in model.interface.outputs}

    def run(picture: Any) -> Mapping[str, Any]:
        outputs = call(picture)
        if missing := wanted - set(outputs):
            raise BuildError(
                "the model has no such outputs", expected=sorted(missing), got=sorted(outputs)
            )
        return {key: value for key, value in outputs.items() if not wanted or key in wanted}

    spec = tf.TensorSpec(shape, tf.float32, name="picture")
    before = tf.function(run, input_signature=[spec], autograph=False).get_concrete_function()
    module = tf.Module()  # variables are constants from here on
    module.run = unrolled(before, spec)
    _check_same(before, module.run, shape)
    tf.saved_model.save(module, str(folder), signatures=module.run)


def _check_same(before: Any, after: Any, shape: tuple[int, ...]) -> None:
    """Two functions answer alike to a picture of noise."""
    import tensorflow as tf

    picture = tf.random.stateless_uniform(shape, (0, 0), 0.0, 255.0)
    meant, said = before(picture), after(picture)
    for name, values in meant.items():
        # Sorted: rows of nearly equal scores may swap.
        one, other = (np.sort(side, axis=None) for side in (values.numpy(), said[name].numpy()))
        if not np.allclose(one, other, rtol=1e-4, atol=1e-4):
            raise BuildError(
                "the model loops more than once over a batch of one",
                where=name,
                expected="the answer of one round",
                remedy="export the model without control flow",
            )
