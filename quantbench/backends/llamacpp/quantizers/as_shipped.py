"""A finished GGUF file, judged as somebody made it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from quantbench.backends.llamacpp.check import check_build
from quantbench.backends.llamacpp.files import MODEL, imported_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from quantbench.data.prompts import Prompt
    from quantbench.study import Scheme


class AsShippedQuantizer:
    """Quantizes nothing: the file as it came is the artifact, once it is checked."""

    tools = ("llama-cpp-python", "gguf")
    version = 1
    calibrated = False

    def build(
        self, float_model: Path, scheme: Scheme, samples: Sequence[Prompt], folder: Path
    ) -> Mapping[str, Any]:
        """Copy and check the file.

        Raises:
            BuildError: it was not imported, or does not check.
            PredictionError: llama.cpp cannot run it, or its tokenizer is not the samples'.
        """
        del scheme
        path = folder / MODEL
        shutil.copyfile(imported_file(float_model), path)
        return check_build(path, samples)
