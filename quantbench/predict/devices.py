"""Which accelerators this machine has."""

from __future__ import annotations

from quantbench.errors import MissingDeviceError


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
