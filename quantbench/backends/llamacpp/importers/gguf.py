"""A GGUF file from outside, checked before llama.cpp reads it in this process."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from quantbench.backends.llamacpp.files import MODEL, gguf_file
from quantbench.core.isolated import run_isolated
from quantbench.errors import BuildError
from quantbench.formats.gguf_header import read_header
from quantbench.formats.gguf_tokenizers import split_as_named

if TYPE_CHECKING:
    from pathlib import Path

    from quantbench.study import Model

_ROOM_BYTES = 4 << 30  # besides the file itself, for the library, a context and its buffers
_SECONDS = 300.0
_RUN_ONCE = "quantbench.backends.llamacpp.model:run_once"


class GGUFImporter:
    """A GGUF file as it came, quantized or not, with its tokenizer's files beside it."""

    tools = ("gguf", "llama-cpp-python", "transformers")
    version = 1

    def build(self, model: Model, source: Path, folder: Path) -> None:
        """Check and copy the file; transformers writes its tokenizer and configuration.

        Raises:
            BuildError: there is not one file, its header is broken, or transformers cannot read
                its tokenizer.
            PredictionError: llama.cpp cannot load it, or dies of it.
        """
        del model
        path = gguf_file(source)
        read_header(path)
        room = 2 * path.stat().st_size + _ROOM_BYTES
        run_isolated(_RUN_ONCE, path, room, _SECONDS)
        shutil.copyfile(path, folder / MODEL)
        write_tokenizer(path, folder)


def write_tokenizer(path: Path, folder: Path) -> None:
    """Write the tokenizer of a GGUF file as transformers reads it.

    Samples are tokenized with it; that llama.cpp's own reads them alike is checked when they are
    scored.

    Raises:
        BuildError: transformers does not know the architecture or the tokenizer.
    """
    from transformers import AutoConfig, AutoTokenizer

    try:
        config = AutoConfig.from_pretrained(path.parent, gguf_file=path.name)
        tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    except Exception as error:  # of tokenizers it is a plain one
        raise BuildError(
            "transformers cannot read the tokenizer of the GGUF file",
            where=path.name,
            got=f"{type(error).__name__}: {str(error)[:300]}",
            remedy="start from the Hugging Face checkpoint that the file was made from",
        ) from error
    split_as_named(tokenizer, read_header(path), path.name)
    config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
