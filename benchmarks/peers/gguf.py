"""Scoring a GGUF file: quantbench against llama-cpp-python's own loops, in turn, a process each.

    python benchmarks/peers/gguf.py [--model FILE.gguf --checkpoint FOLDER] [--passages FILE.jsonl]
        [-n 200] [--rounds 3] [--llama-perplexity PROGRAM] [--chunks 20]

One file (the embedded SmolLM2 in Q8_0 unless another is named, with the folder of its tokenizer),
the same last words, threads and kernels. The peers are `Llama(logits_all=True)` by `eval` and
`scores`, which is what its class offers for likelihoods, and by `create_completion(echo=True,
logprobs=1)`, which its server and harnesses built on it ask for; the faster of the two counts.
Loading and one passage to warm up are excluded, tokenization is included, the median of the rounds
counts. The last line is the ratio of passages a second.

Where the program `llama-perplexity` is named or on the path, windows of 512 tokens are scored by
both too, by its own clock against ours; that ratio stands in a line before the last.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

THREADS = os.cpu_count() or 1
PEERS = ("eval", "completion")
_WINDOW = 512  # tokens
_CLOCK = r"(\d+)\.(\d+)\.(\d+)\.(\d+) I .*"  # minutes, seconds, milli- and microseconds
_BEGUN = re.compile(_CLOCK + r"calculating perplexity over (\d+) chunks")
_ENDED = re.compile(_CLOCK + r"Final estimate: PPL = ([\d.]+)")


def texts_of(options: argparse.Namespace) -> list[str]:
    """The passages."""
    lines = options.passages.read_text().splitlines()[: options.n]
    return [json.loads(line)["text"] for line in lines]


def run_quantbench(options: argparse.Namespace) -> dict[str, Any]:
    """Score with the plugin's own runner; the task tokenizes."""
    from quantbench.backends.llamacpp.runner import LlamaCppRunner
    from quantbench.catalog.models import find_model
    from quantbench.core.settings import Machine
    from quantbench.data.samples import Passage
    from quantbench.tasks.last_word.task import LastWord

    task = LastWord(find_model("smollm2_135m_instruct"), options.checkpoint)
    texts = texts_of(options)
    samples = [Passage(str(i), text, spaces_alone=True) for i, text in enumerate(texts)]
    with closing(LlamaCppRunner(options.model.parent, Machine(THREADS))) as runner:
        list(runner.predict_all([task.prepare(samples[0])]))
        started = time.perf_counter()
        prompts = [task.prepare(sample) for sample in samples]
        answers = list(runner.predict_all(prompts))
        score_s = time.perf_counter() - started
    right = [all(rank == 0 for rank in answer["ranks"]) for answer in answers]
    return {"score_s": score_s, "accuracy": sum(right) / len(right)}


def run_eval(options: argparse.Namespace) -> dict[str, Any]:
    """`Llama.eval` of each passage, and the logits that it keeps."""
    import numpy as np
    from llama_cpp import Llama

    llm = Llama(str(options.model), logits_all=True, n_ctx=_WINDOW, n_batch=_WINDOW,
                n_threads=THREADS, n_threads_batch=THREADS, verbose=False)  # fmt: skip

    def right(text: str) -> bool:
        tokens = llm.tokenize(text.encode(), add_bos=False)
        context = llm.tokenize(text.rpartition(" ")[0].encode(), add_bos=False)
        llm.reset()  # type: ignore[no-untyped-call]
        llm.eval(tokens)
        targets = tokens[len(context) :]
        logits = llm.scores[len(context) - 1 : len(tokens) - 1]
        logprobs = Llama.logits_to_logprobs(logits)[np.arange(len(targets)), targets]
        return bool(np.isfinite(logprobs).all() and (logits.argmax(axis=1) == targets).all())

    return _clocked(texts_of(options), right)


def run_completion(options: argparse.Namespace) -> dict[str, Any]:
    """`create_completion` with the prompt echoed and its likelihoods."""
    from llama_cpp import Llama

    llm = Llama(str(options.model), logits_all=True, n_ctx=_WINDOW, n_batch=_WINDOW,
                n_threads=THREADS, n_threads_batch=THREADS, verbose=False)  # fmt: skip

    def right(text: str) -> bool:
        said: Any = llm.create_completion(
            text, max_tokens=1, echo=True, logprobs=1, temperature=0.0
        )
        told = said["choices"][0]["logprobs"]
        split = len(text.rpartition(" ")[0])
        places = [i for i, start in enumerate(told["text_offset"]) if split <= start < len(text)]
        return bool(places) and all(
            told["token_logprobs"][i] >= max(told["top_logprobs"][i].values()) for i in places
        )

    return _clocked(texts_of(options), right)


def _clocked(texts: list[str], right: Any) -> dict[str, Any]:
    right(texts[0])
    started = time.perf_counter()
    found = [right(text) for text in texts]
    return {"score_s": time.perf_counter() - started, "accuracy": sum(found) / len(found)}


def run_windows(options: argparse.Namespace) -> dict[str, Any]:
    """Perplexity of the text's first windows, as `llama-perplexity` defines it."""
    import numpy as np

    from quantbench.backends.llamacpp.runner import LlamaCppRunner
    from quantbench.core.settings import Machine
    from quantbench.data.documents import Documents
    from quantbench.data.tokenizers import Tokenizer
    from quantbench.tasks.perplexity.windows import windows

    dataset = Documents("text", f"file:{options.text}")
    documents = dataset.samples({"evaluation": options.text}, "evaluation", None)
    found = windows(documents, Tokenizer(options.checkpoint), options.chunks)
    from quantbench.data.prompts import Prompt

    prompts = [Prompt(w.tokens, w.target_start, w.whole, w.first) for w in found]
    with closing(LlamaCppRunner(options.model.parent, Machine(THREADS))) as runner:
        list(runner.predict_all(prompts[:1]))
        started = time.perf_counter()
        answers = list(runner.predict_all(prompts))
        score_s = time.perf_counter() - started
    logprobs = np.concatenate([answer["logprobs"] for answer in answers])
    tokens = sum(len(prompt.tokens) for prompt in prompts)
    return {"score_s": score_s, "tokens": tokens, "perplexity": float(np.exp(-logprobs.mean()))}


def run_program(options: argparse.Namespace) -> dict[str, Any]:
    """`llama-perplexity` on the same windows, by its own clock."""
    command = [options.llama_perplexity, "-m", str(options.model), "-f", str(options.text)]
    command += ["-c", str(_WINDOW), "--chunks", str(options.chunks), "-t", str(THREADS)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    said = done.stdout + done.stderr
    begun, ended = _BEGUN.search(said), _ENDED.search(said)
    if begun is None or ended is None:
        raise SystemExit(f"llama-perplexity says no time and perplexity:\n{said[-2000:]}")
    return {
        "score_s": _seconds(ended) - _seconds(begun),
        "tokens": _WINDOW * int(begun[5]),
        "perplexity": float(ended[5]),
    }


def _seconds(stamp: re.Match[str]) -> float:
    minutes, seconds, milli, micro = (int(stamp[i]) for i in (1, 2, 3, 4))
    return 60 * minutes + seconds + milli / 1e3 + micro / 1e6


TOOLS = {
    "quantbench": run_quantbench,
    "eval": run_eval,
    "completion": run_completion,
    "windows": run_windows,
    "program": run_program,
}


def in_a_process(options: argparse.Namespace, tool: str) -> dict[str, Any]:
    """Run one tool alone."""
    command = [sys.executable, __file__, "--tool", tool, "-n", str(options.n)]
    command += ["--chunks", str(options.chunks)]
    for name in ("model", "checkpoint", "passages", "text", "llama_perplexity"):
        if (value := getattr(options, name)) is not None:
            command += [f"--{name.replace('_', '-')}", str(value)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{tool} failed:\n{done.stderr[-2000:]}")
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def embedded(folder: Path, options: argparse.Namespace) -> None:
    """Fill in the embedded file, tokenizer, passages and text where none are named."""
    from quantbench import cases
    from quantbench.core.settings import Settings
    from quantbench.run.session import Session

    (case,) = cases("smollm2_135m_instruct", schemes=["gguf_q8_0"], datasets=["kjv"])
    bench = Session(Settings(samples=options.n))
    if options.model is None:
        options.model = bench.artifact(case).path / "model.gguf"
        options.checkpoint = bench.float_model(case).path
    kept = folder / "model.gguf"  # the runner opens a folder
    kept.symlink_to(options.model.absolute())
    options.model = kept
    if options.passages is None:
        options.passages = folder / "passages.jsonl"
        texts = [sample.text for sample in bench.samples(case, "evaluation")]
        options.passages.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    options.text = folder / "text.txt"
    lines = options.passages.read_text().splitlines()
    options.text.write_text("\n".join(json.loads(line)["text"] for line in lines))


def main() -> None:
    """Measure one tool (`--tool`), or all in turn."""
    sys.path.remove(str(Path(__file__).parent))  # this file has a package's name
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tool", choices=tuple(TOOLS))
    for name in ("model", "checkpoint", "passages", "text"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--llama-perplexity", default=shutil.which("llama-perplexity"))
    parser.add_argument("--chunks", type=int, default=20)
    parser.add_argument("-n", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if (options.model is None) != (options.checkpoint is None):
        parser.error("--model and --checkpoint, the folder of its tokenizer, go together")
    if options.tool:
        print(json.dumps(TOOLS[options.tool](options)))  # noqa: T201 - a script
        return
    tools = ["quantbench", *PEERS]
    tools += ["windows", "program"] if options.llama_perplexity else []
    with tempfile.TemporaryDirectory() as folder:
        embedded(Path(folder), options)
        runs: dict[str, list[dict[str, Any]]] = {}
        for _ in range(options.rounds):
            for tool in tools:
                runs.setdefault(tool, []).append(in_a_process(options, tool))
    seconds = {tool: median(run["score_s"] for run in found) for tool, found in runs.items()}
    for tool in ("quantbench", *PEERS):
        rate = options.n / seconds[tool]
        print(f"{tool:<12}{rate:6.2f} passages/s, accuracy {runs[tool][0]['accuracy']:.3f}")  # noqa: T201
    if options.llama_perplexity:
        for tool in ("windows", "program"):
            run = runs[tool][0]
            rate, value = run["tokens"] / seconds[tool], run["perplexity"]
            print(f"{tool:<12}{rate:6.0f} tokens/s, perplexity {value:.4f}")  # noqa: T201
        pace = {tool: runs[tool][0]["tokens"] / seconds[tool] for tool in ("windows", "program")}
        print(f"windows over llama-perplexity: {pace['windows'] / pace['program']:.2f}")  # noqa: T201
    best = min(seconds[tool] for tool in PEERS)
    print(f"ratio: {best / seconds['quantbench']:.2f}")  # noqa: T201


if __name__ == "__main__":
    main()
