"""`random:ARCHITECTURE#seed=N`: two words in a file, both part of the identity."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from quantbench.core.digests import digest_of
from quantbench.errors import BuildError, UsageError
from quantbench.sources.parsing import parse_source
from quantbench.sources.random_weights import FILE, RandomWeights

if TYPE_CHECKING:
    from pathlib import Path


def test_a_source_names_architecture_and_seed(folder: Path) -> None:
    source = parse_source("random:llama_3.2_3b#seed=7")
    assert source == RandomWeights("llama_3.2_3b", 7)
    source.fetch(folder)
    assert json.loads((folder / FILE).read_text()) == {"architecture": "llama_3.2_3b", "seed": 7}
    assert RandomWeights.read(folder) == source


def test_without_a_seed_it_is_the_first() -> None:
    assert parse_source("random:net") == RandomWeights("net", 0)


def test_both_are_part_of_the_identity() -> None:
    texts = ("random:net", "random:net#seed=1", "random:other")
    assert len({digest_of(parse_source(text).ingredients()) for text in texts}) == 3


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("random:", "not a source"),
        ("random:../x", "not a name of an architecture"),
        ("random:Net", "not a name of an architecture"),
        ("random:net#seed=-1", "not a seed"),
        ("random:net#seed=1.5", "not a seed"),
        ("random:net#seed=99999999999999999999", "not a seed"),
        ("random:net#seed=9999999999999999999", "not a seed"),
        ("random:net#seed=\u0663", "not a seed"),
        ("random:net#sha256=00", "unknown pins"),
    ],
)
def test_what_is_none_is_refused(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        parse_source(text)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"architecture": "net", "seed": "x"}'])
def test_a_file_that_says_something_else_is_explained(folder: Path, text: str) -> None:
    (folder / FILE).write_text(text)
    with pytest.raises(BuildError, match="which architecture is meant"):
        RandomWeights.read(folder)
