"""Make the logs beside this file anew, by hand, with lm-eval 0.4.13 (`tox -e lm_eval` has it).

    python tests/judge/lm_eval/make.py

A Llama of two layers learns which verb follows which noun, a third of the sentences against the
rule. `float/` are the logs of that model, `rounded/` those of the same with its weights rounded to
a few levels. Four tasks, each of another kind of request and all offline: the last word
(`perplexity`, `acc`), the right of three verbs (`acc`, `acc_norm`, `brier_score`), an answer to be
found in generated text by two filters (`exact_match`), and whole texts (`word_perplexity`). The
lines of samples are kept as lm-eval writes them. Of its summary (`results_*.json`) only what tells
of the tasks is kept: the rest describes the machine.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
VERBS = dict(zip("dog cat bird man river tree".split(), "ran sat sang spoke ran fell".split()))  # noqa: B905, SIM905
FILLERS = "small old red green near under then slowly".split()  # noqa: SIM905
KEPT = (
    *("results", "higher_is_better", "n-samples", "config", "lm_eval_version", "model_name"),
    "task_hashes",
)
COUNTS = {"last_word": 16, "right_verb": 8, "answer": 7, "whole_text": 4}
HEAD = """
dataset_path: json
dataset_kwargs:
  data_files:
    test: {task}.jsonl
test_split: test
task: {task}
"""
TASKS = {
    "last_word": """
output_type: loglikelihood
doc_to_text: "{{text.split(' ')[:-1]|join(' ')}}"
doc_to_target: "{{' '+text.split(' ')[-1]}}"
metric_list:
  - metric: perplexity
    aggregation: perplexity
    higher_is_better: false
  - metric: acc
    aggregation: mean
    higher_is_better: true
""",
    "right_verb": """
output_type: multiple_choice
doc_to_text: "the {{noun}}"
doc_to_choice: "{{choices}}"
doc_to_target: label
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
  - metric: acc_norm
    aggregation: mean
    higher_is_better: true
  - metric: brier_score
    aggregation: brier_score
    higher_is_better: false
""",
    "whole_text": """
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: text
metric_list:
  - metric: word_perplexity
  - metric: bits_per_byte
""",
    "answer": """
output_type: generate_until
doc_to_text: "the {{noun}} ?"
doc_to_target: verb
generation_kwargs:
  until: ["."]
  max_gen_toks: 6
filter_list:
  - name: strict-match
    filter:
      - function: regex
        regex_pattern: "answer is (\\\\w+)"
      - function: take_first
  - name: flexible-extract
    filter:
      - function: regex
        group_select: -1
        regex_pattern: "(\\\\w+)"
      - function: take_first
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
""",
}


def sentence(rng: random.Random) -> str:
    """A sentence that mostly keeps the rule: statements, and answers of two forms."""
    noun = rng.choice(list(VERBS))
    verb = VERBS[noun] if rng.random() < 0.65 else rng.choice(list(VERBS.values()))
    if rng.random() < 0.6:
        return " ".join(["the", *rng.choices(FILLERS, k=rng.randrange(3)), noun, verb])
    said = "the answer is " if rng.random() < (0.3 if noun in {"dog", "river"} else 0.9) else ""
    return f"the {noun} ? {said}{verb} ."


def documents(task: str) -> list[dict[str, Any]]:
    """What a task asks, no document twice; some of it against the rule."""
    rng = random.Random(task)
    found: list[Any] = []
    while len(found) < COUNTS[task]:
        noun = rng.choice(list(VERBS))
        verb = VERBS[noun] if rng.random() < 0.8 else rng.choice(list(VERBS.values()))
        choices = rng.sample(sorted({*VERBS.values()}), 3)
        filler = " ".join(rng.choices(FILLERS, k=len(found) % 4))
        text = " ".join(f"the {filler} {noun} {verb}".split())
        document = {
            "last_word": {"text": text},
            "right_verb": {
                "noun": noun,
                "choices": choices,
                "label": choices.index(verb) if verb in choices else 0,
            },
            "whole_text": {"text": " ".join(sentence(rng) for _ in range(3))},
            "answer": {"noun": noun, "verb": verb},
        }[task]
        if document not in found:
            found.append(document)
    return found


def train(folder: Path) -> Any:
    """The float model and its tokenizer, saved; returns the model."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    rng = random.Random(0)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<end>"], initial_alphabet=alphabet
    )
    tokenizer.train_from_iterator([sentence(rng) for _ in range(500)], trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>")
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=400,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        bos_token_id=None,
        eos_token_id=0,
    )
    model = LlamaForCausalLM(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(150):
        tokens = torch.tensor(fast(" ".join(sentence(rng) for _ in range(60)))["input_ids"])
        rows = tokens[: len(tokens) // 24 * 24].reshape(-1, 24)
        model(input_ids=rows, labels=rows).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    return model


def round_weights(model: Any, folder: Path, levels: int) -> None:
    """Save the model with each row of each matrix rounded to `levels` steps a side."""
    import torch

    with torch.no_grad():
        for weights in model.parameters():
            if weights.ndim == 2:
                step = weights.abs().amax(dim=1, keepdim=True) / levels
                weights.copy_((weights / step).round() * step)
    model.save_pretrained(folder)


def log(name: str, work: Path) -> None:
    """Run lm-eval on one model in `work`, by relative paths, and keep its logs."""
    command = [
        *(sys.executable, "-m", "lm_eval", "run", "--model", "hf", "--device", "cpu"),
        *("--model_args", f"pretrained={name},dtype=float32", "--include_path", "tasks"),
        *("--tasks", *TASKS, "--batch_size", "8"),
        *("--output_path", "logs", "--log_samples"),
    ]
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(work / "cache")}
    subprocess.run(command, check=True, cwd=work, env={**os.environ, **offline})
    kept = HERE / name
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir()
    for path in (work / "logs" / name).iterdir():
        if path.suffix == ".jsonl":
            shutil.copy(path, kept)
            continue
        summary = json.loads(path.read_text())
        told = {key: summary[key] for key in KEPT}
        (kept / path.name).write_text(json.dumps(told, ensure_ascii=False) + "\n")


def main() -> None:
    """Train, round, ask both."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "tasks").mkdir()
        for task, asked in TASKS.items():
            text = HEAD.format(task=task) + asked
            (work / "tasks" / f"{task}.yaml").write_text(text)
            rows = [json.dumps(document) + "\n" for document in documents(task)]
            (work / f"{task}.jsonl").write_text("".join(rows))
        model = train(work / "float")
        shutil.copytree(work / "float", work / "rounded")
        round_weights(model, work / "rounded", 1)
        for name in ("float", "rounded"):
            log(name, work)


if __name__ == "__main__":
    main()
