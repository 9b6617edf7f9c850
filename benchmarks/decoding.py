"""Tokens a second that a language model generates under several schemes, timed in turn.

    python benchmarks/decoding.py DATA [SCHEMES] [ROUNDS]

SmolLM2-135M-Instruct, 16 tokens after the first passage of LAMBADA, one at a time. In every round
each scheme generates once, so that all see the same load and clock frequency: a machine that
wanders by a fifth from minute to minute still shows which is faster. All models are in memory.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

from quantbench import cases
from quantbench.catalog.language_models import GGUF_SCHEMES, LANGUAGE_SCHEMES
from quantbench.core.settings import Machine, Settings, usable_threads
from quantbench.measure.rounds import medians_in_turn_ns
from quantbench.run.session import Session
from quantbench.study.registry import runner_for

MODEL, DATASET = "smollm2_135m_instruct", "lambada"


def main(data: str, schemes: str = "", rounds: str = "10") -> None:
    """Print a line a scheme."""
    chosen = schemes.split(",") if schemes else [*LANGUAGE_SCHEMES, *GGUF_SCHEMES]
    threads = usable_threads({})
    session = Session(Settings(data=Path(data), threads=threads))
    studied = cases(MODEL, schemes=chosen, datasets=[DATASET])
    with ExitStack() as held:
        decoders: list[Any] = []
        for case in studied:
            opener: Any = runner_for(case)
            runner = opener(session.artifact(case).path, Machine(threads))
            held.enter_context(closing(runner))
            decoders.append(runner.decoder(session.sample(case)))
        taken = medians_in_turn_ns([partial(decode) for decode in decoders], int(rounds))
    for case, decode, ns in zip(studied, decoders, taken, strict=True):
        print(f"{case.scheme.name:24} {1e9 * decode.tokens / ns:7.1f} tokens/s")  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
