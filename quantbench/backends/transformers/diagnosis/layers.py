"""A float language model whose linear layers can be listened to and exchanged, one by one."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from quantbench.backends.transformers.dense import dense_model
from quantbench.backends.transformers.recovering import adapters
from quantbench.errors import PredictionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from quantbench.data.prompts import Prompt


def packed_weights(folder: Path, dtype: Any = None) -> dict[str, Any]:
    """Unpacked weights of every quantized layer of a GPTQ checkpoint, [outputs, inputs].

    With what its adapters add, where it has some.

    Raises:
        PredictionError: it has no packed layer.
    """
    import torch

    from quantbench.backends.transformers.quantizers.gptq_mixed import stored_layers

    names = stored_layers(folder)
    twins = dict(dense_model(folder, dtype or torch.float32).named_modules())
    if not names:
        raise PredictionError("there is no packed layer to look at", where=folder)
    weights = {name: twins[name].weight.detach() for name in twins if name in names}
    for name, (down, up) in (adapters.read(folder) if adapters.has_adapter(folder) else {}).items():
        weights[name] = weights[name] + (up.float() @ down.float()).to(weights[name])
    return weights


class FloatModel:
    """A loaded checkpoint."""

    def __init__(self, model: Any, names: Sequence[str] = ()) -> None:
        """Take over a model of transformers'.

        Args:
            model: in evaluation mode.
            names: of the linear layers that matter; none means all of them.
        """
        modules = dict(model.named_modules())
        names = names or [name for name in modules if hasattr(modules[name], "in_features")]
        if lacking := [name for name in names if name not in modules]:
            raise PredictionError(
                "the quantized model has layers that the float one lacks",
                got=lacking[0],
                remedy="look at a model beside the float model that it was made of",
            )
        self.model = model
        self._layers = {name: modules[name] for name in modules if name in set(names)}
        self._blocks = _blocks(model)
        self._said: list[Any] = []

    @classmethod
    def load(cls, folder: Path, names: Sequence[str] = (), dtype: str = "float32") -> FloatModel:
        """Load a checkpoint folder; in float32, differences are those of weights alone."""
        import torch
        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=getattr(torch, dtype), use_safetensors=True, trust_remote_code=False
        )
        return cls(model.to("cuda" if torch.cuda.is_available() else "cpu").eval(), names)

    def weight(self, name: str) -> Any:
        """Of one layer, [outputs, inputs]."""
        return self._layers[name].weight.detach()

    def weights(self) -> dict[str, Any]:
        """Of all layers, in the order of the model."""
        return {name: self.weight(name) for name in self._layers}

    @contextmanager
    def put(self, weights: Mapping[str, Any]) -> Iterator[None]:
        """Other weights in these layers, for the time of the block."""
        from torch import nn

        before = {name: self._layers[name].weight for name in weights}
        try:
            for name, weight in weights.items():
                own = before[name]
                self._layers[name].weight = nn.Parameter(weight.to(own), requires_grad=False)
            yield
        finally:
            for name, parameter in before.items():
                self._layers[name].weight = parameter

    @contextmanager
    def listening(self, listen: Callable[[str, Any, Any], None]) -> Iterator[None]:
        """`listen(name, inputs, outputs)` of each layer, [tokens, channels]."""
        with ExitStack() as hooks:
            for name, layer in self._layers.items():

                def heard(_: Any, given: Any, made: Any, name: str = name) -> None:
                    listen(name, given[0].flatten(0, -2), made.flatten(0, -2))

                hooks.callback(layer.register_forward_hook(heard).remove)
            yield

    def nats(self, prompts: Sequence[Prompt]) -> float:
        """Mean negative log-likelihood of a token: the logarithm of perplexity."""
        return nats(self.logprobs(prompts), prompts)

    def logprobs(self, prompts: Sequence[Prompt], changed: str = "") -> list[Any]:
        """Of every next token at every token but the last, a passage at a time, [tokens, vocab].

        Args:
            prompts: passages, one batch; padding stands on the right, where causal attention
                hides it.
            changed: the only layer that differs from when the same passages were remembered:
                blocks before its own say again what they said.
        """
        import torch

        longest = max(len(prompt.tokens) for prompt in prompts)
        tokens = torch.zeros(len(prompts), longest, dtype=torch.long)
        for row, prompt in enumerate(prompts):
            tokens[row, : len(prompt.tokens)] = torch.tensor(prompt.tokens)
        tokens = tokens.to(self.model.device)
        with torch.inference_mode(), self._again(changed):
            states = self.model.base_model(input_ids=tokens, use_cache=False).last_hidden_state
            head = self.model.get_output_embeddings()
            return [
                head(states[row, : len(prompt.tokens) - 1]).float().log_softmax(-1)
                for row, prompt in enumerate(prompts)
            ]

    @contextmanager
    def remembering(self) -> Iterator[None]:
        """What each block of the decoder says is remembered, for `logprobs(changed=...)`."""
        self._said = []
        with ExitStack() as hooks:
            for block in self._blocks.values():
                hook = block.register_forward_hook(lambda _, __, made: self._said.append(made))
                hooks.callback(hook.remove)
            yield

    @contextmanager
    def _again(self, changed: str) -> Iterator[None]:
        """Blocks before that of the changed layer answer from memory."""
        before = []
        for place, (name, block) in enumerate(self._blocks.items() if changed else ()):
            if changed.startswith(f"{name}.") or place >= len(self._said):
                break
            block.forward = lambda *_, said=self._said[place], **__: said
            before.append(block)
        try:
            yield
        finally:
            for block in before:
                del block.forward


def nats(logprobs: Sequence[Any], prompts: Sequence[Prompt]) -> float:
    """Mean negative log-likelihood of the passages' tokens but their first."""
    import torch

    total, count = 0.0, 0
    for said, prompt in zip(logprobs, prompts, strict=True):
        meant = torch.tensor(prompt.tokens[1:], device=said.device)
        total -= float(said.gather(1, meant[:, None]).double().sum())
        count += len(meant)
    return total / count


def divergence(meant: Sequence[Any], said: Sequence[Any]) -> float:
    """Mean Kullback-Leibler divergence of the next token, in nats: of `meant` to `said`.

    What is added to the logarithm of perplexity on text as the first model would write it: the
    same as on given text, without the luck of which words those are.
    """
    total = sum(
        float((one.exp() * (one - other)).sum()) for one, other in zip(meant, said, strict=True)
    )
    return total / sum(len(one) for one in meant)


def _blocks(model: Any) -> dict[str, Any]:
    """The decoder's blocks in order: the longest list of modules that it has."""
    from torch import nn

    lists = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.ModuleList)]
    if not lists:
        return {}
    name, blocks = max(lists, key=lambda each: len(each[1]))
    return {f"{name}.{i}": block for i, block in enumerate(blocks)}
