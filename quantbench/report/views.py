"""What reports show: cases as plain values, grouped into studies, summed up in a sentence."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from quantbench.report.energies import Energies
from quantbench.study.words import UNTRAINED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from quantbench.report.recovery import Look
    from quantbench.report.speed import Speed

SEVERITY = (
    *("error", "fail", "inconclusive", "error, declared", "fail, declared", UNTRAINED),
    *("not judged", "pass"),
)
OUTCOMES = ("fail", "inconclusive", "pass")
_FLOATS = frozenset({"float32", "reference"})  # references of records that do not name theirs


@dataclass(frozen=True)
class Number:
    """A metric with its interval; None where it is undefined."""

    value: float | None
    low: float | None
    high: float | None
    confidence: float = 0.0
    method: str = ""


@dataclass(frozen=True)
class Judgement:
    """One verdict of a case."""

    metric: str
    outcome: str
    margin: float
    confidence: float
    difference: float | None
    low: float | None
    high: float | None
    relative: bool = False
    lower_is_better: bool = False
    against: str = "reference"
    method: str = ""
    n: int | None = None
    flips: tuple[int, int] | None = None
    samples_to_decide: int | None = None
    expected: str = "pass"

    @property
    def word(self) -> str:
        """Its outcome, with the study's declaration."""
        declared = self.outcome == "fail" and self.expected == "fail"
        return f"{self.outcome}, declared" if declared else self.outcome


@dataclass(frozen=True)
class Box:
    """Five numbers of timed rounds, in seconds."""

    low: float
    q1: float
    median: float
    q3: float
    high: float


@dataclass(frozen=True)
class Cause:
    """One cause of a case's loss.

    Attributes:
        cause: its name.
        ops: names of the ops that it is about, in graph order.
        text: the numbers that convict them, of the worst.
        remedy: what helps.
    """

    cause: str
    ops: tuple[str, ...]
    text: str
    remedy: str


@dataclass(frozen=True)
class Diagnosis:
    """Why a case is worse than its reference.

    Attributes:
        causes: worst first.
        profile: place of each op in the graph, and signal to noise of what it writes in dB.
        flagged: place and name of each op that a cause names.
    """

    causes: tuple[Cause, ...]
    profile: tuple[tuple[int, float], ...]
    flagged: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class View:
    """A case as it is shown.

    Attributes:
        run: of which file, where there are several.
        verdict: a word of `SEVERITY`.
        judged: the first verdict on quality against the reference.
        decided_by: the one that made the verdict, where it is not that one.
        timed_by: threads and delegate while it was timed.
        energies: what it draws.
        random_weights: the source of weights that nobody trained, "" of trained ones.
        headline: the metric that stands for its quality.
        size_ratio: its bytes over its reference's; `latency_ratio` likewise.
        backend: that ran it, "" where the record does not say.
        runtime: the backend's name as people write it.
        runtime_float: it is the float case of a runtime that is not the reference's.
        speed_up: how many times as fast as its own runtime's float case: in generating where both
            were timed so, else by median latency.
        own_size_ratio: its bytes over those of its own runtime's float case.
        by_class: samples of each class, those answered rightly now, and by the float model.
        flipped: answers that changed most often: from what, to what, how often.
        learning: how it was trained back, where it was.
    """

    case: str
    model: str
    scheme: str
    task: str
    dataset: str
    device: str
    verdict: str
    run: str = ""
    n: int | None = None
    groups: int | None = None
    duplicates: int = 0
    of: int | None = None
    bits: int | None = None
    reference: str | None = None
    headline: str | None = None
    metrics: Mapping[str, Number] = field(default_factory=dict)
    judgements: tuple[Judgement, ...] = ()
    judged: Judgement | None = None
    decided_by: Judgement | None = None
    weights_bytes: float | None = None
    artifact_bytes: float | None = None
    footprint_bytes: float | None = None
    peak_bytes: float | None = None
    latency_s: float | None = None
    box: Box | None = None
    rounds: int | None = None
    timed_by: str = ""
    energies: Energies = field(default_factory=Energies)
    size_ratio: float | None = None
    latency_ratio: float | None = None
    backend: str = ""
    runtime: str = ""
    runtime_float: bool = False
    speed_up: float | None = None
    own_size_ratio: float | None = None
    expected: str = "pass"
    reason: str = ""
    error: tuple[str, str] | None = None
    note: str = ""
    random_weights: str = ""
    baseline: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    examples: tuple[Mapping[str, Any], ...] = ()
    by_class: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    flipped: tuple[tuple[str, str, int], ...] = ()
    diagnosis: Diagnosis | None = None
    speed: Speed | None = None
    learning: tuple[Look, ...] = ()

    @property
    def quality(self) -> Number | None:
        """The headline metric."""
        return self.metrics.get(self.headline) if self.headline else None

    @property
    def decoded_per_s(self) -> float | None:
        """Tokens that a language model generates a second."""
        number = self.metrics.get("decode_tokens_per_s")
        return number.value if number else None

    @property
    def joules(self) -> float | None:
        """Of a sample."""
        return self.energies.joules

    @property
    def energy(self) -> str:
        """Where these joules come from."""
        return self.energies.provenance

    @property
    def loss(self) -> float:
        """By the judged metric; what was gained is below 0."""
        if self.judged is None or self.judged.difference is None:
            return 0.0
        change = self.judged.difference
        return change if self.judged.lower_is_better else -change

    @property
    def verdict_in_full(self) -> str:
        """With the gate that made it, where the columns beside it show another."""
        return f"{self.verdict} ({self.decided_by.metric})" if self.decided_by else self.verdict

    @property
    def others(self) -> tuple[Judgement, ...]:
        """All gates but the one that is shown first."""
        return tuple(each for each in self.judgements if each is not self.judged)

    @property
    def moved(self) -> bool:
        """Whether it is the float model, and worse than what the baseline accepted of it."""
        fell = (each.outcome == "fail" for each in self.judgements if each.against == "baseline")
        return self.is_reference and any(fell)

    @property
    def is_reference(self) -> bool:
        """Whether others are judged against it."""
        return self.case == self.reference if self.reference else self.scheme in _FLOATS


@dataclass(frozen=True)
class Study:
    """The cases of one model on one data set and device, of one run."""

    model: str
    dataset: str
    device: str
    run: str
    cases: tuple[View, ...]

    @property
    def title(self) -> str:
        """As it stands over its figures."""
        device = f" on {self.device}" if self.device != "cpu" else ""
        run = f" ({self.run})" if self.run else ""
        return f"{self.model} on {self.dataset}{device}{run}"

    @property
    def reference(self) -> View | None:
        """The float case, if it ran."""
        return next((case for case in self.cases if case.is_reference), None)

    @property
    def runtimes(self) -> tuple[str, ...]:
        """Names of those that ran its cases, the reference's first."""
        return tuple(dict.fromkeys(case.runtime for case in self.cases))

    @property
    def metric(self) -> str | None:
        """The metric that most cases are judged by."""
        named = Counter(case.headline for case in self.cases if case.headline)
        return named.most_common(1)[0][0] if named else None

    @property
    def has_decoding(self) -> bool:
        """Whether any case was timed while it generated."""
        return any(case.decoded_per_s for case in self.cases)

    @property
    def lower_is_better(self) -> bool:
        """Of that metric."""
        judged = (case.judged for case in self.cases if case.judged)
        return any(j.lower_is_better for j in judged if j.metric == self.metric)


def worst_first(view: View) -> tuple[int, float, str, str]:
    """A sorting key: by verdict, then by how much is lost."""
    return SEVERITY.index(view.verdict), -view.loss, view.case, view.run


def studies_of(views: Sequence[View]) -> list[Study]:
    """Grouped by model, data set, device and run, in the order in which these come up.

    Within a study the reference stands first, then cases by bits and name. Those of a runtime stand
    together, those of the reference's first.
    """
    grouped: dict[tuple[str, str, str, str], list[View]] = {}
    for view in views:
        key = view.model, view.dataset, view.device, view.run
        grouped.setdefault(key, []).append(view)

    return [Study(*key, _in_order(group)) for key, group in grouped.items()]


def _in_order(cases: Sequence[View]) -> tuple[View, ...]:
    home = {case.runtime for case in cases if case.is_reference}

    def order(view: View) -> tuple[bool, str, bool, int, str]:
        of = view.runtime not in home, view.runtime.lower()
        return *of, not view.is_reference, -(view.bits or 0), view.scheme

    return tuple(sorted(cases, key=order))
