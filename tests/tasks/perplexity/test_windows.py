"""Windows hold the text's own tokens, score each at most once, and know their document."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantbench.data.documents import Cut, Document
from quantbench.data.tokenizers import Tokenizer
from quantbench.errors import DataError
from quantbench.tasks.perplexity.windows import in_a_row, windows

if TYPE_CHECKING:
    from pathlib import Path


def ids_of(checkpoint: Path, text: str) -> list[int]:
    from transformers import AutoTokenizer

    found: list[int] = AutoTokenizer.from_pretrained(checkpoint)(text)["input_ids"]
    return found


@pytest.fixture(scope="module")
def tokenizer(tiny_checkpoint: Path) -> Tokenizer:
    return Tokenizer(tiny_checkpoint)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_windows_are_slices_of_the_tokens_and_score_each_at_most_once(
    data: st.DataObject, tokenizer: Tokenizer, tiny_checkpoint: Path, documents: Any
) -> None:
    context = data.draw(st.integers(2, 40))
    stride = data.draw(st.integers(1, 50))
    scored = data.draw(st.integers(1, min(stride, context - 1)))
    texts = documents(data.draw(st.integers(1, 4)), data.draw(st.integers(40, 60)), 0, 0, 0)
    cut = Cut("mine", context, stride, scored)
    found = windows([replace(each, cut=cut) for each in texts], tokenizer, None)
    ids = ids_of(tiny_checkpoint, "\n\n".join(each.text for each in texts))
    counted: list[int] = []
    for number, window in enumerate(found):
        assert window.first == number * stride
        assert list(window.tokens) == ids[window.first : window.first + context]
        assert len(window.tokens) - window.target_start == scored
        counted += range(window.first + window.target_start, window.first + context)
    assert len(set(counted)) == len(counted)
    assert max(counted) < len(ids)
    assert len(found) == 1 + (len(ids) - context) // stride  # a last one that is not full is none


def test_the_first_so_many_are_the_first(tokenizer: Tokenizer, documents: Any) -> None:
    texts = documents(3, 60, 16, 16, 7)
    every = windows(texts, tokenizer, None)
    assert windows(texts, tokenizer, 4) == every[:4]
    assert windows(texts, tokenizer, 10**6) == every
    assert [window.id for window in every[:2]] == ["mine-00000", "mine-00001"]


def test_a_token_that_begins_every_text_begins_every_window(
    checkpoint_with_bos: Path, tiny_checkpoint: Path, documents: Any
) -> None:
    """As llama-perplexity has it: it stands in the text once, and replaces each window's first."""
    texts = documents(2, 60, 16, 16, 7)
    found = windows(texts, Tokenizer(checkpoint_with_bos), None)
    plain = ids_of(tiny_checkpoint, in_a_row(texts)[0])
    stream = [0, *plain]
    assert stream == ids_of(checkpoint_with_bos, in_a_row(texts)[0])
    for window in found:
        assert window.tokens[0] == 0
        assert list(window.tokens[1:]) == stream[window.first + 1 : window.first + 16]
    assert found[0].text == in_a_row(texts)[0][: found[0].places[2]]


def test_texts_in_a_row_are_divided_by_a_blank_line_or_by_their_own_breaks() -> None:
    cut = Cut("mine", 8, 8, 3)
    plain = [Document(name, name * 3, cut) for name in "abc"]
    assert in_a_row(plain) == ("aaa\n\nbbb\n\nccc", [0, 5, 10])
    broken = [replace(each, text=each.text + " \n") for each in plain]
    assert in_a_row(broken) == ("aaa \nbbb \nccc \n", [0, 5, 10])


def test_a_window_belongs_to_the_document_in_which_its_scored_part_begins(
    tokenizer: Tokenizer, documents: Any
) -> None:
    texts = documents(6, 25, 16, 16, 7)
    whole, starts = in_a_row(texts)
    found = windows(texts, tokenizer, None)
    for window in found:
        begins = window.places[1]
        while whole[begins].isspace() and whole[begins : begins + 2] != "\n\n":
            begins += 1  # a word's token has the space before it
        last = max(i for i, start in enumerate(starts) if start <= begins)
        assert window.group == f"d{last}"
    assert len({window.group for window in found}) == 6


def test_a_windows_text_and_bytes_are_those_of_its_tokens(
    tokenizer: Tokenizer, tiny_checkpoint: Path
) -> None:
    from transformers import AutoTokenizer

    text = "the über-dog ran — slowly, and then the cat again " * 6
    found = windows([Document("d", text, Cut("mine", 24, 24, 11))], tokenizer, None)
    decode = AutoTokenizer.from_pretrained(tiny_checkpoint).decode
    assert len(found) == 5
    for window in found:
        # A window that begins or ends amid a character shows it whole.
        assert decode(list(window.tokens)).strip("\ufffd") in window.text
        assert window.text in text
        scored = decode(list(window.tokens[window.target_start :]))
        if "\ufffd" not in scored:
            assert window.scored_bytes == len(scored.encode())


def test_a_digest_is_of_the_content_and_a_fingerprint_of_what_is_scored(
    tokenizer: Tokenizer, documents: Any
) -> None:
    (window, *_), (other, *_) = (
        windows(documents(1, 60, 16, 16, scored), tokenizer, None) for scored in (7, 5)
    )
    assert window.digest == other.digest
    assert window.fingerprint != other.fingerprint
    ids = b"".join(i.to_bytes(4, "little") for i in (*window.tokens, 9))
    assert window.fingerprint == hashlib.sha256(ids).hexdigest()


def test_a_text_too_short_for_a_window_is_refused(tokenizer: Tokenizer, documents: Any) -> None:
    with pytest.raises(DataError, match=r"too short for a window[^$]*at least 500 tokens"):
        windows(documents(2, 20, 500, 500, 249), tokenizer, None)


def test_a_window_longer_than_the_models_context_is_refused(
    tokenizer: Tokenizer, documents: Any
) -> None:
    with pytest.raises(DataError, match=r"longer than the model's context[^$]*at most 2,048"):
        windows(documents(2, 20, 4096, 4096, 2047), tokenizer, None)
