"""Which accelerators this machine has, and when their memory is not enough."""

from __future__ import annotations

from quantbench.errors import MissingDeviceError

MORE_MEMORY = "memory ran out: close other programs, or study a smaller model or batch"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a framework, or quantbench of one, says in one of its ways that memory ran out."""
    said = str(error).lower()
    signs = ("out of memory", "can't allocate", MORE_MEMORY)
    return isinstance(error, MemoryError) or any(sign in said for sign in signs)


def require_cuda() -> None:
    """Make sure that there is a CUDA device.

    Raises:
        MissingDeviceError: torch is not installed or sees none.
    """
    try:
        import torch
    except ModuleNotFoundError:
        seen = "torch is not installed"
    else:
        if torch.cuda.is_available():
            return
        seen = f"torch {torch.__version__} sees none"
    raise MissingDeviceError(
        "no CUDA device", got=seen, remedy="run this test on a machine with an NVIDIA GPU"
    )


def device_name(device: str) -> str | None:
    """Of the GPU that torch uses; None of a processor, which every record names."""
    import torch

    return torch.cuda.get_device_name() if device == "cuda" else None


def float_type(device: str) -> str:
    """The one that this device multiplies fast."""
    import torch

    if device == "cuda":
        fast = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
        return "bfloat16" if fast else "float16"
    # Private, but the only place where torch says it: without these, bfloat16 is emulated.
    fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()  # noqa: SLF001
    return "bfloat16" if fast else "float32"
