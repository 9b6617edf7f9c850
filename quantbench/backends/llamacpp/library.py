"""The one door to llama.cpp: its binding, started once, its log kept instead of printed."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

from quantbench.core.plugins import missing_extra
from quantbench.errors import PredictionError

if TYPE_CHECKING:
    from pathlib import Path

_KEPT_LINES = 200
_DEBUG, _WARNING, _CONTINUED = 1, 3, 5  # enum ggml_log_level
_log: deque[tuple[int, str]] = deque(maxlen=_KEPT_LINES)  # of the process, as llama.cpp's own is
_SHOWN_LINES = 6
_LIKELY = {
    "unknown model architecture": "this llama.cpp does not know the architecture: update "
    "llama-cpp-python",
    "unknown pre-tokenizer": "this llama.cpp does not know the tokenizer: update llama-cpp-python",
    "failed to allocate": "it needs more memory than there is",
    "requires an importance matrix": "take the scheme with an importance matrix, its name with "
    "_im at the end",
    "corrupted": "fetch the file again",
    "missing tensor": "the file is not whole: fetch it again, or write it again",
}


@cache
def llama() -> Any:
    """The binding's C functions, `llama_cpp.llama_cpp`.

    Raises:
        MissingExtraError: the extra `llamacpp` is not installed.
        PredictionError: the library that was compiled for it cannot be loaded.
    """
    try:
        import llama_cpp.llama_cpp as library
    except ModuleNotFoundError as error:
        if lack := missing_extra((error.name or "").partition(".")[0]):
            raise lack from error
        raise
    except (ImportError, OSError, RuntimeError) as error:
        raise PredictionError(
            "llama.cpp's library cannot be loaded",
            got=f"{type(error).__name__}: {error}",
            remedy="compile it for this machine: pip install --force-reinstall --no-deps "
            "--no-cache-dir llama-cpp-python",
        ) from error
    library.llama_log_set(_kept(library), None)
    library.llama_backend_init()
    return library


@cache  # C keeps the pointer alone
def _kept(library: Any) -> Any:
    """What llama.cpp calls with each piece of its log; its notes for debugging are dropped."""
    last = _DEBUG

    def keep(level: int, text: bytes, _: Any) -> None:
        nonlocal last
        last = last if level == _CONTINUED else level
        if last == _DEBUG:
            return
        said = text.decode(errors="replace")
        if level == _CONTINUED:
            with suppress(IndexError):  # another thread may have cleared it
                said = _log.pop()[1] + said
        _log.append((last, said))

    return library.llama_log_callback(keep)


def log_lines(least: int = 0) -> list[str]:
    """The last lines that llama.cpp said, of a level and above, without the empty ones."""
    return [line.strip() for level, line in list(_log) if level >= least and line.strip(" .\n")]


def refused(what: str, where: Path | str) -> PredictionError:
    """An error of llama.cpp's, with what it said last."""
    said = (log_lines(_WARNING) or log_lines())[-_SHOWN_LINES:]
    whole = " ".join(log_lines()).lower()
    likely = (remedy for sign, remedy in _LIKELY.items() if sign in whole)
    return PredictionError(
        what,
        where=where,
        got="; ".join(said)[-1500:] or "nothing was said",
        remedy=next(likely, "see the message: it is llama.cpp's own"),
    )


def forget_log() -> None:
    """Before a call whose log is to be read."""
    _log.clear()
