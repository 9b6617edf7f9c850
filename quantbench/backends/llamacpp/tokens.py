"""llama.cpp's tokenizer beside the one that the samples were tokenized with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantbench.errors import PredictionError

if TYPE_CHECKING:
    from collections.abc import Iterable, MutableMapping, Sequence

    from quantbench.backends.llamacpp.model import Model
    from quantbench.data.prompts import Prompt

_AROUND = 4  # tokens shown on each side


def check_tokens(
    model: Model, prompts: Iterable[Prompt], known: MutableMapping[str, list[int]] | None = None
) -> None:
    """Refuse prompts whose text llama.cpp reads as other tokens.

    People run a GGUF file with the tokenizer inside: scored with another one's tokens it would be
    judged as something that nobody runs.

    Args:
        model: that reads them.
        prompts: that it is to score.
        known: llama.cpp's tokens of the last text, kept from call to call: windows share a text,
            which may be a whole book.

    Raises:
        PredictionError: a prompt has other tokens; the message shows where they part.
    """
    known = {} if known is None else known
    for prompt in prompts:
        if prompt.text not in known:
            known.clear()
            known[prompt.text] = model.tokens(prompt.text)
        read = known[prompt.text][prompt.first : prompt.first + len(prompt.tokens) + _AROUND]
        # A window begins with a start of text where the tokenizer adds one.
        start = 1 if prompt.first and prompt.tokens[0] == model.start else 0
        mine = list(prompt.tokens)
        apart = _first_difference(mine, read, start)
        if apart is not None:
            raise PredictionError(
                "llama.cpp's tokenizer reads a text differently from the model's own",
                where=f"{model.path.name}, token {prompt.first + apart} of {prompt.text[:60]!r}",
                expected=_shown(model, mine, apart),
                got=_shown(model, read[: len(mine)], apart),
                remedy="of a file from outside: transformers may not know its splitting rules, so "
                "start from its checkpoint, Model(format='hf_checkpoint'); else the file was "
                "written with another tokenizer: write it again",
            )


def _first_difference(mine: Sequence[int], read: Sequence[int], start: int) -> int | None:
    """Where they part; what follows the prompt's own (an end of text) is not looked at."""
    for i in range(start, len(mine)):
        if i >= len(read) or mine[i] != read[i]:
            return i
    return None


def _shown(model: Model, tokens: Sequence[int], place: int) -> str:
    near = tokens[max(0, place - _AROUND) : place + _AROUND + 1]
    return " ".join(f"{token}:{model.text(token)!r}" for token in near) or "no token"
