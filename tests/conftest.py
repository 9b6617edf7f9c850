"""What several rooms test on: a language model small enough to build in a second."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from quantbench.core.settings import usable_threads

# pytester moves the home directory, where gptqmodel keeps what it compiled.
os.environ.setdefault(
    "GPTQMODEL_TORCH_EXTENSIONS_DIR", str(Path.home() / ".cache/gptqmodel/torch_extensions")
)

pytest_plugins = ["pytester", "tests.store.s3"]

# A busy machine is no failure: Hypothesis' own limit is .2 s an example.
settings.register_profile("quantbench", deadline=None)
settings.load_profile("quantbench")


def pytest_configure(config: pytest.Config) -> None:
    """Let xdist's workers share the cores: BLAS would take all in each, and they wait."""
    if workers := config.getoption("numprocesses", None):
        share = usable_threads({"PYTEST_XDIST_WORKER_COUNT": str(workers)})
        os.environ.setdefault("OPENBLAS_NUM_THREADS", str(share))
        if config.option.dist == "load":  # the last tests are long: who is done takes over
            config.option.dist = "worksteal"


# A pytest of its own loads these alone: others take longer to load than a small study to run.
PLUGINS = "pytest_benchmark.plugin,xdist.plugin,quantbench.plugin"
WORDS = tuple(
    "the a dog cat bird man woman child house tree river stone ran sat saw sang held under over "  # noqa: SIM905 - a sentence reads better
    "near with and then slowly again home old small red green before after never always".split()
)


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of two layers, hardly trained, with a byte-pair tokenizer of its own, in float32."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny_checkpoint")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<end>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator([" ".join(WORDS)] * 4, trainer)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>").save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=400,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=0,
    )
    model = LlamaForCausalLM(config)
    # A little training, so that there is something to lose: "home" is followed by "again".
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>")
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(40):
        texts = [sentence(100 * step + i, 12) + " home again" for i in range(8)]
        batch = [fast(text)["input_ids"] for text in texts]
        shortest = min(map(len, batch))
        tokens = torch.tensor([ids[-shortest:] for ids in batch])
        model(input_ids=tokens, labels=tokens).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    return folder


def sentence(number: int, words: int) -> str:
    """A reproducible sentence of known words."""
    import random

    return " ".join(random.Random(number).choices(WORDS, k=words))
