"""TensorFlow, imported without its start-up messages."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

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
