"""Energy of Apple's and NVIDIA's systems on a chip, by the library zeus where it is installed.

Its RAPL reader is not used: it takes each top-level zone for a processor, psys too, and its monitor
reports no energy at all where nobody may read the counters.
"""

from __future__ import annotations

from typing import Any

from quantbench.errors import MeterError

# In mJ. Fields of clusters and cores are parts of `cpu_total_mj`, and are not added to it.
_APPLE = ("cpu_total_mj", "dram_mj", "gpu_mj", "gpu_sram_mj", "ane_mj")
_JETSON_WHOLE, _JETSON_PARTS = "total_energy_mj", ("cpu_energy_mj", "gpu_energy_mj")


class SystemOnChip:
    """Apple Silicon (processor, memory, GPU and neural engine), or a Jetson (its power rails).

    A Jetson's rails have no counter: zeus reads their power about ten times a second and sums up.
    """

    name = "zeus"

    def __init__(self) -> None:
        """Find the chip.

        Raises:
            MeterError: zeus is not installed, or finds none that it can read.
        """
        try:
            from zeus.device.soc import get_soc
        except ModuleNotFoundError as error:
            raise MeterError(
                "the energy of this system on a chip is read through zeus",
                got=f"{error.name} is not installed",
                remedy='pip install "zeus[apple]" (Apple), pip install zeus (Jetson)',
            ) from error
        try:
            self._chip = get_soc()
            known = self._known()
        except Exception as error:  # of zeus' own tree, or of the system below it
            raise self._silent(error) from error
        self._fields = _fields_of(known)
        if not self._fields:
            raise self._silent(LookupError(f"it knows {', '.join(sorted(known)) or 'nothing'}"))
        words = [field.removesuffix("_mj").replace("_", " ") for field in self._fields]
        self.counts = f"{', '.join(words)} of this chip"

    def joules(self) -> float:
        """Since zeus began.

        Raises:
            MeterError: zeus fails, or lost a part.
        """
        try:
            known = self._known()
        except Exception as error:
            raise self._silent(error) from error
        if lost := [field for field in self._fields if field not in known]:
            raise self._silent(LookupError(f"it no longer knows {', '.join(lost)}"))
        return sum(known[field] for field in self._fields) / 1000

    def _known(self) -> dict[str, float]:
        found: Any = vars(self._chip.get_total_energy_consumption())
        return {
            name: float(value)
            for name, value in found.items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        }

    @staticmethod
    def _silent(error: Exception) -> MeterError:
        return MeterError(
            "zeus does not count this chip's energy", got=f"{type(error).__name__}: {error}"
        )


def _fields_of(known: dict[str, float]) -> tuple[str, ...]:
    """Those that are added up: none is part of another."""
    if "cpu_total_mj" in known:
        return tuple(field for field in _APPLE if field in known)
    if _JETSON_WHOLE in known:
        return (_JETSON_WHOLE,)
    return tuple(field for field in _JETSON_PARTS if field in known)
