"""A GGUF file in llama.cpp: its tokenizer, its sizes, and contexts that score tokens."""

from __future__ import annotations

import ctypes
import re
from contextlib import closing
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from quantbench.backends.llamacpp.kernels import packed_kernels_work
from quantbench.backends.llamacpp.library import forget_log, llama, log_lines, refused
from quantbench.backends.llamacpp.threads import in_own_thread
from quantbench.errors import MissingDeviceError, PredictionError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray

    from quantbench.core.settings import Device

_F32 = 0  # enum ggml_type
_TOGETHER = 512  # tokens computed at once, llama.cpp's own default
_DISABLED = 0  # enum llama_flash_attn_type
_MEMORY = re.compile(r"(?P<what>KV|RS|compute|output) +buffer size = +(?P<mib>[\d.]+) MiB")


class Model:
    """A loaded GGUF file."""

    def __init__(
        self,
        path: Path,
        device: Device = "cpu",
        *,
        vocabulary_only: bool = False,
        packed: bool | None = None,
    ) -> None:
        """Load a file whose header was checked (`quantbench/formats/gguf_header.py`).

        Args:
            path: of the file.
            device: that it runs on.
            vocabulary_only: load the tokenizer and no weights.
            packed: lay weights out for the processor's widest instructions; by default where that
                works (`kernels.py`).

        Raises:
            PredictionError: llama.cpp cannot load it.
            MissingDeviceError: it is to run on a GPU, and llama.cpp was compiled without one.
        """
        library = llama()
        if device == "cuda" and not library.llama_supports_gpu_offload():
            raise MissingDeviceError(
                "llama.cpp was compiled for the processor alone",
                remedy='compile it for the GPU: CMAKE_ARGS="-DGGML_CUDA=on" pip install '
                "--force-reinstall --no-deps --no-cache-dir llama-cpp-python",
            )
        if packed is None:
            packed = not vocabulary_only and packed_kernels_work()
        forget_log()
        params = library.llama_model_default_params()
        params.n_gpu_layers = -1 if device == "cuda" else 0
        params.vocab_only = vocabulary_only
        params.use_extra_bufts = self.packed = packed
        self.path = path
        self._model = library.llama_model_load_from_file(str(path).encode(), params)
        if not self._model:
            raise refused("llama.cpp cannot load the model", path)
        self._vocabulary = library.llama_model_get_vocab(self._model)
        self.vocabulary_size = int(library.llama_vocab_n_tokens(self._vocabulary))
        self.context_tokens = int(library.llama_model_n_ctx_train(self._model))

    @property
    def start(self) -> int | None:
        """The token that the tokenizer puts before a text; None where it puts none."""
        adds = llama().llama_vocab_get_add_bos(self._vocabulary)
        return int(llama().llama_vocab_bos(self._vocabulary)) if adds else None

    @property
    def weights_bytes(self) -> int:
        """Of all tensors, as they are stored."""
        return int(llama().llama_model_size(self._model))

    @property
    def description(self) -> str:
        """llama.cpp's own: `llama 135M Q4_K - Medium`."""
        text = ctypes.create_string_buffer(256)
        llama().llama_model_desc(self._model, text, len(text))
        return text.value.decode(errors="replace")

    def tokens(self, text: str) -> list[int]:
        """Tokens of a text, with those that the tokenizer adds, special ones read as such.

        Raises:
            PredictionError: llama.cpp cannot tokenize it.
        """
        written = text.encode()
        room = len(written) + 16
        found = (ctypes.c_int32 * room)()
        n = llama().llama_tokenize(self._vocabulary, written, len(written), found, room, True, True)
        if n < 0:
            raise refused("llama.cpp cannot tokenize a text", self.path)
        return list(found[:n])

    def text(self, token: int) -> str:
        """A token as it is written in the vocabulary."""
        said = llama().llama_vocab_get_text(self._vocabulary, token)
        return said.decode(errors="replace") if said else ""

    def close(self) -> None:
        """Give the weights back; all contexts must be closed."""
        if self._model:
            llama().llama_model_free(self._model)
            self._model = None

    def __enter__(self) -> Self:
        """Open."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closed."""
        self.close()

    def context(
        self,
        tokens: int,
        *,
        threads: int,
        sequences: int = 1,
        outputs: int = 1,
        exact: bool = False,
        watch: Any = None,
    ) -> Context:
        """Memory of so many tokens, of all sequences together.

        Args:
            tokens: that it holds, and that are decoded at once at most.
            threads: of the processor.
            sequences: at once at most.
            outputs: positions of one decoding whose logits are kept at most.
            exact: keep keys and values in float32, and sum attention in float32; by default both
                are rounded to float16 (flash attention), as llama.cpp does.
            watch: `ggml_backend_sched_eval_callback`, called with each tensor that is computed.

        Raises:
            PredictionError: there is no memory for it.
        """
        library = llama()
        params = library.llama_context_default_params()
        params.n_ctx = params.n_batch = tokens
        params.n_ubatch = min(tokens, _TOGETHER)  # attention's memory grows with it
        params.n_seq_max, params.kv_unified = sequences, True
        # One a sequence is the least that llama.cpp asserts.
        params.n_outputs_max = params.n_outputs_max_per_seq = max(outputs, sequences)
        params.n_threads = params.n_threads_batch = threads
        if exact:
            params.type_k = params.type_v = _F32
            params.flash_attn_type = _DISABLED
        if watch is not None:
            params.cb_eval = watch
        forget_log()
        opened = library.llama_init_from_model(self._model, params)
        if not opened:
            raise refused("llama.cpp has no memory for the context", self.path)
        return Context(self, opened, tokens, outputs, memory_bytes(log_lines()))


def memory_bytes(lines: Sequence[str]) -> dict[str, int]:
    """Bytes of a new context by what they are for, as llama.cpp's log says: KV, compute, output."""
    found: dict[str, int] = {}
    for line in lines:
        if match := _MEMORY.search(line):
            name = match["what"].lower()
            found[name] = found.get(name, 0) + round(float(match["mib"]) * 2**20)
    return found


class Context:
    """Memory of sequences of tokens, and the logits of the last decoding."""

    def __init__(
        self, model: Model, opened: Any, tokens: int, outputs: int, memory: dict[str, int]
    ) -> None:
        """Of `Model.context`."""
        self.model, self.size, self.outputs, self.memory_bytes = model, tokens, outputs, memory
        self._opened = opened
        self._memory = llama().llama_get_memory(opened)

    def decode(
        self,
        tokens: NDArray[np.int32],
        positions: NDArray[np.int32],
        sequences: NDArray[np.int32],
        wanted: NDArray[np.int8],
    ) -> NDArray[np.float32]:
        """Logits where they are wanted, [wanted, vocabulary].

        Args:
            tokens: of all sequences, [n].
            positions: of each in its sequence, [n].
            sequences: number of each one's sequence, [n].
            wanted: 1 where logits are wanted, [n].

        Raises:
            PredictionError: llama.cpp failed, or the context is closed.
        """
        library, n = llama(), len(tokens)
        if not self._opened:
            raise PredictionError("the context is closed", where=self._where)
        tokens, positions, sequences = (
            np.ascontiguousarray(each, np.int32) for each in (tokens, positions, sequences)
        )
        wanted, one = np.ascontiguousarray(wanted, np.int8), np.ones(n, np.int32)
        places = (sequences.ctypes.data + 4 * np.arange(n)).astype(np.uintp)  # a pointer each
        int32 = ctypes.POINTER(ctypes.c_int32)
        batch = library.llama_batch(
            n_tokens=n,
            token=tokens.ctypes.data_as(int32),
            pos=positions.ctypes.data_as(int32),
            n_seq_id=one.ctypes.data_as(int32),
            seq_id=places.ctypes.data_as(ctypes.POINTER(int32)),
            logits=wanted.ctypes.data_as(ctypes.POINTER(ctypes.c_int8)),
        )
        if status := in_own_thread(lambda: library.llama_decode(self._opened, batch)):
            raise refused(f"llama.cpp failed to decode {n} tokens (status {status})", self._where)
        outputs, size = int(wanted.sum()), self.model.vocabulary_size
        if not outputs:
            return np.empty((0, size), np.float32)
        found = library.llama_get_logits(self._opened)
        return np.ctypeslib.as_array(found, shape=(outputs, size))

    def continue_with(
        self, tokens: Sequence[int], start: int = 0, *, all_logits: bool = False
    ) -> NDArray[np.float32]:
        """Logits after the next tokens of one sequence: of the last, or of all.

        Args:
            tokens: that come next, [n].
            start: position of the first.
            all_logits: of all tokens, [n, vocabulary]; else of the last, [1, vocabulary].

        Raises:
            PredictionError: llama.cpp failed.
        """
        n = len(tokens)
        wanted = np.full(n, int(all_logits), np.int8)
        wanted[-1] = 1
        positions = np.arange(start, start + n, dtype=np.int32)
        return self.decode(np.array(tokens, np.int32), positions, np.zeros(n, np.int32), wanted)

    @property
    def _where(self) -> Path:
        return self.model.path

    def clear(self) -> None:
        """Forget all sequences."""
        llama().llama_memory_clear(self._memory, False)

    def crop(self, length: int) -> None:
        """Forget what the first sequence holds from a position on.

        Raises:
            PredictionError: this model's memory cannot be cropped.
        """
        if not llama().llama_memory_seq_rm(self._memory, 0, length, -1):
            raise PredictionError(
                "the model's memory cannot be cropped",
                where=self._where,
                remedy="it is recurrent: its decoding cannot be timed this way",
            )

    def close(self) -> None:
        """Give the memory back: from here on it holds no token."""
        if self._opened:
            llama().llama_free(self._opened)
            self._opened = self._memory = None
            self.size = self.outputs = 0


def run_once(path: Path) -> None:
    """Load a file and run two tokens through it: in a process of its own for files from outside.

    Raises:
        PredictionError: llama.cpp cannot.
    """
    with Model(path) as model, closing(model.context(32, threads=1)) as context:
        said = context.continue_with([0, min(1, model.vocabulary_size - 1)])
        if not np.isfinite(said).all():
            raise PredictionError(
                "the model answers NaN or infinity",
                where=path.name,
                remedy="its weights are broken: fetch or write it again",
            )
