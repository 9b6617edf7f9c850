"""GGUF models on this machine's processor or GPU, by llama.cpp."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from quantbench.backends.llamacpp.files import MODEL, stored_types
from quantbench.backends.llamacpp.kernels import packed_kernels_work
from quantbench.backends.llamacpp.library import llama
from quantbench.backends.llamacpp.model import Model
from quantbench.backends.llamacpp.scoring import batches, score, targets
from quantbench.backends.llamacpp.threads import own_threads
from quantbench.backends.llamacpp.tokens import check_tokens
from quantbench.errors import PredictionError
from quantbench.formats.gguf_header import read_header
from quantbench.measure.processor import instruction_sets
from quantbench.protocols import Facts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from quantbench.backends.llamacpp.model import Context
    from quantbench.backends.llamacpp.scoring import Answer
    from quantbench.core.settings import Machine
    from quantbench.data.prompts import Prompt

_DECODED_TOKENS = 16
_CONTEXT_TOKENS = 2048  # held from the start; longer prompts get a longer one
_BATCH_TOKENS = 512  # that a core scores at once
_SEQUENCES = 16  # in one batch at most
_SCORING = 1  # raised whenever it would answer something else
_STEP = 256  # tokens by which a context grows


class LlamaCppRunner:
    """One `model.gguf`, opened for scoring targets and for generating.

    Attention runs as llama.cpp does by default, its keys and values in float16; that of a float32
    model in float32.
    """

    tools = ("llama-cpp-python",)
    devices = ("cpu", "cuda")

    @staticmethod
    def variant(machine: Machine) -> str:
        """The device, and of a processor its instruction sets and which kernels run on them."""
        if machine.device == "cuda":
            return f"cuda {_SCORING}"
        kinds = "packed" if packed_kernels_work() else "plain"
        return f"cpu {' '.join(instruction_sets())} {kinds} {_SCORING}"

    def __init__(self, folder: Path, machine: Machine) -> None:
        """Load the model.

        Raises:
            PredictionError: there is no GGUF file that llama.cpp can load.
            MissingDeviceError: llama.cpp was compiled without the device.
        """
        path = folder / MODEL
        if not path.is_file():
            raise PredictionError("no GGUF model", where=folder, expected=MODEL)
        self._exact = set(stored_types(read_header(path))) == {"F32"}
        self._machine = machine
        self._model = Model(path, machine.device)
        self._read: dict[str, list[int]] = {}  # tokens of the last text
        self._generating: list[Context] = []
        try:
            self._context = self._opened(min(_CONTEXT_TOKENS, self._model.context_tokens))
        except PredictionError:
            self._model.close()
            raise

    def predict(self, prepared: Prompt) -> Answer:
        """Score one prompt: its tokens in one batch, all threads."""
        check_tokens(self._model, [prepared], self._read)
        context = self._roomy(len(prepared.tokens), targets(prepared))
        return score(context, [prepared])[0]

    def predict_all(self, prepared: Iterable[Prompt]) -> Iterator[Answer]:
        """Score prompts in batches of similar length, one a core; answers keep the given order."""
        prompts = list(prepared)
        check_tokens(self._model, prompts, self._read)
        if not prompts:
            return
        tokens = max(_BATCH_TOKENS, *(len(prompt.tokens) for prompt in prompts))
        found = list(batches(prompts, tokens, _SEQUENCES))
        outputs = max(sum(targets(prompts[i]) for i in batch) for batch in found)
        workers = min(self._workers, len(found))
        local, opened = threading.local(), []

        def open_own() -> None:
            local.context = self._model.context(
                _stepped(tokens),
                threads=self._machine.threads // workers or 1,
                sequences=_SEQUENCES,
                outputs=outputs,
                exact=self._exact,
            )
            opened.append(local.context)

        def answered(batch: list[int]) -> list[Answer]:
            if not hasattr(local, "context"):
                open_own()
            return score(local.context, [prompts[i] for i in batch])

        answers: dict[int, Answer] = {}
        try:
            with own_threads(workers) as pool:
                for batch, some in zip(found, pool.map(answered, found), strict=True):
                    answers.update(zip(batch, some, strict=True))
        finally:
            for context in opened:
                context.close()
        yield from (answers[i] for i in range(len(prompts)))

    @property
    def _workers(self) -> int:
        """Contexts that score at once: one a core, which share the weights."""
        return self._machine.threads if self._machine.device == "cpu" else 1

    def decoder(self, prepared: Prompt) -> Callable[[], None]:
        """A callable that generates the next 16 tokens after a prompt that is already in memory.

        Each token is one decoding of the one before it (greedy), as in generation. The prompt is
        held in a context of its own: what is scored in between does not disturb it.
        """
        length = len(prepared.tokens)
        context = self._opened(_stepped(length + _DECODED_TOKENS + 1))
        self._generating.append(context)
        start = int(context.continue_with(prepared.tokens)[0].argmax())

        def decode() -> None:
            context.crop(length)
            token = start
            for place in range(length, length + _DECODED_TOKENS):
                token = int(context.continue_with([token], place)[0].argmax())

        decode.tokens = _DECODED_TOKENS  # type: ignore[attr-defined]
        return decode

    def facts(self) -> Facts:
        """Threads, device, kernels, bytes of weights, and memory as llama.cpp reports it."""
        said = llama().llama_print_system_info().decode(errors="replace")
        return Facts(
            threads=self._machine.threads,
            weights_bytes=self._model.weights_bytes,
            kernel="llama.cpp",
            device=self._machine.device,
            more={
                "described": self._model.description,
                "kernel_features": " ".join(said.split()),
                "context_tokens": self._context.size,
                "memory_bytes": {
                    "weights": self._model.weights_bytes,
                    **self._context.memory_bytes,
                },
                "cache_dtype": "float32" if self._exact else "float16",
                "packed_kernels": self._model.packed,
                "scoring_contexts": self._workers,
            },
        )

    def close(self) -> None:
        """Give the memory back."""
        for context in (self._context, *self._generating):
            context.close()
        self._model.close()

    def _opened(self, tokens: int, outputs: int = 1) -> Context:
        return self._model.context(
            tokens, threads=self._machine.threads, outputs=outputs, exact=self._exact
        )

    def _roomy(self, tokens: int, outputs: int) -> Context:
        """The context, exchanged for a larger one where it does not do."""
        if tokens > self._context.size or outputs > self._context.outputs:
            size = max(self._context.size, _stepped(tokens))
            outputs = max(outputs, self._context.outputs)
            self._context.close()
            self._context = self._opened(size, outputs)
        return self._context


def _stepped(tokens: int) -> int:
    """Room for so many tokens, in whole steps."""
    return -(-tokens // _STEP) * _STEP
