"""What a quantizer must be able to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
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


@dataclass(frozen=True)
class Start:
    """What a quantizer that improves on another scheme's artifact starts from.

    Attributes:
        base: folder of that artifact.
        step: is told what is done next and of how many parts; what it returns is called with the
            number of parts done.
        kept: a file that outlives a killed build: what stands in it, the next build of the same
            artifact finds again. A build that is done has it no longer.
        trainer: the function of `Model.trainer`, where the scheme is `labelled`.
        labelled: the samples as their data set yields them, with their labels, in the order of
            those that are prepared; empty where the scheme is not `labelled`.
    """

    base: Path
    step: Callable[[str, int], Callable[[int], None]]
    kept: Path
    trainer: Callable[..., Any] | None = None
    labelled: Sequence[Any] = ()


class RecoveringQuantizer(Protocol):
    """A quantizer whose schemes improve on another scheme's artifact, which is built before.

    Its samples are of the calibration split, in the form of evaluated ones, or of the training
    split of a data set that has one (`Dataset`); none of them has calibrated that artifact or is
    evaluated. An attribute `base` tells it from others.

    It may have a method `labelled(scheme)`: whether the model's own trainer (`Model.trainer`) is
    called for this scheme. The trainer's code is then part of the artifact's key.
    """

    tools: tuple[str, ...]
    version: int
    most: int

    def base(self, scheme: Scheme) -> Scheme:
        """The scheme whose artifact it starts from."""

    def settings(self, scheme: Scheme) -> Mapping[str, Any]:
        """JSON: all that decides the result besides samples; part of the artifact's key."""

    def build(
        self,
        float_model: Path,
        scheme: Scheme,
        samples: Sequence[Any],
        folder: Path,
        start: Start,
    ) -> Mapping[str, Any]:
        """Write the whole artifact into the empty `folder`; returns JSON facts about the build.

        At most `most` samples. The same of everything gives the same files, whether or not a kill
        came between. A `learning_curve` among the facts (objects with `step`, `tokens` or
        `samples`, `training`, `held_out`, `agreement` and `seconds`) is drawn in reports.
        """
