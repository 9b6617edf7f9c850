"""The steps of a diagnosis of a GPTQ case, cheapest first, and what each of them flags.

Outliers of weights and of activation channels (Dettmers et al., "LLM.int8()", 2022), the noise of
each layer's output on the float model's own inputs, and each layer alone by perplexity.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from quantbench.backends.transformers.diagnosis.layers import (
    FloatModel,
    divergence,
    nats,
    packed_weights,
)
from quantbench.diagnosis.decibels import decibels
from quantbench.diagnosis.findings import Diagnosis, Finding, ranked
from quantbench.diagnosis.flags import flag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from quantbench.core.progress import Step
    from quantbench.data.prompts import Prompt

_GROUP = 64
_CREST = 5.0  # times the root mean square of its group: a normal weight of 64 gets there never
_CRESTED = 0.01  # of the groups
_LOUD = 1e4  # times the median channel's power
_BELOW_DB = 6.0  # under the median of all layers: a bit less than the others have
ALONE = 4  # passages: of a distribution, a few hundred tokens say enough
_HARMLESS_DB = 40.0  # that a ten-thousandth of a nat lies below a nat
_LEAST_NATS, _MOST_NATS = 1e-6, 1e6  # that are told apart


@dataclass
class LayerNoise:
    """What one linear layer meets on its way, summed over tokens.

    Attributes:
        place: in the order of the model.
        name: of the layer.
        weights: how many it has.
        crested: share of groups of weights that one weight sets the scale of.
        crest: the largest weight over the root mean square of its group.
        power: of each input channel.
        signal: of its output.
        noise: of its output by quantized weights.
    """

    place: int
    name: str
    weights: int
    crested: float = 0.0
    crest: float = 0.0
    power: Any = 0.0
    signal: float = 0.0
    noise: float = 0.0

    @property
    def snr_db(self) -> float:
        """Of its output."""
        return decibels(self.signal, self.noise)

    @property
    def kind(self) -> str:
        """`q_proj` and the like."""
        return self.name.rpartition(".")[2]

    @property
    def loudest(self) -> tuple[int, float]:
        """Channel of its input that has the most power, and how many times the median's."""
        channel = int(self.power.argmax())
        return channel, float(self.power[channel] / self.power.median().clamp(min=1e-12))


class Cost(NamedTuple):
    """What one layer costs, quantized alone; NaN is infinite.

    Attributes:
        divergence: from the float model's next tokens, in nats a token. Layers are judged by it.
        nats: what is added to the logarithm of the passages' perplexity.
    """

    divergence: float
    nats: float

    @property
    def known(self) -> float:
        """The divergence, as a number that can be reckoned with."""
        finite = self.divergence if math.isfinite(self.divergence) else _MOST_NATS
        return min(max(finite, _LEAST_NATS), _MOST_NATS)

    @property
    def db(self) -> float:
        """Of the divergence, a nat being 0 dB."""
        return 10 * math.log10(self.known)


def language_looks(
    float_model: Path,
    built: Path,
    samples: Sequence[Prompt],
    step: Step,
    *,
    alone: bool,
) -> Diagnosis:
    """Look at a float checkpoint and what GPTQ made of it.

    Args:
        float_model: its folder.
        built: the GPTQ checkpoint's.
        samples: prompts of the calibration split.
        step: is told what is done next and of how many parts; what it returns is called with 1
            after each.
        alone: whether to quantize each layer alone, which takes minutes.
    """
    seconds: dict[str, float] = {}
    started = time.perf_counter()
    weights = packed_weights(built)
    model = FloatModel.load(float_model, list(weights))
    layers = [LayerNoise(i, n, w.numel()) for i, (n, w) in enumerate(model.weights().items())]
    advance = step("scan", len(layers))
    for layer in layers:
        layer.crested, layer.crest = crests(model.weights()[layer.name])
        advance(1)
    seconds["scan"] = time.perf_counter() - started

    started = time.perf_counter()
    advance = step("side by side", len(samples))
    side_by_side(model, weights, layers, samples, advance)
    findings = [*_crested(layers), *_loud(layers), *_noisy(layers)]
    seconds["side by side"] = time.perf_counter() - started

    flagged: list[str] = []
    if alone:
        started = time.perf_counter()
        advance = step("one layer alone", len(layers))
        cost = each_alone(model, weights, samples[:ALONE], advance)
        flagged = stand_out(cost)
        findings += _sensitive(layers, cost, flagged)
        seconds["one layer alone"] = time.perf_counter() - started
    profile = [
        {"place": n.place, "op": n.name, "kind": n.kind, "snr_db": round(n.snr_db, 2)}
        for n in layers
    ]
    return Diagnosis(ranked(findings), profile, tuple(flagged), seconds)


def crests(weight: Any, group: int = _GROUP) -> tuple[float, float]:
    """Share of groups whose largest weight is 5 times their root mean square, and the worst.

    Args:
        weight: [outputs, inputs].
        group: inputs that share a scale.
    """
    width = group if weight.shape[1] % group == 0 else weight.shape[1]
    groups = weight.float().reshape(-1, width)
    over = groups.abs().amax(1) / groups.square().mean(1).sqrt().clamp(min=1e-12)
    return float((over > _CREST).float().mean()), float(over.max())


def side_by_side(
    model: FloatModel,
    weights: Mapping[str, Any],
    layers: Sequence[LayerNoise],
    prompts: Sequence[Prompt],
    advance: Callable[[int], None] | None = None,
) -> None:
    """Sum up power, signal and noise of each layer, on inputs of the float model."""
    by_name = {layer.name: layer for layer in layers}

    def listen(name: str, inputs: Any, outputs: Any) -> None:
        layer, error = by_name[name], weights[name].to(inputs) - model.weight(name)
        layer.power = layer.power + inputs.square().sum(0)
        layer.signal += float(outputs.square().sum())
        layer.noise += float((inputs @ error.T).square().sum())

    with model.listening(listen):
        for prompt in prompts:
            model.nats([prompt])
            if advance:
                advance(1)


def each_alone(
    model: FloatModel,
    weights: Mapping[str, Any],
    prompts: Sequence[Prompt],
    advance: Callable[[int], None] | None = None,
) -> dict[str, Cost]:
    """Of each layer, what it costs the text with it alone quantized."""
    with model.remembering():
        meant = model.logprobs(prompts)
    before = nats(meant, prompts)
    cost = {}
    for name, weight in weights.items():
        with model.put({name: weight}):
            said = model.logprobs(prompts, changed=name)
        cost[name] = Cost(divergence(meant, said), nats(said, prompts) - before)
        if advance:
            advance(1)
    return cost


def stand_out(cost: Mapping[str, Cost]) -> list[str]:
    """Layers that cost clearly more than the next (`alone.flagged`), a nat being 0 dB."""
    return flag({name: {"nats": -each.db} for name, each in cost.items()})


def _crested(layers: Sequence[LayerNoise]) -> Iterator[Finding]:
    for layer in layers:
        if layer.crested > _CRESTED:
            yield Finding(
                cause="outlier weights",
                ops=(layer.name,),
                place=layer.place,
                text=f"{layer.kind}: in {layer.crested:.1%} of its groups one weight is over "
                f"{_CREST:.0f} times the group's root mean square, up to {layer.crest:.1f}: the "
                "others share few levels",
                numbers={"groups": round(layer.crested, 5), "crest": round(layer.crest, 2)},
                remedy="more bits for it, or smaller groups",
                weight=20 * math.log10(layer.crest),
            )


def _loud(layers: Sequence[LayerNoise]) -> Iterator[Finding]:
    for layer in layers:
        channel, times = layer.loudest
        if times > _LOUD:
            yield Finding(
                cause="outlier channel",
                ops=(layer.name,),
                place=layer.place,
                text=f"{layer.kind}: channel {channel} of its input has {times:.3g} times the "
                "power of the median channel, so that the error of one column is the layer's",
                numbers={"channel": channel, "times": round(times, 1)},
                remedy="desc_act, which rounds loud channels first, or more bits for it",
                weight=5 * math.log10(times),
            )


def _noisy(layers: Sequence[LayerNoise]) -> Iterator[Finding]:
    """Layers whose output is a bit worse off than most."""
    usual = median(layer.snr_db for layer in layers)
    for layer in layers:
        if layer.snr_db < usual - _BELOW_DB:
            yield Finding(
                cause="noisy layer",
                ops=(layer.name,),
                place=layer.place,
                text=f"{layer.kind}: its output stands {layer.snr_db:.1f} dB above the noise of "
                f"its weights, the median layer's {usual:.1f}",
                numbers={"snr_db": round(layer.snr_db, 2), "median_db": round(usual, 2)},
                remedy="more bits for it",
                weight=usual - layer.snr_db,
            )


def _sensitive(
    layers: Sequence[LayerNoise], cost: Mapping[str, Cost], flagged: Sequence[str]
) -> Iterator[Finding]:
    for layer in layers:
        if layer.name not in flagged:
            continue
        alone = cost[layer.name]
        known = {"divergence": alone.divergence, "nats": alone.nats}
        yield Finding(
            cause="sensitive layer",
            ops=(layer.name,),
            place=layer.place,
            text=f"{layer.kind}: quantized alone it moves next tokens by {alone.divergence:.4f} "
            f"nats, the passages' perplexity by {math.expm1(min(alone.nats, 50)):+.2%}",
            numbers={name: round(n, 6) for name, n in known.items() if math.isfinite(n)},
            remedy="more bits for it",
            weight=_HARMLESS_DB + alone.db,
        )
