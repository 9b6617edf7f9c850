"""The network of `digits_centernet`: CenterNet heads on inverted-residual blocks.

Heads after Zhou et al., "Objects as Points" (2019): a heatmap of centres, a size and a sub-cell
offset for each cell of a grid of stride 4. Blocks after Sandler et al., "MobileNetV2" (2018).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantbench.catalog.digits.scenes import CATEGORIES, SIZE_PX
from quantbench.diagnosis.tensorflow import start_tensorflow
from quantbench.measure.rates import FILE

if TYPE_CHECKING:
    from quantbench.study import Model

STRIDE = 4
_STAGES = ((24, 3, 3), (40, 3, 3), (56, 3, 2), (80, 3, 2))  # (channels, expansion, blocks)
_NECK_CHANNELS = 40
_PRIOR_LOGIT = -2.19  # Zhou et al.: sigmoid(-2.19) = .1, so that training starts near the base rate


def build_network() -> Any:
    """The untrained Keras model.

    Input `image`: RGB in [0, 1], float32, [batch, 160, 160, 3]. Outputs, by name, float32:
    `heatmap` [batch, 40, 40, 10] in (0, 1); `size` (width, height) and `offset` (x, y), both
    [batch, 40, 40, 2] in cells of four pixels.
    """
    import keras
    from keras import layers

    image = keras.Input((SIZE_PX, SIZE_PX, 3), name="image")
    x = conv(image, 16, kernel=3, stride=2, name="stem")
    laterals = []
    for index, (channels, expansion, blocks) in enumerate(_STAGES):
        for block in range(blocks):
            stride = 2 if block == 0 else 1
            x = _inverted_residual(x, channels, expansion, stride, f"stage{index}_{block}")
        laterals.append(x)
    x = conv(laterals.pop(), _NECK_CHANNELS, kernel=1, name="neck_top", activate=False)
    for index, lateral in reversed(list(enumerate(laterals))):
        up = layers.UpSampling2D(name=f"up{index}")(x)
        side = conv(lateral, _NECK_CHANNELS, kernel=1, name=f"lateral{index}", activate=False)
        x = layers.Add(name=f"merge{index}")([up, side])
        x = separable(x, _NECK_CHANNELS, f"smooth{index}")
    outputs = {
        "heatmap": _head(x, len(CATEGORIES), "heatmap", activation="sigmoid", bias=_PRIOR_LOGIT),
        "size": _head(x, 2, "size"),
        "offset": _head(x, 2, "offset"),
    }
    return keras.Model(image, outputs, name="digits_centernet")


def load_network(weights: Path) -> Any:
    """The trained Keras model, from a safetensors file keyed by variable path."""
    return with_weights(build_network(), weights)


def with_weights(network: Any, weights: Path) -> Any:
    """The network with every variable as the file has it."""
    from safetensors.numpy import load_file

    stored = load_file(weights)
    for variable in network.variables:
        variable.assign(stored[variable.path])
    return network


def save_network(network: Any, weights: Path) -> None:
    """Write every variable of `network` to a safetensors file keyed by variable path."""
    from safetensors.numpy import save_file

    save_file({v.path: v.numpy() for v in network.variables}, weights)


def conv(
    x: Any, channels: int, *, kernel: int, name: str, stride: int = 1, activate: bool = True
) -> Any:
    """A convolution with batch normalization and, if asked for, ReLU6."""
    from keras import layers

    x = layers.Conv2D(
        channels, kernel, stride, padding="same", use_bias=False, name=f"{name}_conv"
    )(x)
    x = layers.BatchNormalization(momentum=0.98, name=f"{name}_norm")(x)
    return layers.ReLU(6.0, name=f"{name}_relu6")(x) if activate else x


def depthwise(x: Any, name: str, stride: int = 1) -> Any:
    """A depthwise convolution of 3 x 3 with batch normalization and ReLU6."""
    from keras import layers

    x = layers.DepthwiseConv2D(3, stride, padding="same", use_bias=False, name=f"{name}_depthwise")(
        x
    )
    x = layers.BatchNormalization(momentum=0.98, name=f"{name}_depthwise_norm")(x)
    return layers.ReLU(6.0, name=f"{name}_depthwise_relu6")(x)


def separable(x: Any, channels: int, name: str) -> Any:
    """Depthwise, then pointwise."""
    return conv(depthwise(x, name), channels, kernel=1, name=name)


def _inverted_residual(x: Any, channels: int, expansion: int, stride: int, name: str) -> Any:
    from keras import layers

    y = conv(x, expansion * x.shape[-1], kernel=1, name=f"{name}_expand")
    y = depthwise(y, name, stride)
    y = conv(y, channels, kernel=1, name=f"{name}_project", activate=False)
    return layers.Add(name=f"{name}_add")([x, y]) if x.shape == y.shape else y


def _head(
    x: Any, channels: int, name: str, activation: str | None = None, bias: float = 0.0
) -> Any:
    import keras
    from keras import layers

    y = separable(x, _NECK_CHANNELS, f"{name}_head")
    return layers.Conv2D(
        channels,
        1,
        activation=activation,
        bias_initializer=keras.initializers.Constant(bias),
        name=name,
    )(y)


class DigitsImporter:
    """The weights in the package become a SavedModel."""

    tools = ("tensorflow", "keras")
    version = 1
    writes = "saved_model"
    rates = Path(__file__).with_name(FILE)

    def build(self, model: Model, source: Path, folder: Path) -> None:
        """Export with the signature image [1, 160, 160, 3] -> heatmap, size, offset."""
        del model
        start_tensorflow()
        export_network(load_network(source / "weights.safetensors"), SIZE_PX, folder)


def export_network(network: Any, size: int, folder: Path) -> None:
    """A SavedModel with the signature image [1, size, size, 3] -> the network's outputs."""
    import tensorflow as tf

    image = tf.TensorSpec((1, size, size, 3), tf.float32, name="image")
    network.export(folder, "tf_saved_model", verbose=False, input_signature=[image])
