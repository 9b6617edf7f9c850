"""TensorFlow, imported without its start-up messages, and what it answers itself."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from quantbench.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_ERRORS = "2"  # and what is worse


def start_tensorflow() -> None:
    """Import TensorFlow without the lines that it writes about the processor and missing GPUs.

    Who set `TF_CPP_MIN_LOG_LEVEL` sees what they asked for. Without it, later errors are still
    written; the lines of the import itself know no level and are dropped where they are written.
    """
    if _LEVEL in os.environ or "tensorflow" in sys.modules:
        return
    os.environ[_LEVEL] = _ERRORS
    with _silent_stderr():
        import tensorflow as tf

        tf.config.list_physical_devices()  # looks for a GPU, and complains where there is none


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """What native code writes to the standard error is dropped; exceptions are not."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def saved_model_folder(source: Path) -> Path:
    """The one SavedModel of a folder, or of the folders in it.

    Raises:
        BuildError: there is none, or several.
    """
    found = [path.parent for path in source.rglob("saved_model.pb")]
    if len(found) != 1:
        raise BuildError("expected one saved_model.pb", where=source, got=len(found))
    return found[0]


def saved_model_answers(
    float_model: Path, samples: Sequence[NDArray[Any]]
) -> list[dict[str, NDArray[Any]]]:
    """What TensorFlow itself answers to each sample, by output name.

    Its graph optimizer is left out: on some graphs what it fuses answers differently in the
    fourth digit (seen on a MobileNetV3), and then the reference would be wrong.
    """
    start_tensorflow()
    import tensorflow as tf

    loaded = tf.saved_model.load(str(float_model))  # kept: it holds its variables
    serve = loaded.signatures["serving_default"]
    (name,) = serve.structured_input_signature[1]
    before = tf.config.optimizer.get_experimental_options()
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    try:
        return [
            {key: value.numpy() for key, value in serve(**{name: tf.constant(sample)}).items()}
            for sample in samples
        ]
    finally:
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False, **before})
