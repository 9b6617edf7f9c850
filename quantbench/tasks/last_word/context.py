"""How many tokens a language model was made for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quantbench.core.jsons import MALFORMED, loads
from quantbench.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

# What configurations call it: Llama and most others, GPT-2, MPT, BLOOM.
_NAMES = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length")
_UNKNOWN = 32_768  # tokens, where nobody says: attention's memory grows with their square
_SENSIBLE = 10_000_000  # tokenizers without a limit say 1e30


def context_of(checkpoint: Path, tokenizer: Any) -> int:
    """Tokens of the longest passage that a checkpoint may be given.

    Its configuration says it, else its tokenizer; 32,768 where neither does.
    """
    path = checkpoint / "config.json"
    try:
        config = loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        configs = [config, config.get("text_config") or {}]
        said = [each[name] for each in configs for name in _NAMES if name in each]
    except (OSError, *MALFORMED):
        said = []  # the runner explains what is wrong with it
    known = [n for n in (*said, tokenizer.model_max_length) if _is_sensible(n)]
    return int(known[0]) if known else _UNKNOWN


def _is_sensible(tokens: Any) -> bool:
    return isinstance(tokens, int) and 0 < tokens <= _SENSIBLE


def check_fits(tokens: int, context: int, passage: str) -> None:
    """Refuse a passage that is longer than the model's context.

    Raises:
        DataError: it is.
    """
    if tokens > context:
        raise DataError(
            "a passage is longer than the model's context",
            where=passage,
            expected=f"at most {context:,} tokens",
            got=f"{tokens:,} tokens",
            remedy="shorten it or leave it out: what lies behind the context is not what the "
            "model was made for, and its attention may need more memory than there is",
        )
