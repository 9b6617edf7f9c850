"""The forward pass for scoring against transformers' own, and what is made of its logits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from quantbench.backends.transformers.llama import LlamaScorer, is_llama
from quantbench.backends.transformers.products import PackedProduct, PlainProduct
from quantbench.backends.transformers.scoring import batches, plain, score, score_all
from quantbench.data.prompts import Prompt

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def model(tiny_checkpoint: Path) -> Any:
    """Two layers, four heads that share two keys, in float32."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(tiny_checkpoint, dtype=torch.float32).eval()


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(2, 40), min_size=1, max_size=6), st.integers(0, 2**32 - 1))
def test_hidden_states_are_those_of_transformers(model: Any, lengths: list[int], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(400, (len(lengths), max(lengths)), generator=generator)
    rows = torch.arange(len(lengths))
    positions = torch.tensor(lengths) - 1
    for row, length in enumerate(lengths):
        tokens[row, length:] = 0  # padding, which nothing must see
    with torch.inference_mode():
        found = LlamaScorer(model)(tokens, rows, positions)
        for row, length in enumerate(lengths):
            alone = model.model(input_ids=tokens[row : row + 1, :length]).last_hidden_state
            assert torch.allclose(found[row], alone[0, -1], atol=2e-5)


def test_the_models_layers_keep_their_weights(model: Any) -> None:
    """They become views of the fused matrices: nothing is held twice, nothing changes."""
    tokens = torch.arange(24)[None]
    with torch.inference_mode():
        before = model(input_ids=tokens).logits
        scorer = LlamaScorer(model)
        assert torch.equal(model(input_ids=tokens).logits, before)
    attention = model.model.layers[0].self_attn
    storages = {
        getattr(attention, name).weight.untyped_storage().data_ptr()
        for name in ("q_proj", "k_proj", "v_proj")
    }
    assert len(storages) == 1
    assert scorer.relative_error(tokens) < 1e-5


def test_weights_laid_out_for_the_processor_multiply_the_same(tiny_checkpoint: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_checkpoint, dtype=torch.bfloat16).eval()
    scorer = LlamaScorer(model)
    assert scorer.relative_error(torch.arange(48).view(2, 24)) < 0.02
    weight = model.model.layers[0].mlp.down_proj.weight
    x = torch.randn(5, weight.shape[1], generator=torch.Generator().manual_seed(0)).bfloat16()
    with torch.inference_mode():
        assert torch.allclose(scorer._layers[0].down(x), x @ weight.T, atol=0.02)  # noqa: SLF001


def llama(**changes: Any) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"vocab_size": 50, "hidden_size": 16, "intermediate_size": 32}
    heads = {"num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1}
    return LlamaForCausalLM(LlamaConfig(**sizes, **heads, **changes))


def test_other_arithmetic_is_left_to_transformers() -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    assert is_llama(llama())
    assert not is_llama(llama(attention_bias=True))
    assert not is_llama(llama(mlp_bias=True))
    assert not is_llama(llama(hidden_act="gelu"))
    dynamic = {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}
    assert not is_llama(llama(rope_parameters=dynamic))
    other = GPT2LMHeadModel(GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=50))
    assert not is_llama(other)


def test_long_rotations_are_the_models_own() -> None:
    """Llama 3's frequencies are scaled: they are asked of the model, not computed again."""
    scaling = {
        "rope_type": "llama3",
        "rope_theta": 10000.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 16,
    }
    made = llama(rope_parameters=scaling, max_position_embeddings=128).eval()
    tokens = torch.arange(40)[None]
    with torch.inference_mode():
        found = LlamaScorer(made)(tokens, torch.tensor([0]), torch.tensor([39]))
        assert torch.allclose(
            found, made.model(input_ids=tokens).last_hidden_state[:, -1], atol=1e-5
        )


@given(st.lists(st.integers(2, 300), max_size=80), st.integers(300, 4000))
def test_batches_hold_every_prompt_once_within_the_budget(lengths: list[int], most: int) -> None:
    prompts = [Prompt((0,) * n, 1) for n in lengths]
    found = list(batches(prompts, most))
    assert sorted(i for batch in found for i in batch) == list(range(len(lengths)))
    for batch in found:
        assert max(lengths[i] for i in batch) * len(batch) <= most


def test_the_likeliest_tokens_are_kept_in_order(model: Any) -> None:
    prompt = Prompt(tuple(range(20, 32)), 10)
    (answer,) = score(model, plain(model), [prompt])
    with torch.inference_mode():
        said = model(input_ids=torch.tensor([prompt.tokens])).logits[0, 9:11].log_softmax(-1)
    for place in range(2):
        expected = said[place].topk(64)
        assert answer["top_ids"][place] == expected.indices.tolist()
        assert answer["top_logprobs"][place] == pytest.approx(expected.values.tolist(), abs=1e-4)
        assert answer["greedy"][place] == answer["top_ids"][place][0]


def test_cores_that_score_side_by_side_answer_in_order_and_alike() -> None:
    """More batches than threads, of several lengths; torch has its threads back afterwards."""
    hidden, divided = LlamaScorer(made := llama().eval()), torch.get_num_threads()
    prompts = [Prompt(tuple(range(1 + i % 7, 30 + i % 13)), 20 + i % 3) for i in range(70)]
    one, two = (list(score_all(made, hidden, prompts, threads=n)) for n in (1, 2))
    assert torch.get_num_threads() == divided
    for alone, beside in zip(one, two, strict=True):
        assert alone["greedy"] == beside["greedy"]
        assert alone["logprobs"] == pytest.approx(beside["logprobs"], abs=1e-5)

    def broken(tokens: Any, rows: Any, positions: Any) -> Any:
        raise ValueError("no such batch")

    with pytest.raises(ValueError, match="no such batch"):
        list(score_all(made, broken, prompts, threads=2))
    assert torch.get_num_threads() == divided


@pytest.mark.parametrize("kind", [PlainProduct, PackedProduct])
def test_a_product_and_its_step_are_rounded_once_or_twice(kind: Any) -> None:
    """Against float64; torch's own two steps in bfloat16 are the measure of what is lost."""
    generator = torch.Generator().manual_seed(1)
    x, weight, other = (
        torch.randn(shape, generator=generator).bfloat16() for shape in ((9, 64), (32, 64), (9, 32))
    )
    product, exact = kind(weight), x.double() @ weight.double().T
    rounding = 2**-8
    for found, meant in (
        (product(x), exact),
        (product.plus(x, other), exact + other),
        (product.times(x, other), exact * other),
        (product.silu(x), torch.nn.functional.silu(exact)),
    ):
        assert found.dtype == torch.bfloat16
        assert ((found - meant).abs() <= 2 * rounding * (exact.abs() * (1 + other.abs()) + 1)).all()


def test_a_batch_that_does_not_fit_is_halved_and_one_prompt_is_an_error(model: Any) -> None:
    sizes = []

    def small_device(tokens: Any, rows: Any, positions: Any) -> Any:
        sizes.append(len(tokens))
        if len(tokens) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return plain(model)(tokens, rows, positions)

    prompts = [Prompt(tuple(range(i, i + 6)), 4) for i in range(7)]
    found = list(score_all(model, small_device, prompts))
    assert sizes[0] == 7
    assert max(sizes[-2:]) <= 2
    for answer, prompt in zip(found, prompts, strict=True):
        (alone,) = score(model, plain(model), [prompt])
        assert answer["logprobs"] == pytest.approx(alone["logprobs"], abs=1e-4)

    def no_device(tokens: Any, rows: Any, positions: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        list(score_all(model, no_device, prompts[:1]))
