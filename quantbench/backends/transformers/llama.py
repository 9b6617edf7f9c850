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

from quantbench.backends.transformers.products import product_kind

if TYPE_CHECKING:
    from torch import Tensor

    from quantbench.backends.transformers.products import Product


class _Layer(NamedTuple):
    """A decoder layer with its products."""

    layer: Any
    qkv: Product
    out: Product
    gate: Product
    up: Product
    down: Product


def is_llama(model: Any) -> bool:
    """Whether `LlamaScorer` computes what this model computes: plain float layers, no biases."""
    from torch import nn

    if len({parameter.device for parameter in model.parameters()}) != 1:
        return False  # spread over devices, or not loaded yet: transformers knows its ways
    if getattr(model.config, "model_type", None) != "llama" or model.config.hidden_act != "silu":
        return False
    if model.model.rotary_emb.rope_type in {"dynamic", "longrope"}:
        return False  # its rotations change with the longest sequence seen so far
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

    Queries, keys and values become one matrix; the model's layers keep views of it, so that no
    weight is held twice.
    """

    def __init__(self, model: Any) -> None:
        """Take over a model that `is_llama`."""
        self._model = model.model
        self._heads = model.config.num_attention_heads
        self._shared = model.config.num_key_value_heads
        product = product_kind([w for w in self._model.layers.parameters() if w.ndim > 1])
        self._layers = [
            _Layer(
                layer,
                product(_joined(attention.q_proj, attention.k_proj, attention.v_proj)),
                product(attention.o_proj.weight),
                product(layer.mlp.gate_proj.weight),
                product(layer.mlp.up_proj.weight),
                product(layer.mlp.down_proj.weight),
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

    def relative_error(self, tokens: Tensor) -> float:
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
        stream = each.out.plus(mixed, stream)
        normed = _norm(layer.post_attention_layernorm, stream)
        return each.down.plus(each.up.times(normed, each.gate.silu(normed)), stream)

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
    query = query.reshape(batch * shared, group * seq, width)
    key = key.permute(0, 2, 3, 1).reshape(batch * shared, width, seq)
    value = value.permute(0, 2, 1, 3).reshape(batch * shared, seq, width)
    later = query.new_full((seq, seq), float("-inf")).triu(1).repeat(group, 1)
    scores = torch.baddbmm(later, query, key, alpha=scaling)
    # Its kernel for bfloat16 takes twice as long as the way through float32.
    weights = scores.float().softmax(-1).to(value.dtype)
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


def _norm(module: Any, x: Tensor) -> Tensor:
    """RMSNorm (Zhang and Sennrich, 2019) of x, [tokens, hidden].

    torch's own makes float32 copies of a bfloat16 input; batch normalisation does not, and with
    tokens for channels and a mean of zero it divides each token by its root mean square.
    """
    import torch
    from torch.nn import functional

    tokens, hidden = x.shape
    squares = torch.linalg.vector_norm(x, dim=1, dtype=torch.float32).square_().div_(hidden)
    nothing = squares.new_zeros(tokens)
    scaled = functional.batch_norm(x[None], nothing, squares, eps=module.variance_epsilon)
    return scaled[0].mul_(module.weight)


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


def _range(like: Tensor, n: int) -> Tensor:
    import torch

    return torch.arange(n, device=like.device)
