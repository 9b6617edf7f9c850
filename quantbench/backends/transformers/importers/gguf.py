"""From a GGUF file to a Hugging Face checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantbench.errors import BuildError
from quantbench.formats.gguf_header import read_header
from quantbench.formats.gguf_tokenizers import split_as_named

if TYPE_CHECKING:
    from pathlib import Path

    from quantbench.study import Model


class GGUFImporter:
    """A GGUF file becomes a Hugging Face checkpoint in float32, dequantized once."""

    tools = ("transformers", "gguf")
    version = 2

    def build(self, model: Model, source: Path, folder: Path) -> None:
        """Write `config.json`, tokenizer and `model.safetensors`.

        Raises:
            BuildError: there is not exactly one GGUF file, or it lacks weights of its model.
        """
        del model
        files = list(source.glob("*.gguf"))
        if len(files) != 1:
            raise BuildError(
                "expected one GGUF file", where=source, got=[file.name for file in files]
            )
        header = read_header(files[0])
        import torch
        from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

        name = files[0].name
        with torch.device("meta"):  # nothing is allocated by what the header says
            config = AutoConfig.from_pretrained(source, gguf_file=name)
            meant = AutoModelForCausalLM.from_config(config).num_parameters()
        if meant > header.elements:
            raise BuildError(
                "the header describes more weights than the file holds",
                where=name,
                expected=f"{meant:,}",
                got=f"{header.elements:,}",
                remedy="fetch it again; transformers would fill the rest with random numbers",
            )
        loaded, found = AutoModelForCausalLM.from_pretrained(
            source, gguf_file=name, dtype=torch.float32, output_loading_info=True
        )
        if missing := found["missing_keys"]:
            raise BuildError("the file lacks weights", where=name, got=sorted(missing)[:5])
        # The weights are plain float32 from here on; left in, these would make every loader
        # treat the checkpoint as quantized.
        loaded.hf_quantizer = None
        del loaded.config.quantization_config
        loaded.save_pretrained(folder)
        tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=name)
        split_as_named(tokenizer, header, name)
        tokenizer.save_pretrained(folder)
