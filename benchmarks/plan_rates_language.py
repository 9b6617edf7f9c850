"""What building takes a weight: a language model of random weights, each scheme by itself.

    python benchmarks/plan_rates_language.py FOLDER CHECKPOINT [SCHEME ...]

A Llama of 628 million random weights with the tokenizer of CHECKPOINT (a folder of SmolLM2's),
and CHECKPOINT itself, a process for each scheme, on 64 verses. Prints each step's seconds and
highest resident set; a line through both models is what `rates.json` of a backend has.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from plan_rates import told, written

SCHEMES = (
    *("reference", "bnb_nf4", "bnb_int8", "torchao_int8", "hqq_int4_g64"),
    *("gguf_bf16", "gguf_q8_0", "gguf_q4_k_m", "gptq_int4_g64"),
)
_MAKE = """
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
_STUDY = """
from dataclasses import replace

import pytest

from quantbench import Model, cases
from quantbench.catalog.datasets import DATASETS

MODEL = Model(
    name="{name}",
    source="file:{checkpoint}",
    format="hf_checkpoint",
    reference="reference",
    schemes={schemes!r},
    datasets=(replace(DATASETS["kjv"], name="verses", default_n=64, calibration_n=100),),
)


@pytest.mark.parametrize("case", cases(MODEL), ids=str)
def test_evaluated(evaluation):
    pass
"""


def main(folder: str, checkpoint: str, *schemes: str) -> None:
    """Print a line a step."""
    made = Path(folder).absolute() / "llama_628m"
    if not made.exists():
        subprocess.run([sys.executable, "-c", _MAKE, str(made), checkpoint], check=True)
    for name, model in (("smollm2", Path(checkpoint).absolute()), ("llama_628m", made)):
        place = Path(folder).absolute() / f"{name}_study"
        place.mkdir(exist_ok=True)
        study = place / "test_study.py"
        study.write_text(_STUDY.format(name=name, checkpoint=model, schemes=SCHEMES))
        for scheme in schemes or SCHEMES:
            command = [sys.executable, "-m", "pytest", "-q", "-c", "/dev/null", str(study)]
            command += [f"--rootdir={place}", "-p", "no:cacheprovider", "--disable-warnings"]
            command += ["--quant-cache", str(place / "cache"), "--quant-schemes", scheme]
            subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
        for path in sorted((place / "cache").glob("*/*/manifest.json"), key=written):
            print(name, told(path), flush=True)  # noqa: T201 - a script


if __name__ == "__main__":
    main(*sys.argv[1:])
