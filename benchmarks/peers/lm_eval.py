"""Scoring last words: quantbench against lm-evaluation-harness, in turn, a process each.

    python benchmarks/peers/lm_eval.py [--passages FILE.jsonl] [--checkpoint FOLDER] [-n 300]
        [--dtype bfloat16] [--rounds 3]

The same checkpoint (the embedded SmolLM2 unless another folder is named), passages, float type
and threads. lm-evaluation-harness runs at several batch sizes and its best counts. Tools and batch
sizes take turns, and the median of the rounds counts: machines that others use drift by a tenth
from minute to minute. `pairs/s` is scoring alone, tokenization included, loading and one passage
to warm up excluded, as both tools see it; the ratio is that of pairs/s. Needs lm-eval 0.4.13
(`tox -e lm_eval`; it shares no environment with litert-torch).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from operator import itemgetter
from pathlib import Path
from typing import Any

BATCH_SIZES = (8, 16, 32)
TASK = """
task: last_word
dataset_path: json
dataset_kwargs:
  data_files:
    test: {passages}
output_type: loglikelihood
test_split: test
doc_to_text: "{{{{text.split(' ')[:-1]|join(' ')}}}}"
doc_to_target: "{{{{' '+text.split(' ')[-1]}}}}"
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
"""


def run_quantbench(options: argparse.Namespace) -> dict[str, Any]:
    """Score with the plugin's own runner; the task tokenizes."""
    from quantbench.backends.transformers.runner import CausalLMRunner
    from quantbench.catalog.models import find_model
    from quantbench.core.settings import Machine
    from quantbench.data.samples import Passage
    from quantbench.tasks.last_word.task import LastWord

    runner = CausalLMRunner(options.checkpoint, Machine(os.cpu_count() or 1))
    task = LastWord(find_model("smollm2_135m_instruct"), options.checkpoint)
    texts = [json.loads(line)["text"] for line in options.passages.read_text().splitlines()]
    samples = [Passage(str(i), text, spaces_alone=True) for i, text in enumerate(texts)]
    list(runner.predict_all([task.prepare(samples[0])]))
    started = time.perf_counter()
    prompts = [task.prepare(sample) for sample in samples]
    answers = list(runner.predict_all(prompts))
    score_s = time.perf_counter() - started
    right = sum(all(rank == 0 for rank in answer["ranks"]) for answer in answers)
    return {
        "score_s": score_s,
        "accuracy": right / len(answers),
        "tokens": sum(len(prompt.tokens) for prompt in prompts),
        "targets": sum(len(prompt.tokens) - prompt.target_start for prompt in prompts),
    }


def run_lm_eval(options: argparse.Namespace) -> dict[str, Any]:
    """Score with the harness; what its model does between loading and answering is timed."""
    sys.path.remove(str(Path(__file__).parent))  # this file has the harness' name
    import torch
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    torch.set_num_threads(os.cpu_count() or 1)
    model = HFLM(
        pretrained=str(options.checkpoint),
        dtype=options.dtype,
        batch_size=options.batch_size,
        device="cpu",
    )
    spent = []
    scored = model.loglikelihood

    def timed(*arguments: Any, **named: Any) -> Any:
        started = time.perf_counter()
        answers = scored(*arguments, **named)
        spent.append(time.perf_counter() - started)
        return answers

    model.loglikelihood = timed
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "last_word.yaml").write_text(TASK.format(passages=options.passages))
        manager = TaskManager(include_path=folder, include_defaults=False)
        for limit in (1, None):  # warmed up by one passage
            spent.clear()
            found = simple_evaluate(
                model=model, tasks=["last_word"], task_manager=manager, limit=limit
            )
    accuracy = found["results"]["last_word"]["acc,none"]
    return {"score_s": sum(spent), "accuracy": accuracy}


def in_a_process(options: argparse.Namespace, tool: str, batch_size: int = 0) -> dict[str, Any]:
    """Run one tool alone; adds whole wall time and peak memory."""
    command = [sys.executable, __file__, "--tool", tool, "--batch-size", str(batch_size)]
    for name in ("checkpoint", "passages", "dtype"):
        command += [f"--{name}", str(getattr(options, name))]
    started = time.perf_counter()
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{tool} failed:\n{done.stderr[-2000:]}")
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**measured, "wall_s": time.perf_counter() - started}


def peak_gflops(dtype: str) -> float:
    """What this machine multiplies at most: products of 2,048 x 2,048, the best of ten."""
    import torch

    kind = getattr(torch, dtype)
    one, other = (torch.randn(2048, 2048).to(kind) for _ in range(2))
    times = []
    for _ in range(10):
        started = time.perf_counter()
        torch.mm(one, other)
        times.append(time.perf_counter() - started)
    return float(2 * 2048**3 / min(times) / 1e9)


def arithmetic(checkpoint: Path, tokens: int, targets: int) -> float:
    """Multiply-adds that the answers need, in GFLOP, attention scores left out."""
    config = json.loads((checkpoint / "config.json").read_text())
    hidden, layers = config["hidden_size"], config["num_hidden_layers"]
    heads, shared = config["num_attention_heads"], config["num_key_value_heads"]
    attention = 2 * hidden * hidden + 2 * hidden * (hidden // heads) * shared
    per_token = layers * (attention + 3 * hidden * config["intermediate_size"])
    return float(2 * (per_token * tokens + hidden * config["vocab_size"] * targets) / 1e9)


def embedded(folder: Path, options: argparse.Namespace) -> None:
    """Fill in the embedded checkpoint and text where none are named, and the float type."""
    from quantbench import cases
    from quantbench.core.settings import Settings
    from quantbench.run.session import Session

    (case,) = cases("smollm2_135m_instruct", schemes=["reference"], datasets=["kjv"])
    bench = Session(Settings(samples=options.n))
    if options.passages is None:
        samples = bench.samples(case, "evaluation")
        texts = [sample.text for sample in samples]
    else:
        lines = options.passages.read_text().splitlines()[: options.n]
        texts = [json.loads(line)["text"] for line in lines]
    options.passages = folder / "passages.jsonl"
    options.passages.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    source = options.checkpoint or bench.float_model(case).path
    options.checkpoint = folder / "checkpoint"
    options.checkpoint.mkdir()
    for path in source.iterdir():
        (options.checkpoint / path.name).symlink_to(path.absolute())
    (options.checkpoint / "runner.json").write_text(json.dumps({"dtype": options.dtype}))


def main() -> None:
    """Measure one tool (`--tool`), or all in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tool", choices=("quantbench", "lm_eval"))
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--passages", type=Path)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--batch-size", type=int, default=0)
    parser.add_argument("-n", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if options.tool:
        measured = (run_quantbench if options.tool == "quantbench" else run_lm_eval)(options)
        peak_rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps({**measured, "peak_rss_bytes": peak_rss}))  # noqa: T201 - a script
        return
    with tempfile.TemporaryDirectory() as folder:
        embedded(Path(folder), options)
        rounds: dict[str, list[dict[str, Any]]] = {}
        for _ in range(options.rounds):
            rounds.setdefault("quantbench", []).append(in_a_process(options, "quantbench"))
            for size in BATCH_SIZES:
                found = in_a_process(options, "lm_eval", size)
                rounds.setdefault(f"lm-eval, batch {size}", []).append(found)
        runs = {
            name: sorted(found, key=itemgetter("score_s"))[len(found) // 2]
            for name, found in rounds.items()
        }
        ours = runs["quantbench"]
        needed = arithmetic(options.checkpoint, ours["tokens"], ours["targets"])
    peak = peak_gflops(options.dtype)
    n = options.n
    print(f"{n} passages, {options.dtype}, {os.cpu_count()} threads, peak {peak:.0f} GFLOP/s")  # noqa: T201
    for name, run in runs.items():
        print(  # noqa: T201
            f"{name:<20}{n / run['score_s']:6.1f} pairs/s {run['wall_s']:7.1f} s in all "
            f"{run['peak_rss_bytes'] / 1e9:5.2f} GB  {needed / run['score_s'] / peak:4.0%} of peak"
            f"  accuracy {run['accuracy']:.3f}"
        )
    best = min(run["score_s"] for name, run in runs.items() if name != "quantbench")
    print(f"ratio: {best / ours['score_s']:.2f}")  # noqa: T201


if __name__ == "__main__":
    main()
