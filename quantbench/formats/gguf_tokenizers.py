"""How the tokenizer of a GGUF file splits a text before it merges bytes.

The key `tokenizer.ggml.pre` names the rules. transformers takes GPT-2's for all: "33" is one token
then, where SmolLM2 was trained on two. The rules here are those of the tokenizers that their
publishers give out with the checkpoints of these names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

PRE = "tokenizer.ggml.pre"
# OpenAI's cl100k pattern as Llama 3 has it; Qwen2 takes digits one by one.
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{digits}"
    r"| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def split_as_named(tokenizer: Any, name: str) -> None:
    """Give a byte-level tokenizer of transformers the splitting rules of this name.

    One of a name that is not known stays as it is: who runs the file by llama.cpp is told where
    its tokens differ.
    """
    backend = tokenizer.backend_tokenizer
    if name not in _RULES or type(backend.model).__name__ != "BPE":
        return
    backend.pre_tokenizer = _RULES[name]()
    backend.model.ignore_merges = name in _WHOLE_WORDS


def _gpt2() -> Any:
    from tokenizers import pre_tokenizers

    return pre_tokenizers.ByteLevel(add_prefix_space=False)


def _single_digits() -> Any:
    from tokenizers import pre_tokenizers

    return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), _gpt2()])


def _words(digits: str) -> Any:
    from tokenizers import Regex, pre_tokenizers

    split = pre_tokenizers.Split(Regex(_WORDS.format(digits=digits)), "isolated")
    plain = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return pre_tokenizers.Sequence([split, plain])


_RULES: dict[str, Callable[[], Any]] = {
    "gpt-2": _gpt2,
    "smollm": _single_digits,
    "starcoder": _single_digits,
    "llama-bpe": lambda: _words("{1,3}"),
    "qwen2": lambda: _words(""),
}
_WHOLE_WORDS = {"llama-bpe"}  # that stand in the vocabulary are not merged from bytes
