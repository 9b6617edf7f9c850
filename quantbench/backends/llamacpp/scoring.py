"""Log-probabilities of target tokens by llama.cpp, many prompts at once.

Nothing is decoded that no target needs: the last token of a prompt is never fed, and only target
positions meet the vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.data.prompts import TOP

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from quantbench.backends.llamacpp.model import Context
    from quantbench.data.prompts import Prompt

Answer = dict[str, list[Any]]


def batches(prompts: Sequence[Prompt], tokens: int, sequences: int) -> Iterator[list[int]]:
    """Indices of prompts, longest first, within so many fed tokens and sequences a batch."""
    batch: list[int] = []
    room = tokens
    for index in sorted(range(len(prompts)), key=lambda i: len(prompts[i].tokens), reverse=True):
        fed = len(prompts[index].tokens) - 1
        if batch and (fed > room or len(batch) == sequences):
            yield batch
            batch, room = [], tokens
        batch.append(index)
        room -= fed
    if batch:
        yield batch


def targets(prompt: Prompt) -> int:
    """How many tokens of a prompt are scored."""
    return len(prompt.tokens) - prompt.target_start


def score(context: Context, prompts: Sequence[Prompt]) -> list[Answer]:
    """Score one batch.

    Returns:
        For each prompt, an item a target token: `logprobs` (nats), `ranks` (0 is the greedy
        choice; ties go to the lower token id), `greedy` (token id), and of the `TOP` likeliest
        tokens `top_ids` and `top_logprobs`, likeliest first.

    Raises:
        PredictionError: llama.cpp failed.
    """
    fed = [np.array(prompt.tokens[:-1], np.int32) for prompt in prompts]
    wanted = [
        np.arange(len(some)) >= p.target_start - 1 for some, p in zip(fed, prompts, strict=True)
    ]
    context.clear()
    logits = context.decode(
        np.concatenate(fed),
        np.concatenate([np.arange(len(some)) for some in fed]),
        np.repeat(np.arange(len(fed)), [len(some) for some in fed]),
        np.concatenate(wanted),
    )
    answers, start = [], 0
    for prompt in prompts:
        end = start + targets(prompt)
        answers.append(answer(logits[start:end], prompt.tokens[prompt.target_start :]))
        start = end
    return answers


def answer(logits: NDArray[np.float32], tokens: Sequence[int]) -> Answer:
    """What logits [targets, vocabulary] say of the target tokens."""
    found: Answer = {
        name: [] for name in ("logprobs", "ranks", "greedy", "top_ids", "top_logprobs")
    }
    for row, token in zip(logits, tokens, strict=True):
        most = row.max()
        total = float(most) + float(np.log(np.exp(row - most).sum(dtype=np.float64)))
        said = row[token]
        likeliest = np.argpartition(row, -TOP)[-TOP:] if len(row) > TOP else np.arange(len(row))
        likeliest = likeliest[np.lexsort((likeliest, -row[likeliest]))]
        ahead = np.count_nonzero(row > said) + np.count_nonzero(row[:token] == said)
        found["logprobs"].append(float(said) - total)
        found["ranks"].append(int(ahead))
        found["greedy"].append(int(row.argmax()))
        found["top_ids"].append(likeliest.tolist())
        # Six decimals: what float32 has.
        found["top_logprobs"].append(np.round(row[likeliest] - total, 6).tolist())
    return found
