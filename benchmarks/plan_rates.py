"""What building takes a weight: networks of millions of random weights, each scheme by itself.

    python benchmarks/plan_rates.py pictures FOLDER [SCHEME ...]
    python benchmarks/plan_rates.py language FOLDER CHECKPOINT [SCHEME ...]

Pictures: ResNet152V2 as Keras makes it (60.4 million weights, 224 pixels). Language: a Llama of
626 million weights with the tokenizer of CHECKPOINT, a folder of SmolLM2's, and CHECKPOINT itself.
Each scheme runs in a process of its own, on 64 samples. Prints each step's seconds and highest
resident set; lines through a small and a large network are what `rates.json` of a backend has.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PICTURES = (
    *("float32", "int8_dynamic", "int8_static"),
    *("ort_float32", "ort_int8_static", "ov_float32", "ov_int8_static", "ov_int8_weight"),
)
LANGUAGE = ("reference", "bnb_nf4", "gguf_q8_0", "gptq_int4_g64")
_NETWORK = """
import sys
import keras
keras.applications.ResNet152V2(weights=None).export(sys.argv[1])
"""
_LLAMA = """
import shutil, sys
from pathlib import Path
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM
config = LlamaConfig(
    vocab_size=49152, hidden_size=1536, intermediate_size=4608, num_hidden_layers=20,
    num_attention_heads=24, num_key_value_heads=8, max_position_embeddings=2048,
    tie_word_embeddings=True, bos_token_id=1, eos_token_id=2,
)
torch.manual_seed(0)
model = LlamaForCausalLM(config).to(torch.bfloat16)
print(model.num_parameters())
model.save_pretrained(sys.argv[1])
for path in Path(sys.argv[2]).iterdir():
    if "token" in path.name or path.name in ("vocab.json", "merges.txt"):
        shutil.copyfile(path, Path(sys.argv[1]) / path.name)
"""
_PICTURES = """
from dataclasses import dataclass

import numpy as np
import pytest

from quantbench import Model, cases
from quantbench.data.labelled import Labelled
from quantbench.data.samples import Picture
from quantbench.tasks.classification.classifier import Classifier

CLASSES = tuple(str(i) for i in range(1000))


@dataclass(frozen=True)
class Noise:
    name: str = "noise"
    task: str = "classification"
    source: None = None
    calibration_source: None = None
    default_n: int = 64
    calibration_n: int = 32

    def samples(self, files, split, n):
        rng = np.random.default_rng([ord(split[0]), 0])
        count = self.default_n if split == "evaluation" else self.calibration_n
        images = rng.integers(0, 256, (count, 224, 224, 3), np.uint8)
        names = {{i: c for i, c in enumerate(CLASSES)}}
        return [
            Labelled(f"{{split}}-{{i}}", Picture(f"{{split}}-{{i}}", image, ()), str(i), CLASSES)
            for i, image in enumerate(images)
        ][:n]


MODEL = Model(
    name="{name}",
    source="file:{source}",
    importer="saved_model",
    reference="float32",
    schemes={schemes!r},
    datasets=(Noise(),),
    interface=Classifier(size=(224, 224), class_ids=CLASSES, says="probabilities"),
)


@pytest.mark.parametrize("case", cases(MODEL), ids=str)
def test_evaluated(evaluation):
    pass
"""
_LANGUAGE = """
from dataclasses import replace

import pytest

from quantbench import Model, cases
from quantbench.catalog.datasets import DATASETS

MODEL = Model(
    name="{name}",
    source="file:{source}",
    format="hf_checkpoint",
    reference="reference",
    schemes={schemes!r},
    datasets=(replace(DATASETS["kjv"], name="verses", default_n=64, calibration_n=100),),
)


@pytest.mark.parametrize("case", cases(MODEL), ids=str)
def test_evaluated(evaluation):
    pass
"""


def main(kind: str, folder: str, *more: str) -> None:
    """Print a line a step."""
    place = Path(folder).absolute()
    place.mkdir(parents=True, exist_ok=True)
    if kind == "pictures":
        made = _made(place / "resnet152v2", _NETWORK)
        _measured(place, "resnet152v2", _PICTURES, made, more or PICTURES)
        return
    checkpoint = Path(more[0]).absolute()
    made = _made(place / "llama_626m", _LLAMA, str(checkpoint))
    for name, source in (("llama_626m", made), ("smollm2", checkpoint)):
        _measured(place, name, _LANGUAGE, source, more[1:] or LANGUAGE)


def _made(network: Path, code: str, *more: str) -> Path:
    if not network.exists():
        subprocess.run([sys.executable, "-c", code, str(network), *more], check=True)
    return network


def _measured(place: Path, name: str, study: str, source: Path, schemes: tuple[str, ...]) -> None:
    """Run each scheme by itself, and print what the store's entries say."""
    file, cache = place / f"test_{name}.py", place / f"{name}_cache"
    every = tuple(dict.fromkeys((*(PICTURES if study is _PICTURES else LANGUAGE), *schemes)))
    file.write_text(study.format(name=name, source=source, schemes=every))
    for scheme in schemes:
        command = [sys.executable, "-m", "pytest", "-q", "-c", "/dev/null", str(file)]
        command += [f"--rootdir={place}", "-p", "no:cacheprovider", "--disable-warnings"]
        command += ["--quant-cache", str(cache), "--quant-schemes", scheme]
        run = subprocess.run(command, check=False, capture_output=True, text=True)
        if run.returncode:
            print(f"{name} {scheme} did not run: {run.stdout[-2000:]}")  # noqa: T201 - a script
    for path in sorted(cache.glob("*/*/manifest.json"), key=_written):
        print(name, _told(path), flush=True)  # noqa: T201 - a script


def _written(path: Path) -> float:
    return (path.parent / "files").stat().st_ctime


def _told(path: Path) -> str:
    """What a manifest says of its step."""
    told = json.loads(path.read_text())
    made, details = told["ingredients"], told["details"]
    name = (made.get("scheme") or {}).get("name") or (made.get("importer") or [""])[0]
    name = name or f"{len(made.get('samples', ()))} samples"
    peak = details.get("peak_rss_bytes")
    return (
        f"{path.parents[1].name:12} {name:22} {told['size_bytes'] / 1e6:8.1f} MB"
        f" {details.get('predict_s', told['build_s']):8.2f} s {(peak or 0) / 1e9:6.2f} GB"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
