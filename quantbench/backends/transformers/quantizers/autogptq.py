"""GPTQ by auto-gptq 0.7.1, the tool of the published study, in an environment of its own.

auto-gptq needs a transformers that nothing else here takes, and a CUDA device. So it runs as
another process (this module, run with the path of a request), by the interpreter of that
environment; what it wrote is made readable for gptqmodel, which every machine has.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantbench.backends.transformers.quantizers.checkpoints import copy_tokenizer
from quantbench.errors import BuildError, MissingDeviceError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from quantbench.data.prompts import Prompt
    from quantbench.study import Scheme

INTERPRETER = "QUANTBENCH_AUTOGPTQ_PYTHON"
_NO_DEVICE = "no CUDA device"


class AutoGPTQQuantizer:
    """`autogptq_int4_g64` and the like, as the study quantized: no activation order."""

    # Not this environment's: auto-gptq's own is pinned by the extra, and by this.
    tools = ()
    version = 1
    calibrated = True

    def build(
        self, float_model: Path, scheme: Scheme, samples: Sequence[Prompt], folder: Path
    ) -> Mapping[str, Any]:
        """Quantize in the other environment, then drop what gptqmodel refuses to read.

        Raises:
            MissingExtraError: no environment with auto-gptq is named.
            MissingDeviceError: it has no CUDA device.
            BuildError: auto-gptq failed, or wrote what cannot be read.
        """
        interpreter = os.environ.get(INTERPRETER)
        if not interpreter:
            raise MissingExtraError(
                "auto-gptq is not installed: it shares no environment with today's transformers",
                remedy=f"tox -e autogptq --notest; {INTERPRETER}=.tox/autogptq/bin/python",
            )
        config = json.loads((float_model / "config.json").read_text())
        if "auto_map" in config:  # auto-gptq would run it, whatever it is told
            raise BuildError("the checkpoint brings code of its own", where=float_model)
        request = {
            "source": str(float_model.absolute()),
            "folder": str(folder.absolute()),
            "bits": scheme.bits,
            "group_size": scheme.group_size,
            "passages": [list(prompt.tokens) for prompt in samples],
        }
        path = folder / "request.json"
        path.write_text(json.dumps(request))
        command = [
            interpreter,
            "-m",
            "quantbench.backends.transformers.quantizers.autogptq",
            str(path),
        ]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - the user's own interpreter
        except OSError as error:
            raise MissingExtraError(
                f"{INTERPRETER} cannot be run", got=error, remedy="name a Python interpreter"
            ) from error
        path.unlink()
        if _NO_DEVICE in done.stderr:
            raise MissingDeviceError(
                "auto-gptq quantizes on CUDA only", remedy="run this case where there is a GPU"
            )
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1:] or ["(it said nothing)"]
            raise BuildError("auto-gptq failed", where=interpreter, got=last[0])
        copy_tokenizer(float_model, folder)
        make_readable(folder)
        return {"calibration_passages": len(samples), **json.loads(done.stdout.splitlines()[-1])}


def make_readable(folder: Path) -> None:
    """Drop the configuration's `is_marlin_format`, which gptqmodel refuses even when it is false.

    Raises:
        BuildError: it is true: the weights lie in Marlin's order.
    """
    for name in ("config.json", "quantize_config.json"):
        path = folder / name
        described = json.loads(path.read_text())
        for place in (described, described.get("quantization_config", {})):
            if place.pop("is_marlin_format", False):
                raise BuildError("weights in Marlin's order cannot be read here", where=path)
        path.write_text(json.dumps(described, indent=2, sort_keys=True))


def _work(request: Mapping[str, Any]) -> Mapping[str, str]:
    """What the other environment's process does; its versions go into the record."""
    from importlib.metadata import version

    import torch

    if not torch.cuda.is_available():
        raise SystemExit(_NO_DEVICE)
    from auto_gptq import AutoGPTQForCausalLM, BaseQuantizeConfig

    config = BaseQuantizeConfig(
        bits=request["bits"], group_size=request["group_size"], desc_act=False
    )
    model = AutoGPTQForCausalLM.from_pretrained(
        request["source"],
        config,
        torch_dtype=torch.float16,
        local_files_only=True,
        use_safetensors=True,
    )
    passages = [{"input_ids": ids, "attention_mask": [1] * len(ids)} for ids in request["passages"]]
    model.quantize(passages, batch_size=4, use_triton=False)
    model.save_quantized(request["folder"], use_safetensors=True)
    return {name: version(name) for name in ("auto-gptq", "torch", "transformers")}


if __name__ == "__main__":
    print(json.dumps(_work(json.loads(Path(sys.argv[1]).read_text()))))  # noqa: T201 - its answer
