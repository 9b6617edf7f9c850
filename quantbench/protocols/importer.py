"""What an importer must be able to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from quantbench.study import Model


class Importer(Protocol):
    """Turns a source's files into what quantizers start from.

    `tools` are the distributions whose versions are part of its identity; `version` is its own,
    raised whenever it would write something else. Of the model's description the key has the
    interface's fields that say what goes in and what comes out.

    It may have a method `answers(source, samples)`: what the framework that it starts from answers
    to prepared samples, by output name. Each float case that was made through it is then compared
    with that (`run/steps/conversion.py`), in the outputs that it names as `compared`, or in all.

    One that no backend has may name a file of rates as `rates` (`measure/rates.py`), in which it
    stands under its class's name: `quantbench plan` then knows what it takes.
    """

    tools: tuple[str, ...]
    version: int

    def build(self, model: Model, source: Path, folder: Path) -> None:
        """Write the float model of this description into the empty `folder`."""
