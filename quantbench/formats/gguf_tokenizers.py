"""How the tokenizer of a GGUF file splits a text before it merges bytes.

The key `tokenizer.ggml.pre` names the rules. transformers takes GPT-2's for all: "33" is one token
then, where SmolLM2 was trained on two. The rules here are those of the tokenizers that their
publishers give out with the checkpoints of these names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quantbench.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Callable

    from quantbench.formats.gguf_header import Described

PRE, _ADDS_START = "tokenizer.ggml.pre", "tokenizer.ggml.add_bos_token"
# OpenAI's cl100k pattern as Llama 3 has it; Qwen2 takes digits one by one.
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{digits}"
    r"| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def split_as_named(tokenizer: Any, header: Described, where: str) -> None:
    """Give a byte-level tokenizer of transformers the rules and the start that a file names.

    Raises:
        BuildError: their name is not known here: a text would be read as other tokens than the
            model was trained on.
    """
    name = header.values.get(PRE)
    if header.values.get("tokenizer.ggml.model") != "gpt2" or name is None:
        return  # SentencePiece has no such rules; old files say none
    rules = next((each for each, names in _NAMES.items() if name in names), None)
    if rules is None:
        raise BuildError(
            "the file's tokenizer splits a text by rules that are not known here",
            where=f"{where}, key {PRE}",
            expected=", ".join(sorted(each for names in _NAMES.values() for each in names)),
            got=name,
            remedy="start from the Hugging Face checkpoint that the file was made from",
        )
    backend = tokenizer.backend_tokenizer
    backend.pre_tokenizer = rules()
    backend.model.ignore_merges = rules is _words_of_three_digits
    if header.values.get(_ADDS_START, rules is _words_of_three_digits) and tokenizer.bos_token:
        backend.post_processor = _starting(tokenizer.bos_token, tokenizer.bos_token_id)


def _starting(start: str, number: int) -> Any:
    """Puts a start of text before each."""
    from tokenizers import processors

    return processors.TemplateProcessing(single=f"{start} $A", special_tokens=[(start, number)])


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


def _words_of_three_digits() -> Any:
    return _words("{1,3}")


def _words_of_one_digit() -> Any:
    return _words("")


# The names that llama.cpp gives the same rules.
_NAMES: dict[Callable[[], Any], tuple[str, ...]] = {
    _gpt2: ("gpt-2", "phi-2", "mellum", "gigachat"),
    _single_digits: ("smollm", "starcoder", "codeshell", "refact", "command-r"),
    _words_of_three_digits: ("llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral", "lfm2"),
    _words_of_one_digit: ("qwen2", "deepseek-r1-qwen", "stablelm2"),
}
