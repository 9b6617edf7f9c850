"""Which machine gave an answer: kernels of quantized models differ with the instruction sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quantbench.measure.devices import device_name
from quantbench.measure.processor import instruction_sets, processor_name

if TYPE_CHECKING:
    from collections.abc import Mapping


def machine_kind(device: str) -> dict[str, Any]:
    """What of this machine may change an answer in its last bits."""
    found: dict[str, Any] = {
        "processor": processor_name(),
        "instruction_sets": list(instruction_sets()),
    }
    return {**found, "gpu": device_name(device)} if device == "cuda" else found


def kind_in_words(machine: Mapping[str, Any]) -> str:
    """Of `machine_kind`: machines with the same words give the same answers."""
    return str(machine.get("gpu") or " ".join(machine["instruction_sets"]))


def machine_in_words(machine: Mapping[str, Any]) -> str:
    """Of `machine_kind`: its name, and all that may change an answer."""
    return " ".join([machine.get("gpu") or machine["processor"], *machine["instruction_sets"]])
