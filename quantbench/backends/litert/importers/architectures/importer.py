"""From the name of a detector's architecture to a SavedModel with random weights."""

from __future__ import annotations

from pathlib import Path
from pkgutil import resolve_name
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from quantbench.backends.litert.importers.architectures import ARCHITECTURES
from quantbench.backends.litert.importers.architectures.filling import fill
from quantbench.backends.litert.importers.saved_model import SavedModelImporter
from quantbench.diagnosis.tensorflow import start_tensorflow
from quantbench.errors import BuildError
from quantbench.sources.random_weights import RandomWeights

if TYPE_CHECKING:
    from quantbench.study import Model


class RandomDetectorImporter:
    """The SavedModel as its authors publish theirs, then made convertible as theirs is.

    So what is quantized has gone the way that the published one will go: uint8 pictures of any
    size, loops over the batch, suppression within the model.
    """

    tools = ("tensorflow", "keras")
    version = 1

    def build(self, model: Model, source: Path, folder: Path) -> None:
        """Write the SavedModel of a fixed float32 input.

        Raises:
            BuildError: no such architecture, no input size, or not as many weights as were
                published.
        """
        if model.interface is None:
            raise BuildError(f"{model.name} has no input size")
        with TemporaryDirectory(dir=folder.parent) as temporary:
            published = Path(temporary) / "published"
            write_published(RandomWeights.read(source), model.interface.size, published)
            SavedModelImporter().build(model, published, folder)


def write_published(wanted: RandomWeights, size: tuple[int, int], folder: Path) -> None:
    """Write a SavedModel with the inputs and outputs that the architecture's authors publish.

    Raises:
        BuildError: no such architecture, or not as many weights as were published.
    """
    known = wanted.known(ARCHITECTURES)
    start_tensorflow()
    made = resolve_name(known.build)(size)
    count = made.network.count_params()
    if known.parameters not in (0, count):
        raise BuildError(
            f"{wanted.architecture} has not as many weights as were published",
            where=known.counted,
            expected=f"{known.parameters:,}",
            got=f"{count:,}",
            remedy="report it: the network here is wrong, or Keras changed",
        )
    fill(made.network, made.normalize, wanted.seed)
    made.save(folder)
