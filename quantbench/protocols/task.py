"""What a task must be able to do: from samples and predictions to metrics.

A row is one sample's evidence: JSON values, with the sample's id under "id".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from quantbench.protocols.influence import Influence
    from quantbench.study import Model


Row = Mapping[str, Any]


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
    judge: it is called before anything is built or predicted for them. It may have a method
    `cross_check(rows)`, which refuses rows that it counts wrongly: it is called in every run that
    uses them, whether or not the store has them. It may have a method `check_reference(rows)`,
    which refuses the rows of a float model that nothing may be judged against. It may have a
    method `explain_change(rows, reference)`: what the change against the float model is made of,
    JSON by name, which joins what `explain` says. It may have a method `divided(samples, n)`,
    which gives the first n (None: all) of the samples that it divides all samples of a data set's
    split into: a text into windows, which depend on the model's tokenizer. These are then what is
    evaluated, calibrated with and counted. `rates`, where it is there, names a file of rates
    (`measure/rates.py`) whose step `count` says what it takes to turn rows into metrics, and how
    many bytes a row has. `hub_task`, where it is there, is the Hugging Face Hub's word for what it
    does, for model cards.
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

        `samples` by id; each change has `id`, `change`, and what both models said, as `float` and
        `quantized`. Reports draw those that have a `picture` (a JPEG in base64, with `width` and
        `height`) or a `context` (a text, with its `target`), and of each side boxes (a list of [x,
        y, width, height, score, id]) or words (`right`, and `words` with their probabilities);
        see `examples.py` in the folders of `tasks/`. `unit` names the unit of `change`.
        """

    def explain(self, rows: Sequence[Row]) -> Mapping[str, Any]:
        """What the loss is made of: JSON for the record, by name."""


class MendableTask(Task, Protocol):
    """What a search of mixed precision asks of a task besides.

    `agreement` names the metric of agreement with the float model that candidates are ranked by.
    `mending_gate`, where it is there, is what a recipe must pass instead of the search's own gate.
    """

    agreement: str

    @staticmethod
    def moved(rows: Sequence[Row], reference: Sequence[Row]) -> tuple[float, float]:
        """How far the float model's answers have moved: two mean squares of independent kinds."""

    @staticmethod
    def unanswered(row: Row) -> Row:
        """The float model's row, as a model that answers nothing would give it."""
