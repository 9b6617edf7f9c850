"""Log-probabilities of target tokens under a causal language model, many prompts at once.

Nothing is computed that no target needs: the last token of a prompt is never fed, padding stands
on the right where causal attention hides it, and only target positions meet the vocabulary. On a
processor each core scores batches of its own: cores that share a batch wait for each other at
every step of a layer, a tenth of the time.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from quantbench.backends.transformers.llama import LlamaScorer, is_llama
from quantbench.data.prompts import TOP

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from quantbench.data.prompts import Prompt

_TOKENS_AT_ONCE = {
    "cpu": 768,
    "cuda": 16384,
}  # what a core's cache, or a GPU's units, are filled by
Hidden = Callable[["Tensor", "Tensor", "Tensor"], "Tensor"]
Answer = dict[str, list[Any]]


def hidden_states(model: Any) -> Hidden:
    """The fastest right way to a model's last hidden states; `plain` where none is known."""
    return LlamaScorer(model) if is_llama(model) else plain(model)


def plain(model: Any) -> Hidden:
    """Hidden states by transformers' own forward pass; arguments as `LlamaScorer`'s."""

    def hidden(tokens: Tensor, rows: Tensor, positions: Tensor) -> Tensor:
        states: Tensor = model.base_model(input_ids=tokens, use_cache=False).last_hidden_state
        return states[rows, positions]

    return hidden


def score_all(
    model: Any, hidden: Hidden, prompts: Sequence[Prompt], *, threads: int = 1
) -> Iterator[Answer]:
    """Score prompts in batches of similar length; the answers keep the given order.

    Args:
        model: a loaded causal language model.
        hidden: its hidden states; called by several threads at once where `threads` says so.
        prompts: what to score.
        threads: batches scored at once, each by one core. With 1, torch divides the work.
    """
    found = list(batches(prompts, _TOKENS_AT_ONCE.get(model.device.type, 768)))

    def answered(batch: list[int]) -> list[Answer]:
        return _divided(model, hidden, [prompts[i] for i in batch])

    scored = _each_on_a_core(answered, found, threads) if threads > 1 else map(answered, found)
    answers: dict[int, Answer] = {}
    for batch, some in zip(found, scored, strict=True):
        answers.update(zip(batch, some, strict=True))
    yield from (answers[i] for i in range(len(prompts)))


def _each_on_a_core(
    answered: Callable[[list[int]], list[Answer]], found: list[list[int]], threads: int
) -> Iterator[list[Answer]]:
    import torch

    divided = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield from pool.map(answered, found)
    finally:
        torch.set_num_threads(divided)


def batches(prompts: Sequence[Prompt], tokens_at_once: int) -> Iterator[list[int]]:
    """Indices of prompts, longest first, at most so many tokens a batch, padding included."""
    batch: list[int] = []
    for index in sorted(range(len(prompts)), key=lambda i: len(prompts[i].tokens), reverse=True):
        longest = len(prompts[batch[0]].tokens) if batch else len(prompts[index].tokens)
        if batch and longest * (len(batch) + 1) > tokens_at_once:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def _divided(model: Any, hidden: Hidden, prompts: Sequence[Prompt]) -> list[Answer]:
    """Score a batch; in halves where the device has no memory for the whole."""
    import torch

    try:
        return score(model, hidden, prompts)
    except torch.OutOfMemoryError:
        if len(prompts) == 1:
            raise
        half = len(prompts) // 2
    torch.cuda.empty_cache()
    return _divided(model, hidden, prompts[:half]) + _divided(model, hidden, prompts[half:])


def score(model: Any, hidden: Hidden, prompts: Sequence[Prompt]) -> list[Answer]:
    """Score one batch.

    Returns:
        For each prompt, an item a target token: `logprobs` (nats), `ranks` (0 is the greedy
        choice; ties go to the lower token id, as argmax has it), `greedy` (token id), and of the
        `TOP` likeliest tokens `top_ids` and `top_logprobs`, likeliest first.
    """
    import torch

    longest = max(len(prompt.tokens) for prompt in prompts) - 1
    tokens = torch.zeros(len(prompts), longest, dtype=torch.long)
    spots = []
    for row, prompt in enumerate(prompts):
        tokens[row, : len(prompt.tokens) - 1] = torch.tensor(prompt.tokens[:-1])
        spots += [
            (row, place - 1, prompt.tokens[place])
            for place in range(prompt.target_start, len(prompt.tokens))
        ]
    rows, positions, targets = (
        torch.tensor(axis, device=model.device) for axis in zip(*spots, strict=True)
    )
    with torch.inference_mode():
        states = hidden(tokens.to(model.device), rows, positions)
        logits = model.get_output_embeddings()(states).float()
        said = logits.gather(1, targets[:, None])
        total = logits.logsumexp(dim=1, keepdim=True)
        ids = torch.arange(logits.shape[1], device=logits.device)
        ahead = (logits > said) | ((logits == said) & (ids < targets[:, None]))
        top = logits.topk(min(TOP, logits.shape[1]), dim=1)
        columns = {
            "logprobs": (said - total)[:, 0].tolist(),
            "ranks": ahead.sum(dim=1).tolist(),
            "greedy": logits.argmax(dim=1).tolist(),
            "top_ids": top.indices.tolist(),
            # Six decimals: what float32 has.
            "top_logprobs": (top.values - total).double().round(decimals=6).tolist(),
        }
    answers: list[Answer] = [{name: [] for name in columns} for _ in prompts]
    for place, (row, _, _) in enumerate(spots):
        for name, column in columns.items():
            answers[row][name].append(column[place])
    return answers
