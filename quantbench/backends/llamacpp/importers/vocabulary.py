"""The tokenizer of a checkpoint in GGUF's keys, and proof that llama.cpp reads it alike."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantbench.backends.llamacpp.model import Model
from quantbench.errors import BuildError, PredictionError

if TYPE_CHECKING:
    from collections.abc import Sequence

# Rules by which llama.cpp splits a text before it merges bytes, by their names.
_SPLITTERS = (
    *("gpt-2", "llama-bpe", "qwen2", "smollm", "tekken", "starcoder", "falcon", "deepseek-llm"),
    *("mpt", "olmo", "dbrx", "default"),
)
# What a tokenizer's own rules have in them, the first that fits: those are tried first, for a
# small vocabulary cannot tell all apart.
_LIKELY = (
    (r"\\p{N}{1,3}", "llama-bpe"),
    (r"|\\p{N}|", "qwen2"),
    ('"individual_digits": true', "smollm"),
)
_NORMAL, _CONTROL, _USER_DEFINED, _UNUSED = 1, 3, 4, 5  # enum llama_token_type
# What splitters are told apart by: numbers, contractions, spaces, signs, scripts. No accents apart
# from their letters: llama.cpp does not compose them, which is told where a text has some.
PROBE = (
    "Hello world, it's 3 o'clock; WE'LL pay 12345 and 1,234.56 -- won't we?\n\n  Two  spaces,\t"
    "a tab.\r\n   \nIndented:\n    if (x != y) { return x_1 += 42; } // ok?!\n\n\n"
    "Ünïcode naïve Ελληνικά русский 中文字 日本語 한국어 العربية हिन्दी 🙂👍🏽 \u00a0\u2003."
    " don'T I'M he'D 'tis ... ''quoted'' \u201ccurled\u201d don\u2019t 10th 1990s C3PO \u0665\u0666"
)


def write_tokenizer(writer: Any, folder: Path, tokenizer: Any, size: int) -> str:
    """Write a checkpoint's tokenizer; returns the name of the splitting rules.

    Args:
        writer: a `gguf.GGUFWriter`.
        folder: the checkpoint's.
        tokenizer: as transformers reads it.
        size: rows of the embedding.

    Raises:
        BuildError: it is no byte-level byte-pair tokenizer, or no rules of llama.cpp read it.
    """
    _write(writer, folder, tokenizer, size)
    found = _splitter(folder, tokenizer, size)
    writer.add_tokenizer_pre(found)
    return found


def _write(writer: Any, folder: Path, tokenizer: Any, size: int) -> None:
    from gguf import SpecialVocab

    texts, kinds = _entries(tokenizer, size)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(texts)
    writer.add_token_types(kinds)
    special = SpecialVocab(folder, load_merges=True, n_vocab=size)
    special.add_to_gguf(writer, quiet=True)
    if "bos" not in special.add_special_token:  # llama.cpp would add one to some vocabularies
        writer.add_add_bos_token(_adds_bos(tokenizer))


def _adds_bos(tokenizer: Any) -> bool:
    first = tokenizer("a")["input_ids"][:1]
    return bool(first) and first[0] == tokenizer.bos_token_id


def _entries(tokenizer: Any, size: int) -> tuple[list[str], list[int]]:
    """Text and kind of each row of the embedding."""
    known = {number: text for text, number in tokenizer.get_vocab().items()}
    added = tokenizer.added_tokens_decoder
    if (highest := max(known, default=-1)) >= size:
        raise BuildError(
            "the tokenizer has more tokens than the model",
            expected=f"token ids below {size}, the rows of the embedding",
            got=f"id {highest}, {known[highest]!r}",
            remedy="put the model's own tokenizer files beside its weights",
        )
    texts, kinds = [], []
    for number in range(size):
        if number not in known:
            texts.append(f"[PAD{number}]")
            kinds.append(_UNUSED)
        elif number in added:
            texts.append(added[number].content)
            kinds.append(_CONTROL if added[number].special else _USER_DEFINED)
        else:
            texts.append(known[number])
            kinds.append(_NORMAL)
    return texts, kinds


def _splitter(folder: Path, tokenizer: Any, size: int) -> str:
    """The rules by which llama.cpp reads the probe as the tokenizer does.

    Raises:
        BuildError: there are none.
    """
    meant = tokenizer(PROBE)["input_ids"]
    while meant and meant[-1] == tokenizer.eos_token_id:  # some add one at the end
        meant.pop()
    nearest = 0
    for name in sorted(_SPLITTERS, key=lambda name: name != _likely(tokenizer)):
        said = _read(folder, tokenizer, size, name)
        if said[: len(meant)] == meant:
            return name
        nearest = max(nearest, _same(said, meant))
    raise BuildError(
        "llama.cpp reads the checkpoint's tokens by none of its rules",
        where=folder.name,
        expected=f"the {len(meant)} tokens of a text with numbers, scripts and spaces",
        got=f"at most the first {nearest}, by any of {', '.join(_SPLITTERS)}",
        remedy="write the file with llama.cpp's convert_hf_to_gguf.py and give it as it is: "
        'Model(format="gguf")',
    )


def _likely(tokenizer: Any) -> str:
    own = json.dumps(json.loads(tokenizer.backend_tokenizer.to_str())["pre_tokenizer"])
    return next((name for sign, name in _LIKELY if sign in own), _SPLITTERS[0])


def _same(said: Sequence[int], meant: Sequence[int]) -> int:
    pairs = enumerate(zip(said, meant, strict=False))
    return next((i for i, (one, two) in pairs if one != two), min(len(said), len(meant)))


def _read(folder: Path, tokenizer: Any, size: int, splitter: str) -> list[int]:
    """The probe's tokens by llama.cpp; none where it does not take the rules."""
    from gguf import GGUFWriter

    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "vocabulary.gguf"
        writer = GGUFWriter(path, "llama")
        _write(writer, folder, tokenizer, size)
        writer.add_tokenizer_pre(splitter)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        try:
            with Model(path, vocabulary_only=True) as model:
                return model.tokens(PROBE)
        except PredictionError:
            return []
