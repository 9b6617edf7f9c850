"""A training on its way, in one file that is replaced at once: a kill leaves the last one whole."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True)
class Look:
    """A point of the learning curve.

    Attributes:
        step: optimizer steps done.
        tokens: trained on so far.
        training: mean divergence of the steps since the last look, in nats; None before any.
        held_out: divergence on the held-out passages, in nats.
        agreement: share of their tokens at which both models would say the same next.
        seconds: spent so far, those before a kill included.
    """

    step: int
    tokens: int
    training: float | None
    held_out: float
    agreement: float
    seconds: float


@dataclass
class State:
    """All that the next step depends on, but the plan.

    Attributes:
        step: optimizer steps done.
        curve: looks so far.
        best: number of the look whose adapters are the best.
    """

    step: int = 0
    curve: list[Look] = field(default_factory=list)
    best: int = 0

    def save(self, path: Path, tensors: Mapping[str, Any]) -> None:
        """Replace the checkpoint file."""
        from safetensors.torch import save_file

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
    def load(cls, path: Path) -> tuple[State, dict[str, Any]] | None:
        """State and tensors of a checkpoint file; None where there is none that can be read."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="pt") as file:
                told = json.loads(file.metadata()["state"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - a handle, not a dict
            curve = [Look(**each) for each in told["curve"]]
        except (OSError, SafetensorError, ValueError, KeyError, TypeError):
            return None
        return cls(told["step"], curve, told["best"]), tensors
