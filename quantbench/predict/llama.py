"""The forward pass of Llama's decoder, written for scoring many short passages at once.

transformers' own is written to be read, trained and generated with. For scoring, this one fuses
the projections that share an input, normalises without a round trip through float32 tensors,
attends without a mask tensor of its own, and leaves the last layer's mixing to the positions that
are asked for. `CausalLMRunner` compares the two on every model that it scores.

Architecture: Touvron et al., "LLaMA" (2023); rotary positions by Su et al. (2021); grouped queries
by Ainslie et al. (2023).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

_PACKED_AT_MOST = 2**30  # bytes of decoder weights that may be held once more


class _Layer(NamedTuple):
    """A decoder layer with its products: from [tokens, inputs] to [tokens, outputs]."""

    layer: Any
    qkv: Callable[[Tensor], Tensor]
    out: Callable[[Tensor], Tensor]
    gate_up: Callable[[Tensor], Tensor]
    down: Callable[[Tensor], Tensor]


def is_llama(model: Any) -> bool:
    """Whether `LlamaScorer` computes what this model computes: plain float layers, no biases."""
    from torch import nn

    if len({parameter.device for parameter in model.parameters()}) != 1:
        return False  # spread over devices, or not loaded yet: transformers knows its ways
    if getattr(model.config, "model_type", None) != "llama" or model.config.hidden_act != "silu":
        return False
    linears = [
        module
        for layer in model.model.layers
        for block in (layer.self_attn, layer.mlp)
        for module in block.children()
        if hasattr(module, "in_features")
    ]
    return all(
        type(module) is nn.Linear
        and module.bias is None
        and not hasattr(module.weight, "__tensor_flatten__")  # packed: it brings its arithmetic
        for module in linears
    )


class LlamaScorer:
    """Hidden states of asked positions, by a model's own weights.

    Projections that share an input become one matrix each; the model's layers keep views of it,
    so that no weight is held twice. Of a small model in bfloat16 on a processor the matrices are
    laid out once more as oneDNN multiplies them, an eighth of the time saved.
    """

    def __init__(self, model: Any) -> None:
        """Take over a model that `is_llama`."""
        self._model = model.model
        self._heads = model.config.num_attention_heads
        self._shared = model.config.num_key_value_heads
        multiplier = _packed if _worth_packing(self._model) else _plain
        self._layers = [
            _Layer(
                layer,
                multiplier(_joined(attention.q_proj, attention.k_proj, attention.v_proj)),
                multiplier(attention.o_proj.weight),
                multiplier(_joined(layer.mlp.gate_proj, layer.mlp.up_proj)),
                multiplier(layer.mlp.down_proj.weight),
            )
            for layer in self._model.layers
            for attention in (layer.self_attn,)
        ]

    def __call__(self, tokens: Tensor, rows: Tensor, positions: Tensor) -> Tensor:
        """Last hidden states, normalised, of tokens[rows, positions], [asked, hidden].

        Args:
            tokens: ids, [batch, seq], padded on the right, where causal attention hides it.
            rows: [asked].
            positions: [asked].
        """
        batch, seq = tokens.shape
        stream = self._model.embed_tokens(tokens)
        places = _range(tokens, seq)[None]
        cosine, sine = (part[:, :, None] for part in self._model.rotary_emb(stream, places))
        stream = stream.view(batch * seq, -1)
        for each in self._layers[:-1]:
            stream = self._layer(each, stream, cosine, sine, None)
        stream = self._layer(self._layers[-1], stream, cosine, sine, rows * seq + positions)
        return _norm(self._model.norm, stream)

    def apart(self, tokens: Tensor) -> float:
        """How far a layer's output is from transformers' on the same input, at the worst layer.

        Relative distance. Layer by layer, because through a whole network of few bits rounding
        grows until two right answers have little in common.
        """
        import torch

        inputs: list[Tensor] = []
        outputs: list[Tensor] = []

        def listen(_: Any, given: Any, named: Any, made: Any) -> None:
            inputs.append(given[0] if given else named["hidden_states"])
            outputs.append(made[0] if isinstance(made, tuple) else made)

        hooks = [
            layer.register_forward_hook(listen, with_kwargs=True) for layer in self._model.layers
        ]
        with torch.inference_mode():
            try:
                self._model(input_ids=tokens, use_cache=False)
            finally:
                for hook in hooks:
                    hook.remove()
            places = _range(tokens, tokens.shape[1])[None]
            turns = self._model.rotary_emb(inputs[0], places)
            cosine, sine = (part[:, :, None] for part in turns)
            distances = []
            for each, given, made in zip(self._layers, inputs, outputs, strict=True):
                meant = made.flatten(0, 1).float()
                said = self._layer(each, given.flatten(0, 1), cosine, sine, None).float()
                distances.append(float((said - meant).norm() / meant.norm()))
        return max(distances, key=lambda distance: (distance != distance, distance))  # noqa: PLR0124 - NaN is the worst

    def _layer(
        self, each: _Layer, stream: Tensor, cosine: Tensor, sine: Tensor, asked: Tensor | None
    ) -> Tensor:
        """One decoder layer; after its attention only the `asked` positions go on."""
        layer = each.layer
        projected = each.qkv(_norm(layer.input_layernorm, stream))
        mixed = self._attend(layer, projected, cosine, sine)
        if asked is not None:
            mixed, stream = mixed[asked], stream[asked]
        stream = stream + each.out(mixed)
        gated = _gated(each.gate_up(_norm(layer.post_attention_layernorm, stream)))
        return stream + each.down(gated)

    def _attend(self, layer: Any, projected: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        """Causal attention of the fused projections, [batch * seq, (heads + 2 shared) * width]."""
        import torch

        seq, width = cosine.shape[1], layer.self_attn.head_dim
        heads, shared = self._heads, self._shared
        parts = projected.view(-1, seq, heads + 2 * shared, width)
        turned = _rotated(parts[:, :, : heads + shared], cosine, sine)
        query, key = turned[:, :, :heads], turned[:, :, heads:]
        value = parts[:, :, heads + shared :]
        if projected.device.type == "cpu":
            mixed = _attention_by_products(query, key, value, layer.self_attn.scaling)
        else:
            mixed = torch.nn.functional.scaled_dot_product_attention(
                *(part.transpose(1, 2) for part in (query, key, value)),
                is_causal=True,
                scale=layer.self_attn.scaling,
                enable_gqa=shared != heads,
            ).transpose(1, 2)
        return mixed.reshape(-1, heads * width)


def _attention_by_products(query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
    """Two batched products and a softmax: at a hundred tokens half the time of torch's kernel.

    [batch, seq, heads, width], of key and value [batch, seq, shared, width].
    """
    import torch

    batch, seq, heads, width = query.shape
    shared = key.shape[2]
    group = heads // shared
    query = query.view(batch, seq, shared, group, width).permute(0, 2, 3, 1, 4)
    query = (query * scaling).reshape(batch * shared, group * seq, width)
    key = key.permute(0, 2, 3, 1).reshape(batch * shared, width, seq)
    value = value.permute(0, 2, 1, 3).reshape(batch * shared, seq, width)
    scores = torch.bmm(query, key).view(-1, seq, seq)
    later = torch.ones(seq, seq, dtype=torch.bool).triu(1)
    scores.masked_fill_(later, float("-inf"))
    weights = scores.softmax(-1).view(batch * shared, group * seq, seq)
    mixed = torch.bmm(weights, value).view(batch, shared, group, seq, width)
    return mixed.permute(0, 3, 1, 2, 4).reshape(batch, seq, heads, width)


def _rotated(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotary positions: the halves of each head, [batch, seq, heads, width], turned as pairs."""
    import torch

    half = x.shape[-1] // 2
    one, other = x[..., :half], x[..., half:]
    out = torch.empty_like(x)
    torch.mul(one, cosine[..., :half], out=out[..., :half]).addcmul_(
        other, sine[..., :half], value=-1
    )
    torch.mul(other, cosine[..., half:], out=out[..., half:]).addcmul_(one, sine[..., half:])
    return out


def _gated(projected: Tensor) -> Tensor:
    from torch.nn import functional

    gate, up = projected.chunk(2, dim=-1)
    return functional.silu(gate).mul_(up)


def _norm(module: Any, x: Tensor) -> Tensor:
    from torch.nn import functional

    return functional.rms_norm(x, (x.shape[-1],), module.weight, module.variance_epsilon)


def _joined(*linears: Any) -> Tensor:
    """The weights as one matrix, [sum of outputs, inputs], of which the layers keep their rows."""
    import torch
    from torch import nn

    joined = torch.cat([linear.weight.detach() for linear in linears])
    first = 0
    for linear in linears:
        last = first + linear.out_features
        linear.weight = nn.Parameter(joined[first:last], requires_grad=False)
        first = last
    return joined


def _worth_packing(decoder: Any) -> bool:
    import torch

    weights = [parameter for parameter in decoder.layers.parameters() if parameter.ndim > 1]
    return (
        torch.backends.mkldnn.is_available()
        and all(w.device.type == "cpu" and w.dtype == torch.bfloat16 for w in weights)
        and sum(w.nbytes for w in weights) <= _PACKED_AT_MOST
    )


def _packed(weight: Tensor) -> Callable[[Tensor], Tensor]:
    """As torch's own compiler lays weights out that do not change."""
    import torch

    laid_out = torch.ops.mkldnn._reorder_linear_weight(weight.detach())  # noqa: SLF001
    multiply = torch.ops.mkldnn._linear_pointwise  # noqa: SLF001
    return lambda x: multiply(x, laid_out, None, "none", [], "")


def _plain(weight: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda x: x @ weight.T


def _range(like: Tensor, n: int) -> Tensor:
    import torch

    return torch.arange(n, device=like.device)
