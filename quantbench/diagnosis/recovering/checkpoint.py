"""A training on its way, in one file that is replaced at once: a kill leaves the last one whole."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Look:
    """A point of the learning curve.

    Attributes:
        step: optimizer steps done.
        seen: what was trained on so far, in tokens or samples.
        training: mean loss of the steps since the last look; None before any.
        held_out: loss on what is held out.
        agreement: with the float model there, 1 at best.
        seconds: spent so far, those before a kill included.
    """

    step: int
    seen: int
    training: float | None
    held_out: float
    agreement: float
    seconds: float

    def as_fact(self, unit: str) -> dict[str, Any]:
        """For the record, where what was seen goes by its unit."""
        told = asdict(self)
        return {"step": told.pop("step"), unit: told.pop("seen"), **told}


@dataclass
class State:
    """All that the next step depends on, but the plan.

    Attributes:
        step: optimizer steps done.
        curve: looks so far.
        best: number of the look whose weights are the best.
    """

    step: int = 0
    curve: list[Look] = field(default_factory=list)
    best: int = 0

    def add(self, look: Look) -> bool:
        """Take a look's result; returns whether it is the best so far."""
        self.curve.append(look)
        if look.held_out <= self.curve[self.best].held_out:
            self.best = len(self.curve) - 1
        return self.best == len(self.curve) - 1

    def save(self, path: Path, tensors: Mapping[str, NDArray[Any]]) -> None:
        """Replace the checkpoint file."""
        from safetensors.numpy import save_file

        told = {
            "step": self.step,
            "best": self.best,
            "curve": [asdict(each) for each in self.curve],
        }
        part = path.with_suffix(".part")
        part.parent.mkdir(parents=True, exist_ok=True)
        save_file(dict(tensors), part, metadata={"state": json.dumps(told)})
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)

    @classmethod
    def load(cls, path: Path) -> tuple[State, dict[str, NDArray[Any]]] | None:
        """State and tensors of a checkpoint file; None where there is none that can be read."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="np") as file:
                told = json.loads(file.metadata()["state"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - a handle, not a dict
            curve = [Look(**each) for each in told["curve"]]
        except (OSError, SafetensorError, ValueError, KeyError, TypeError):
            return None
        return cls(told["step"], curve, told["best"]), tensors
