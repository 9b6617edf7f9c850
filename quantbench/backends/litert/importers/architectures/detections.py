"""A detector as the TF2 Object Detection API exports it: pictures in, finished detections out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True)
class Detections:
    """A network with what stands before and behind it in the published file.

    Attributes:
        network: a Keras model of [1, height, width, 3] float32.
        normalize: of pixel values 0 to 255 to what the network takes.
        finish: of the network's outputs to the published ones, by name.
        size: height and width of the network's input.
        keeps_shape: whether a picture is shrunk to fit and padded at its bottom and right, and not
            stretched.
    """

    network: Any
    normalize: Callable[[Any], Any]
    finish: Callable[[Any], dict[str, Any]]
    size: tuple[int, int]
    keeps_shape: bool

    def save(self, folder: Path) -> None:
        """Write the SavedModel: `input_tensor`, uint8 [1, height, width, 3] of any size."""
        import tensorflow as tf

        module = tf.Module()
        module.network = self.network

        def serve(input_tensor: Any) -> dict[str, Any]:
            # The published files loop over their batch of one, too.
            pictures = tf.map_fn(
                self._prepared, input_tensor, fn_output_signature=tf.TensorSpec((*self.size, 3))
            )
            return self.finish(self.network(pictures, training=False))

        spec = tf.TensorSpec((1, None, None, 3), tf.uint8, "input_tensor")
        module.serve = tf.function(serve, input_signature=[spec])
        tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serve})

    def _prepared(self, picture: Any) -> Any:
        """A picture of any size as the network takes it, [height, width, 3] float32."""
        import tensorflow as tf

        pixels = tf.cast(picture, tf.float32)
        if not self.keeps_shape:
            return self.normalize(tf.image.resize(pixels, self.size))
        shape = tf.cast(tf.shape(pixels)[:2], tf.float32)
        scale = tf.reduce_min(tf.constant(self.size, tf.float32) / shape)
        height, width = tf.unstack(tf.cast(tf.round(shape * scale), tf.int32))
        resized = tf.image.resize(pixels, (height, width))
        return self.normalize(tf.image.pad_to_bounding_box(resized, 0, 0, *self.size))
