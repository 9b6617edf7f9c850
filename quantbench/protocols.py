"""The seams: what a quantizer, a runner, a task and a data set must be able to do.

A sample is whatever a data set yields; `Sample` is what all have in common. A row is one sample's
evidence: JSON values, with the sample's id under "id".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from quantbench.influence import Influence
    from quantbench.settings import Machine
    from quantbench.study import Model, Scheme

Row = Mapping[str, Any]


class Sample(Protocol):
    """One labelled item of a data set.

    It may have a `group`, a text or None: samples of one group are alike (frames of a video), and
    then all of a data set have one.
    """

    @property
    def id(self) -> str:
        """Unique within the data set, stable across runs."""

    @property
    def digest(self) -> str:
        """sha256 of the content as a person compares it: finds a sample in another split."""

    @property
    def fingerprint(self) -> str:
        """sha256 of content and label to the last byte: what the store's keys are made of."""


class Dataset(Protocol):
    """Samples in a fixed order, split by purpose."""

    @property
    def name(self) -> str:
        """As in a case's name."""

    @property
    def task(self) -> str:
        """The task that its samples are for."""

    @property
    def source(self) -> str | None:
        """Where its files come from, or None when it needs none."""

    @property
    def calibration_source(self) -> str | None:
        """Where calibration files come from when that is elsewhere."""

    @property
    def default_n(self) -> int:
        """Samples evaluated when nobody says how many."""

    @property
    def calibration_n(self) -> int:
        """Samples that calibrated schemes are built from."""

    def samples(self, files: Mapping[str, Path], split: str, n: int | None) -> Sequence[Any]:
        """The first `n` (None: all) samples of `split`, "evaluation" or "calibration".

        `files` has the folder of each split's source, under the split's name.
        """


class Importer(Protocol):
    """Turns a source's files into what quantizers start from.

    `tools` are the distributions whose versions are part of its identity; `version` is its own,
    raised whenever it would write something else. Of the model's description the key has the
    detector's fields that say what goes in and what comes out.
    """

    tools: tuple[str, ...]
    version: int

    def build(self, model: Model, source: Path, folder: Path) -> None:
        """Write the float model of this description into the empty `folder`."""


class Quantizer(Protocol):
    """Builds an artifact and checks it; `tools` and `version` as an importer's.

    It says by `calibrated`, a boolean or a method asked with the scheme, whether it calibrates.
    False promises that the artifact does not depend on any sample. Where it says nothing, schemes
    with integer activations are calibrated, and of others the samples that it is shown are part
    of the artifact's key.
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


class Runner(Protocol):
    """An opened artifact, made from its folder and a `Machine`.

    `tools` are the distributions whose versions its answers depend on, `devices` those that it
    runs on ("cpu", "cuda"): a case on another is refused, and without the attribute on any but
    the processor.
    """

    tools: tuple[str, ...]
    devices: tuple[str, ...]

    @staticmethod
    def variant(machine: Machine) -> str:
        """What of this machine changes its answers: the device, the float type."""

    def predict(self, prepared: Any) -> Any:
        """The model alone on one prepared sample: no preprocessing, no decoding."""

    def predict_all(self, prepared: Iterable[Any]) -> Iterator[Any]:
        """Predictions in the order of the input; a runner may batch inside."""

    def facts(self) -> Mapping[str, Any]:
        """What a reader of its times must know: `threads`, `delegate`, `weights_bytes`, ..."""

    def close(self) -> None:
        """Give memory back."""


class Decoder(Protocol):
    """A runner that generates: what of it is timed besides `predict`."""

    def decoder(self, prepared: Any) -> Callable[[], None]:
        """A call that says `tokens` (its attribute) tokens after a prompt in its cache."""


class Numbers(Protocol):
    """From rows to metrics, which are pure functions of rows."""

    def summarise(self, rows: Sequence[Row], weights: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """Each metric for each row of `weights` [replicates, rows]: float64 [replicates].

        A weight of k counts a sample k times. A metric that the rows cannot define (AP of large
        objects where there are none) is NaN here and null in the record.
        """

    def agree(
        self, rows: Sequence[Row], reference: Sequence[Row], weights: NDArray[Any]
    ) -> Mapping[str, NDArray[Any]]:
        """Metrics of agreement with the float model's rows, as `summarise`; names of their own."""

    @staticmethod
    def per_sample(
        rows: Sequence[Row], reference: Sequence[Row] | None = None
    ) -> Mapping[str, NDArray[Any]]:
        """Of those metrics that are means over samples, each sample's part, [rows].

        Of `summarise`, or with a reference of `agree`. Booleans are a proportion's.
        """


class Task(Numbers, Protocol):
    """From samples and predictions to metrics. Metrics are pure functions of rows.

    `tools` and `version` as an importer's, for inputs and rows. `lower_is_better` names those
    metrics of which an increase is a loss, `signed` those of which 0 is not the least.
    `without_model(rows)`, where it is there, gives what counts rows when no model is at hand.
    `metrics_version` (1 where it is not there) is raised when a metric comes to mean something
    else: baselines of before are then refused, rows stay. Mended code recounts by itself.
    `prepare` and `evidence` are each called from a thread of their own while a runner predicts.
    A task may have a method `check(samples)`, which refuses evaluated samples that it could not
    judge: it is called before anything is built or predicted for them.
    """

    tools: tuple[str, ...]
    version: int
    lower_is_better: frozenset[str]
    signed: frozenset[str]

    @staticmethod
    def identity(model: Model) -> Mapping[str, Any]:
        """What of a model's description decides over inputs and rows: part of their keys."""

    def prepare(self, sample: Any) -> Any:
        """The model's input for a sample."""

    def evidence(self, sample: Any, prediction: Any) -> Row:
        """One row, with all of the truth that `summarise` needs."""

    def influence(
        self, metric: str, rows: Sequence[Row], reference: Sequence[Row] | None = None
    ) -> Influence | None:
        """How much each sample moves a metric that is no mean over samples (AP, perplexity).

        Of `summarise`, or with a reference of `agree`. None lets each sample be left out in turn,
        which is right for what is a smooth function of the samples' weights, and slower.
        """

    def changes(
        self, samples: Mapping[str, Any], rows: Sequence[Row], reference: Sequence[Row], most: int
    ) -> list[dict[str, Any]]:
        """At most `most` samples that changed most against the float model's rows, as JSON.

        `samples` by id; each change has `id`, `change`, and what both models said.
        """

    def explain(self, rows: Sequence[Row]) -> Mapping[str, Any]:
        """What the loss is made of: JSON for the record, by name."""
