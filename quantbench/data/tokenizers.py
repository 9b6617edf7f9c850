"""Tokenizers of language models, and how many tokens these were made for."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from quantbench.core.jsons import MALFORMED, loads
from quantbench.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

# What configurations call it: Llama and most others, GPT-2, MPT, BLOOM.
_NAMES = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length")
_UNKNOWN = 32_768  # tokens, where nobody says: attention's memory grows with their square
_SENSIBLE = 10_000_000  # tokenizers without a limit say 1e30


class Encoded(NamedTuple):
    """Tokens of a text.

    Attributes:
        ids: those that the tokenizer adds in front among them, those at the end left out.
        spans: where each begins and ends in the text, in characters; (0, 0) of added ones.
        added: how many are added in front (BOS).
    """

    ids: list[int]
    spans: list[tuple[int, int]]
    added: int


class Tokenizer:
    """A checkpoint's tokenizer; it is read when it is first asked."""

    def __init__(self, checkpoint: Path) -> None:
        """Remember where it is."""
        self._folder = checkpoint

    @cached_property
    def _described(self) -> Any:
        """With its settings, as transformers reads it."""
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self._folder)

    @cached_property
    def _tokenizer(self) -> Any:
        tokenizer = self._described.backend_tokenizer
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer

    @cached_property
    def context(self) -> int:
        """Tokens of the longest text that the model may be given.

        Its configuration says it, else its tokenizer; 32,768 where neither does.
        """
        path = self._folder / "config.json"
        try:
            config = loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
            configs = [config, config.get("text_config") or {}]
            said = [each[name] for each in configs for name in _NAMES if name in each]
        except (OSError, *MALFORMED):
            said = []  # the runner explains what is wrong with it
        known = [n for n in (*said, self._described.model_max_length) if _is_sensible(n)]
        return int(known[0]) if known else _UNKNOWN

    def encode(self, text: str) -> Encoded:
        """All tokens of a text."""
        encoded = self._tokenizer.encode(text)
        ids, spans = encoded.ids, encoded.offsets
        # Tokens that a tokenizer adds at the end (end of text) cover no characters.
        kept = len(spans)
        while kept and spans[kept - 1][1] == 0:
            kept -= 1
        mask = encoded.special_tokens_mask[:kept]
        return Encoded(ids[:kept], spans[:kept], next((i for i, s in enumerate(mask) if not s), 0))

    def decode(self, tokens: list[int]) -> str:
        """The text of tokens, special ones included."""
        text: str = self._tokenizer.decode(tokens, skip_special_tokens=False)
        return text

    def check_fits(self, tokens: int, passage: str) -> None:
        """Refuse a passage that is longer than the model's context.

        Raises:
            DataError: it is.
        """
        if tokens > self.context:
            raise DataError(
                "a passage is longer than the model's context",
                where=passage,
                expected=f"at most {self.context:,} tokens",
                got=f"{tokens:,} tokens",
                remedy="shorten it or leave it out: what lies behind the context is not what the "
                "model was made for, and its attention may need more memory than there is",
            )


def _is_sensible(tokens: Any) -> bool:
    return isinstance(tokens, int) and 0 < tokens <= _SENSIBLE
