"""Checkpoints of auto-gptq: read here from bytes packed by its format, and written by the tool.

The tool itself lives in another environment (`tox -e autogptq`) and wants a GPU. Where
QUANTBENCH_AUTOGPTQ_PYTHON names that environment's interpreter, the last test runs it, with its
three requests for a device turned to the processor: everything else is its own code.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
from importlib.metadata import distributions
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from quantbench.backends.transformers.quantizers.autogptq import (
    INTERPRETER,
    AutoGPTQQuantizer,
    make_readable,
)
from quantbench.data.prompts import Prompt
from quantbench.errors import BuildError, MissingDeviceError, MissingExtraError
from quantbench.study import Scheme
from quantbench.study.calibration import calibrates
from quantbench.study.registry import find_quantizer

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

INT4 = Scheme.parse("autogptq_int4_g64")
PROMPTS = [Prompt(tuple(range(20 + i, 60 + i)), 30) for i in range(8)]


def test_its_schemes_are_cases_that_are_calibrated() -> None:
    assert (INT4.quantizer, INT4.bits, INT4.group_size) == ("autogptq", 4, 64)
    assert calibrates(find_quantizer(INT4), INT4)
    assert Scheme.parse("autogptq_int8_g64_s2").seed == 2


def test_without_its_environment_the_remedy_is_named(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(INTERPRETER, raising=False)
    with pytest.raises(MissingExtraError, match=r"(?s)auto-gptq is not installed.*tox -e autogptq"):
        AutoGPTQQuantizer().build(tiny_checkpoint, INT4, PROMPTS, tmp_path)
    monkeypatch.setenv(INTERPRETER, str(tmp_path / "python"))
    with pytest.raises(MissingExtraError, match="cannot be run"):
        AutoGPTQQuantizer().build(tiny_checkpoint, INT4, PROMPTS, tmp_path)


def test_without_a_gpu_it_says_so_and_its_own_failures_are_quoted(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    monkeypatch.setenv(INTERPRETER, sys.executable)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(MissingDeviceError, match="CUDA only"):
        AutoGPTQQuantizer().build(tiny_checkpoint, INT4, PROMPTS, tmp_path)
    monkeypatch.setenv(INTERPRETER, fake_interpreter(tmp_path, "print(1 / 0)"))
    with pytest.raises(BuildError, match=r"(?s)auto-gptq failed.*ZeroDivisionError"):
        AutoGPTQQuantizer().build(tiny_checkpoint, INT4, PROMPTS, tmp_path)


def test_a_checkpoint_with_code_of_its_own_is_refused(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """auto-gptq trusts remote code, whatever it is told."""
    monkeypatch.setenv(INTERPRETER, sys.executable)
    (tmp_path / "source").mkdir()
    config = json.loads((tiny_checkpoint / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "evil.Config"}
    (tmp_path / "source/config.json").write_text(json.dumps(config))
    with pytest.raises(BuildError, match="code of its own"):
        AutoGPTQQuantizer().build(tmp_path / "source", INT4, PROMPTS, tmp_path)


def fake_interpreter(folder: Path, body: str) -> str:
    path = folder / "interpreter"
    path.write_text(f"#!{sys.executable}\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def packed_by_the_format(weight: NDArray[Any]) -> tuple[dict[str, Any], NDArray[Any]]:
    """One layer as auto-gptq 0.7.1 stores it at 4 bits and groups of 64, and what it stands for.

    `qweight` holds eight inputs a word, `qzeros` eight outputs a word and one less than the zero
    point, `scales` half precision, `g_idx` each input's group.
    """
    outputs, inputs = weight.shape
    groups = weight.reshape(outputs, inputs // 64, 64)
    scales = (np.abs(groups).max(axis=2) / 7.5).astype(np.float16)
    scale = scales.astype(np.float32)[:, :, None]
    integers = np.clip(np.round(groups / scale) + 8, 0, 15).astype(np.uint32)
    meant = ((integers.astype(np.float32) - 8) * scale).reshape(outputs, inputs)
    flat = integers.reshape(outputs, inputs).T  # [inputs, outputs]
    shifts = (4 * np.arange(8, dtype=np.uint32))[None, :, None]
    qweight = (flat.reshape(inputs // 8, 8, outputs) << shifts).sum(axis=1, dtype=np.uint32)
    zeros = np.full((inputs // 64, outputs // 8), 0x77777777, np.uint32)
    tensors = {
        "qweight": np.ascontiguousarray(qweight).view(np.int32),
        "qzeros": zeros.view(np.int32),
        "scales": scales.T.copy(),
        "g_idx": (np.arange(inputs) // 64).astype(np.int32),
        "bias": np.zeros(outputs, np.float16),
    }
    return tensors, meant


@pytest.mark.slow
def test_a_checkpoint_in_its_format_answers_as_the_weights_it_stands_for(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    from safetensors.numpy import load_file, save_file

    from quantbench.backends.transformers.runner import CausalLMRunner
    from quantbench.core.settings import Machine

    packed, meant = tmp_path / "packed", tmp_path / "meant"
    for folder in (packed, meant):
        shutil.copytree(tiny_checkpoint, folder)
    plain = load_file(tiny_checkpoint / "model.safetensors")
    stored: dict[str, Any] = {}
    dense: dict[str, Any] = {}
    for name, weight in plain.items():
        if "_proj." in name:
            tensors, dense[name] = packed_by_the_format(weight)
            stored |= {name.replace("weight", part): value for part, value in tensors.items()}
        else:
            stored[name], dense[name] = weight.astype(np.float16), weight
    (packed / "model.safetensors").unlink()
    save_file(stored, packed / "gptq_model-4bit-64g.safetensors", {"format": "pt"})
    save_file(dense, meant / "model.safetensors", {"format": "pt"})
    described = {
        "bits": 4,
        "group_size": 64,
        "damp_percent": 0.01,
        "desc_act": False,
        "static_groups": False,
        "sym": True,
        "true_sequential": True,
        "model_name_or_path": None,
        "model_file_base_name": None,
        "is_marlin_format": False,
        "quant_method": "gptq",
    }
    config = json.loads((packed / "config.json").read_text()) | {"quantization_config": described}
    (packed / "config.json").write_text(json.dumps(config))
    (packed / "quantize_config.json").write_text(json.dumps(described))
    make_readable(packed)
    opened, floats = CausalLMRunner(packed, Machine()), CausalLMRunner(meant, Machine())
    for one, other in zip(
        *(runner.predict_all(PROMPTS) for runner in (opened, floats)), strict=True
    ):
        assert one["logprobs"] == pytest.approx(other["logprobs"], abs=0.06)  # bfloat16


def test_weights_in_marlins_order_are_refused(tmp_path: Path) -> None:
    for name in ("config.json", "quantize_config.json"):
        (tmp_path / name).write_text('{"is_marlin_format": true}')
    with pytest.raises(BuildError, match="Marlin"):
        make_readable(tmp_path)


ON_THE_PROCESSOR = """
import runpy, sys, torch
torch.cuda.is_available = lambda: True
torch.cuda.synchronize = lambda *a, **k: None
import auto_gptq
auto_gptq.modeling._base.CUDA_0 = torch.device("cpu")
sys.argv = sys.argv[2:]
sys.path.insert(0, {root!r})
runpy.run_module(sys.argv[0], run_name="__main__")
"""


@pytest.mark.slow
def test_the_tool_itself_writes_what_is_read_here(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = os.environ.get(INTERPRETER)
    if not python:
        pytest.skip(f"auto-gptq's environment is not named; next: {INTERPRETER}=PYTHON")
    root = os.fspath(pytest.importorskip("quantbench").__path__[0].rpartition(os.sep)[0])
    script = tmp_path / "interpreter"
    script.write_text(f"#!{python}\n{ON_THE_PROCESSOR.format(root=root)}")
    script.chmod(0o755)
    monkeypatch.setenv(INTERPRETER, str(script))
    source, folder = tmp_path / "source", tmp_path / "artifact"
    shutil.copytree(tiny_checkpoint, source)
    config = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps(config | {"torch_dtype": "float32"}))
    folder.mkdir()
    facts = AutoGPTQQuantizer().build(source, INT4, PROMPTS, folder)
    assert facts["auto-gptq"] == "0.7.1"
    (weights,) = folder.glob("*.safetensors")
    assert weights.name == "gptq_model-4bit-64g.safetensors"
    if not any(distributions(name="gptqmodel")):
        return  # in auto-gptq's own environment, which cannot read it back
    from quantbench.backends.transformers.runner import CausalLMRunner
    from quantbench.core.settings import Machine

    opened, floats = CausalLMRunner(folder, Machine()), CausalLMRunner(source, Machine())
    said, meant = (
        [answer["logprobs"][0] for answer in runner.predict_all(PROMPTS)]
        for runner in (opened, floats)
    )
    assert said == pytest.approx(meant, abs=0.6)
    assert (
        opened.facts().as_json()["weights_bytes"] < 0.7 * floats.facts().as_json()["weights_bytes"]
    )


@pytest.mark.gpu
@pytest.mark.slow
def test_the_tool_quantizes_on_a_gpu(tiny_checkpoint: Path, tmp_path: Path) -> None:
    if not os.environ.get(INTERPRETER):
        pytest.skip(f"auto-gptq's environment is not named; next: {INTERPRETER}=PYTHON")
    facts = AutoGPTQQuantizer().build(tiny_checkpoint, INT4, PROMPTS, tmp_path)
    assert facts["calibration_passages"] == len(PROMPTS)
