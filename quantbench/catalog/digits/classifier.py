"""The network of `digits_classifier`: depthwise separable convolutions with ReLU6.

Blocks after Howard et al., "MobileNets" (2017), without the width: 8 x 8 pixels need little.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantbench.catalog.digits.classes import CLASSES, WEIGHTS
from quantbench.catalog.digits.glyphs import SIZE_PX
from quantbench.catalog.digits.network import conv, depthwise, export_network, with_weights
from quantbench.diagnosis.tensorflow import start_tensorflow
from quantbench.measure.rates import FILE

if TYPE_CHECKING:
    from quantbench.study import Model


_BLOCKS = ((12, 1), (24, 2), (48, 1))  # channels, stride


def build_network() -> Any:
    """The untrained Keras model: image [batch, 8, 8, 3] in [0, 1] -> logits [batch, 10]."""
    import keras
    from keras import layers

    image = keras.Input((SIZE_PX, SIZE_PX, 3), name="image")
    x = conv(image, 8, kernel=3, name="stem")
    for i, (channels, stride) in enumerate(_BLOCKS):
        x = conv(depthwise(x, f"block{i}", stride), channels, kernel=1, name=f"block{i}")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    logits = layers.Dense(len(CLASSES), name="logits")(x)
    return keras.Model(image, {"logits": logits}, name="digits_classifier")


class ClassifierImporter:
    """The weights in the package become a SavedModel."""

    tools = ("tensorflow", "keras")
    version = 1
    writes = "saved_model"
    rates = Path(__file__).with_name(FILE)

    def build(self, model: Model, source: Path, folder: Path) -> None:
        """Export with the signature image [1, 8, 8, 3] -> logits [1, 10]."""
        del model
        start_tensorflow()
        export_network(with_weights(build_network(), source / WEIGHTS), SIZE_PX, folder)
