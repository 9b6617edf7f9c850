"""Causal language models by transformers, GPTQ checkpoints by gptqmodel."""

from __future__ import annotations

import json
import sys
import warnings
from contextlib import redirect_stdout
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from quantbench.backends.transformers.dense import check_same, dense_model
from quantbench.backends.transformers.hqq_files import load_hqq
from quantbench.backends.transformers.llama import LlamaScorer
from quantbench.backends.transformers.recovering import adapters
from quantbench.backends.transformers.scoring import hidden_states, plain, score, score_all
from quantbench.backends.transformers.weights import (
    held_bits,
    kernels,
    loaded_bytes,
    stored_bytes,
    stored_names,
)
from quantbench.errors import PredictionError
from quantbench.measure.devices import (
    MORE_MEMORY,
    device_name,
    float_type,
    is_out_of_memory,
    require_cuda,
)
from quantbench.protocols import Facts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from quantbench.backends.transformers.scoring import Answer, Hidden
    from quantbench.core.settings import Machine
    from quantbench.data.prompts import Prompt

# Two right ways to a logit differ by what bfloat16 rounds; a wrong one by its size.
_TOLERANCE = {"float32": 1e-4, "float16": 0.005, "bfloat16": 0.03}
_DECODED_TOKENS = 16
# gptqmodel's, the first that can be had: Triton's take 2, 4 and 8 bits, torch's all.
_KERNELS = {"cpu": ("AUTO",), "cuda": ("AUTO", "GPTQ_TRITON", "GPTQ_TORCH")}


class CausalLMRunner:
    """A checkpoint folder, packed or float, opened for scoring targets.

    Float checkpoints run in the type that the scheme names (`runner.json`), or in bfloat16 where
    the processor multiplies it, else in float32.
    """

    tools = ("torch", "transformers", "gptqmodel", "bitsandbytes", "hqq", "torchao")
    devices = ("cpu", "cuda")

    @staticmethod
    def variant(machine: Machine) -> str:
        """The device, the float type that it multiplies fast, and the version of the scoring."""
        return f"{machine.device} {float_type(machine.device)} 5"

    def __init__(self, folder: Path, machine: Machine) -> None:
        """Load the model.

        Raises:
            MissingDeviceError: it is to run on a GPU, and there is none.
            PredictionError: the folder is no checkpoint that transformers or gptqmodel can load,
                or its forward pass is not one that scoring knows.
        """
        import torch

        if machine.device == "cuda":
            require_cuda()
        torch.set_num_threads(machine.threads)
        self._machine = machine
        self._folder = folder
        try:
            config = json.loads((folder / "config.json").read_text())
            chosen = folder / "runner.json"
            self._chosen = json.loads(chosen.read_text()) if chosen.exists() else {}
            packed = config.get("quantization_config", {})
            self._method = self._chosen.get("packed_by", packed.get("quant_method"))
            self._model = self._load_gptq() if self._method == "gptq" else self._load()
            adapters.attach_stored(self._model, folder)
            self._model.eval()
            self._check_head()
        except (OSError, ValueError, RuntimeError, KeyError, AttributeError) as error:
            raise PredictionError(
                "cannot load the language model",
                where=folder,
                expected="a checkpoint folder with config.json and safetensors",
                got=f"{type(error).__name__}: {error}",
                remedy=MORE_MEMORY if is_out_of_memory(error) else None,
            ) from error

    def predict(self, prepared: Prompt) -> Answer:
        """Score one prompt: one forward pass of transformers' over its tokens (batch 1).

        The answer has left the device when this returns, so a clock around it has waited for it.
        """
        return score(self._model, plain(self._model), [prepared])[0]

    def predict_all(self, prepared: Iterable[Prompt]) -> Iterator[Answer]:
        """Score prompts in batches of similar length; the answers keep the given order.

        A packed model is scored through its unpacked weights, once every layer has shown that
        the packed kernel computes the same. Adapters stay beside both, and are compared with
        those that are stored.
        """
        prompts = list(prepared)
        if prompts:
            self._check_tokens(prompts)
            model, hidden = self._scorer
            alone = self._machine.device == "cpu" and isinstance(hidden, LlamaScorer)
            threads = self._machine.threads if alone else 1
            yield from score_all(model, hidden, prompts, threads=threads)

    def decoder(self, prepared: Prompt) -> Callable[[], None]:
        """A callable that generates the next 16 tokens after a prompt that is already in the cache.

        Each token is one forward pass over the one before it (batch 1, greedy), as in generation.
        """
        import torch

        model, tokens = self._model, torch.tensor([prepared.tokens], device=self._model.device)
        with torch.inference_mode():
            first = model(input_ids=tokens, use_cache=True)
        cache, length = first.past_key_values, len(prepared.tokens)
        start = first.logits[:, -1:].argmax(-1)

        def decode() -> None:
            if (said_before := cache.get_seq_length() - length) > 0:
                cache.crop(-said_before)
            said = start
            with torch.inference_mode():
                for _ in range(_DECODED_TOKENS):
                    answer = model(input_ids=said, past_key_values=cache, use_cache=True)
                    said = answer.logits[:, -1:].argmax(-1)
            said.tolist()  # waits for the device

        decode.tokens = _DECODED_TOKENS  # type: ignore[attr-defined]
        return decode

    @property
    def model(self) -> Any:
        """The model as it was loaded, packed or not."""
        return self._model

    def facts(self) -> Facts:
        """Threads, device, kernels, float type, and what the weights weigh."""
        return Facts(
            threads=self._machine.threads,
            weights_bytes=self._weights_bytes,
            kernel=kernels(self._model),
            device=self._machine.device,
            evaluated_as="unpacked weights" if self._method == "gptq" else "stored",
            more={
                "device_name": device_name(self._machine.device),
                "kernel_bits_per_weight": held_bits(self._model),
                "dtype": str(self._model.dtype).removeprefix("torch."),
                "memory_footprint_bytes": self._model.get_memory_footprint(),
                **self._adapter_facts(),
            },
        )

    @cached_property
    def _weights_bytes(self) -> int:
        """Of a packed checkpoint what is in its files, of a float one what is loaded.

        A kernel may repack to a wider type when it loads; files may hold another float type.
        """
        if not self._method:
            return loaded_bytes(self._model)
        return stored_bytes(self._folder) + adapters.stored_bytes(self._folder)

    def _adapter_facts(self) -> dict[str, int]:
        """Bytes of the adapters as they are stored, where there are some."""
        size = adapters.stored_bytes(self._folder)
        return {"adapter_bytes": size} if size else {}

    def close(self) -> None:
        """Drop the weights."""
        import gc

        import torch

        self.__dict__.pop("_scorer", None)
        del self._model
        gc.collect()
        if self._machine.device == "cuda":
            torch.cuda.empty_cache()

    @cached_property
    def _scorer(self) -> tuple[Any, Hidden]:
        """The model that evaluation asks, and the checked way to its hidden states."""
        model = self._model
        if self._method == "gptq":
            model = dense_model(self._folder, self._model.dtype, self._machine.device)
            adapters.attach_stored(model, self._folder)
            check_same(self._model, model, self._folder)
        for each in {id(each): each for each in (self._model, model)}.values():
            adapters.check_adapters(each, self._folder)
        hidden = hidden_states(model)
        if isinstance(hidden, LlamaScorer):
            error, most = hidden.relative_error(_probe(model)), _tolerance(model)
            if not error <= most:  # NaN is a disagreement too
                raise PredictionError(
                    "scoring computes other layers than the model's own forward pass",
                    where=self._folder,
                    expected=f"outputs within {most:.2%} of each other",
                    got=f"{error:.2%} apart",
                    remedy="report it: this architecture differs from the Llama that it says it is",
                )
        return model, hidden

    def _load(self) -> Any:
        """A float checkpoint, or one that transformers itself knows how to unpack."""
        from transformers import AutoModelForCausalLM

        if self._method == "hqq":
            return load_hqq(self._folder, self._machine.device)
        dtype = self._chosen.get("dtype", float_type(self._machine.device))
        model, found = AutoModelForCausalLM.from_pretrained(
            self._folder,
            dtype="auto" if self._method else dtype,
            # On a GPU "auto" spreads what does not fit over other devices and memory.
            device_map="auto" if self._machine.device == "cuda" else None,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
        _check_whole([*found["missing_keys"], *found["mismatched_keys"]])
        return model

    def _load_gptq(self) -> Any:
        with redirect_stdout(sys.stderr):  # gptqmodel's banner and log
            model = self._with_kernels()
        model.tie_weights()  # not done where the head is left out of the files
        stored = stored_names(self._folder)
        _check_whole([name for name, _ in model.named_parameters() if name not in stored])
        return model

    def _with_kernels(self) -> Any:
        """By the library's first choice of kernels, or by others that are not compiled from C++.

        On a GPU its first choice may be fetched and compiled when a model is opened.
        """
        from gptqmodel import BACKEND, GPTQModel

        *choices, last = _KERNELS[self._machine.device]
        load = partial(
            GPTQModel.load, str(self._folder), device=self._machine.device, trust_remote_code=False
        )
        for choice in choices:
            try:
                return load(backend=BACKEND[choice]).model
            except (OSError, ValueError, RuntimeError, NotImplementedError) as error:
                if is_out_of_memory(error):
                    raise
                warnings.warn(
                    f"{self._folder}: gptqmodel's kernels {choice} cannot be had "
                    f"({type(error).__name__}: {error}); others are timed, the record names them",
                    stacklevel=2,
                )
        return load(backend=BACKEND[last]).model

    def _check_head(self) -> None:
        """Make sure that `lm_head` is all that stands between hidden states and logits.

        Some families scale or cap their logits in `forward`; projecting target positions alone
        would leave that out, and nothing but perplexity would tell.

        Raises:
            ValueError: the shortcut gives other logits than the model's own forward pass, or
                these are no numbers.
        """
        hidden = plain(self._model)
        error = _relative_error(self._model, lambda tokens: hidden(tokens, *_everywhere(tokens)))
        if not error <= _tolerance(self._model):  # NaN is a disagreement too
            raise ValueError("its forward pass changes the logits after lm_head, or answers NaN")

    def _check_tokens(self, prompts: list[Prompt]) -> None:
        known = self._model.config.vocab_size
        highest = max(max(prompt.tokens) for prompt in prompts)
        if highest >= known:
            raise PredictionError(
                "the tokenizer is another model's",
                where=self._folder,
                expected=f"token ids below {known}, the rows of the embedding",
                got=f"id {highest}",
                remedy="put the model's own tokenizer files beside its weights",
            )


def _check_whole(lacking: list[str]) -> None:
    """The libraries leave layers without weights random, and only print it."""
    if lacking:
        raise ValueError(f"no weights for {len(lacking)} of its tensors, e.g. {lacking[0]}")


def _relative_error(model: Any, hidden: Callable[[Any], Any]) -> float:
    """Relative distance of the logits behind `hidden` to those of the model's forward pass."""
    import torch

    tokens = _probe(model)
    with torch.inference_mode():
        meant = model(input_ids=tokens, use_cache=False).logits.float().flatten(0, 1)
        said = model.get_output_embeddings()(hidden(tokens)).float()
    return float((said - meant).norm() / meant.norm())


def _probe(model: Any) -> Any:
    """Tokens out of the whole vocabulary: the first ids are often special, and behave so."""
    import torch

    generator = torch.Generator().manual_seed(0)
    return torch.randint(model.config.vocab_size, (2, 24), generator=generator).to(model.device)


def _everywhere(tokens: Any) -> tuple[Any, Any]:
    """Rows and positions of every token."""
    import torch

    rows, positions = torch.ones_like(tokens).nonzero(as_tuple=True)
    return rows, positions


def _tolerance(model: Any) -> float:
    return _TOLERANCE[str(model.dtype).removeprefix("torch.")]
