"""Energy of an NVIDIA GPU, by its own counter (Volta and later)."""

from __future__ import annotations

from quantbench.errors import MeterError


class Nvml:
    """The whole board that torch uses, its idle power included, in steps of 20 to 100 ms."""

    name = "NVML"

    def __init__(self) -> None:
        """Find the board.

        Raises:
            MeterError: the client is not installed, or the board does not count.
        """
        try:
            import pynvml
            import torch
        except ModuleNotFoundError as error:
            raise MeterError(
                "the GPU's energy counter cannot be asked",
                got=f"{error.name} is not installed",
                remedy='pip install "quantbench[gpu]"',
            ) from error
        if not torch.cuda.is_available():
            raise MeterError(
                "the GPU's energy counter cannot be asked",
                got=f"torch {torch.__version__} sees no GPU",
                remedy="install a torch that was built for CUDA: it says which board is used",
            )
        self._torch, self._nvml = torch, pynvml
        number = torch.cuda.current_device()
        try:
            pynvml.nvmlInit()
            # NVML counts all boards, torch those that it is shown: the UUID is the same in both.
            uuid = f"GPU-{torch.cuda.get_device_properties(number).uuid}"
            self._board = pynvml.nvmlDeviceGetHandleByUUID(uuid)
        except pynvml.NVMLError as error:
            raise self._silent(error) from error
        self.counts = f"the whole board of GPU {number}"
        self.joules()

    def joules(self) -> float:
        """Since the driver was loaded. What was launched before is finished first.

        Raises:
            MeterError: the board does not say.
        """
        self._torch.cuda.synchronize()
        try:
            return int(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._board)) / 1000
        except self._nvml.NVMLError as error:
            raise self._silent(error) from error

    @staticmethod
    def _silent(error: Exception) -> MeterError:
        return MeterError(
            "NVML does not count this GPU's energy",
            expected="a board of the Volta generation or later, not shared by MIG or vGPU",
            got=f"{type(error).__name__}: {error}",
        )
