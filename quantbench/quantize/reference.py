"""The float model itself: imported from foreign formats, and served as the reference."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

from quantbench.errors import BuildError
from quantbench.litert import finished_model
from quantbench.quantize.checks import check_build
from quantbench.quantize.gguf import read_header

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from quantbench.study import Model, Scheme


class GGUFImporter:
    """A GGUF file becomes a Hugging Face checkpoint in float32, dequantized once."""

    tools = ("transformers", "gguf")
    version = 1

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
        AutoTokenizer.from_pretrained(source, gguf_file=name).save_pretrained(folder)


class ReferenceQuantizer:
    """Quantizes nothing: the model as it came is the artifact; a `.tflite` is checked."""

    tools = ()
    version = 2
    calibrated = False

    def build(
        self, float_model: Path, scheme: Scheme, samples: Sequence[Any], folder: Path
    ) -> Mapping[str, Any]:
        """Copy the model. Of a language model the scheme may say the float type to run in.

        Without one its runner chooses the type that this machine is fast in.
        """
        shutil.copytree(float_model, folder, dirs_exist_ok=True)
        if finished := finished_model(folder):
            return check_build(finished, samples)
        if scheme.weights.startswith(("float", "bfloat")) and scheme.weights != "float":
            (folder / "runner.json").write_text(json.dumps({"dtype": scheme.weights}))
        return {}
