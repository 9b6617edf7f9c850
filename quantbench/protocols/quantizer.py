"""What a quantizer must be able to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from quantbench.study import Scheme


class Quantizer(Protocol):
    """Builds an artifact and checks it; `tools` and `version` as an importer's.

    It says by `calibrated`, a boolean or a method asked with the scheme, whether it calibrates.
    False promises that the artifact does not depend on any sample. Where it says nothing, schemes
    with integer activations are calibrated, and of others the samples that it is shown are part
    of the artifact's key.

    One that converts a float model may report `float_difference` among the facts of a build (how
    far the answers are from the framework's, in shares of its largest) and have a method
    `answers(float_model, samples)` that gives the framework's predictions: beyond the model's
    tolerance, what the task decodes of both is compared.
    """

    tools: tuple[str, ...]
    version: int

    def build(
        self, float_model: Path, scheme: Scheme, samples: Sequence[Any], folder: Path
    ) -> Mapping[str, Any]:
        """Write the artifact into the empty `folder`; returns JSON facts about the build.

        `samples` are prepared for the model: those to calibrate with, or, for a scheme that is
        not calibrated, at most three to check the artifact with: samples of the calibration
        split, none that is evaluated, and none at all where that split is not at hand.
        """
