"""What backends say of their needs: every scheme of each, and the numbers that a person knows."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantbench.backends.transformers.architectures import ARCHITECTURES
from quantbench.protocols import PREDICT
from quantbench.run.planning.weighing import needs_of
from quantbench.study import Scheme, Weights
from quantbench.study.registry import backends

OURS = [name for name, each in backends().items() if each.needs.startswith("quantbench.")]
WEIGHTS = st.builds(
    lambda parameters, share, bits: Weights(parameters, int(parameters * share), bits),
    st.integers(1, 10**12),
    st.floats(0, 1),
    st.sampled_from([16.0, 32.0]),
)


@pytest.mark.parametrize("backend", OURS)
@given(weights=WEIGHTS)
def test_more_bits_never_weigh_less(backend: str, weights: Weights) -> None:
    """Within one family of formats: a name that differs in its bits alone."""
    needs = needs_of(backend)
    assert needs is not None
    families: dict[tuple[str, int | None], list[tuple[int, float]]] = {}
    for name in backends()[backend].schemes.names:
        scheme = Scheme.parse(name)
        size = needs.artifact_bytes(scheme, replace(weights, stored_bits=32.0))
        if size is not None and scheme.weights != "as shipped":
            key = (scheme.quantizer, scheme.group_size)
            families.setdefault(key, []).append((scheme.bits, size))
    assert families
    for found in families.values():
        for bits, size in found:
            assert all(size <= other for more, other in found if more > bits)


@pytest.mark.parametrize("backend", OURS)
@given(weights=WEIGHTS, more=st.integers(1, 10**12))
def test_more_weights_never_take_less(backend: str, weights: Weights, more: int) -> None:
    needs = needs_of(backend)
    assert needs is not None
    larger = replace(weights, parameters=weights.parameters + more)
    for name in backends()[backend].schemes.names:
        scheme = Scheme.parse(name)
        before = needs.artifact_bytes(scheme, weights)
        after = needs.artifact_bytes(scheme, larger)
        assert (before is None) == (after is None)
        assert before is None or after is None or before <= after
        for step in (scheme.quantizer, PREDICT, *backends()[backend].importers):
            rate = needs.rate(step, scheme)
            if rate is None:
                continue
            assert rate.peak_bytes(weights.parameters) <= rate.peak_bytes(larger.parameters)
            assert rate.seconds(weights.parameters, 10) <= rate.seconds(larger.parameters, 10)
            assert rate.seconds(10, 10) <= rate.seconds(10, 11)
            assert rate.measured


@pytest.mark.parametrize("name", ["llama_3.2_3b", "llama_2_7b", "smollm_135m"])
def test_weights_of_an_architecture_are_the_published_number(name: str) -> None:
    """Counted here once more, layer by layer (Touvron et al., 2023, section 2.2)."""
    shape = ARCHITECTURES[name]
    head = shape.hidden // shape.heads
    attention = 2 * shape.hidden**2 + 2 * shape.hidden * head * shape.kv_heads
    layer = attention + 3 * shape.hidden * shape.intermediate + 2 * shape.hidden
    table = shape.vocabulary * shape.hidden
    tables = table if shape.tied else 2 * table
    needs = needs_of("transformers")
    assert needs is not None
    found = needs.weights(name)
    assert found is not None
    assert found.parameters == shape.layers * layer + tables + shape.hidden
    assert found.embedding == tables


@pytest.mark.parametrize(
    ("backend", "name", "millions"),
    [("litert", "centernet_resnet50v2", 29.9), ("litert", "ssd_mobilenetv2", 6.1),
     ("transformers", "detr_r101_dc5", 60)],
)  # fmt: skip
def test_detectors_have_as_many_weights_as_were_published(
    backend: str, name: str, millions: float
) -> None:
    needs = needs_of(backend)
    assert needs is not None
    found = needs.weights(name)
    assert found is not None
    assert found.parameters == pytest.approx(millions * 1e6, rel=0.01)


def test_an_unknown_architecture_has_no_weights() -> None:
    assert [needs_of(name).weights("alexnet") for name in OURS] == [None] * len(OURS)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("scheme", "megabytes"),
    [  # what was built of SmolLM2-135M here, tokenizer left out
        ("gptq_int4_g64", 114.5),
        ("bnb_nf4", 116.4),
        ("reference", 538.1),
    ],
)
def test_sizes_are_those_of_files_that_were_built(scheme: str, megabytes: float) -> None:
    needs, parsed = needs_of("transformers"), Scheme.parse(scheme)
    assert needs is not None
    weights = needs.weights("smollm2_135m")
    assert weights is not None
    size = needs.artifact_bytes(parsed, replace(weights, stored_bits=32.0))
    assert size == pytest.approx(megabytes * 1e6, rel=0.03)
