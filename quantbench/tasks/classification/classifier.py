"""What goes into a classifier, and what its outputs mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from quantbench.data.described import Channels, Layout, check_labels, check_words
from quantbench.errors import UsageError
from quantbench.study.freezing import freeze

Fit = Literal["exact", "crop", "stretch"]
Resample = Literal["bilinear", "bicubic"]
Says = Literal["logits", "probabilities"]


@dataclass(frozen=True, kw_only=True)
class Classifier:
    """What goes into a classifier and what its outputs mean.

    A pixel value v of 0 to 255 becomes (v / 255 * (high - low) + low - mean) / std.

    Attributes:
        size: (height, width) of the input in pixels.
        class_ids: the data set's name of each output channel's class, in the channels' order;
            whole numbers are taken as texts.
        says: what the outputs are: "logits" (any numbers, a softmax turns them into
            probabilities) or "probabilities".
        labels: a name for each class, for people; none where the ids are names.
        unused: those of the ids that no data set has, of channels that stand for nothing
            ("background").
        fit: "exact" refuses pictures of another size; "crop" scales the shorter side to `resize`
            pixels, keeping the shape, and cuts the input out of the middle, as torchvision and timm
            do; "stretch" scales width and height apart.
        resize: of "crop", the shorter side in pixels.
        resample: how Pillow scales; both with antialiasing.
        value_range: (low, high): what pixel values 0 and 255 are mapped to.
        mean: of each input channel, in the value range.
        std: of each input channel, in the value range.
        channels: order of the colours.
        layout: "nhwc" for channels last, "nchw" for channels first.
        outputs: `(("scores", NAME),)` where the model has more than one output.
    """

    size: tuple[int, int]
    class_ids: tuple[str, ...]
    says: Says
    labels: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    fit: Fit = "exact"
    resize: int | None = None
    resample: Resample = "bilinear"
    value_range: tuple[float, float] = (0.0, 255.0)
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    channels: Channels = "rgb"
    layout: Layout = "nhwc"
    outputs: tuple[tuple[str, str], ...] = ()
    task: ClassVar[str] = "classification"
    # What importers read: other fields change no float model.
    imported: ClassVar[tuple[str, ...]] = (
        *("size", "layout", "value_range", "mean", "std", "outputs"),
    )

    def __post_init__(self) -> None:
        """Refuse an index map that is no bijection, and words that mean nothing."""
        freeze(self)
        for name in ("class_ids", "unused"):
            object.__setattr__(self, name, _as_texts(getattr(self, name), name))
        if len(self.class_ids) < 2:  # noqa: PLR2004 - the fewest that differ
            raise UsageError(
                "a classifier tells at least two classes apart",
                expected="class_ids, the data set's name of each output channel's class",
                got=list(self.class_ids),
            )
        if twice := sorted({each for each in self.class_ids if self.class_ids.count(each) > 1}):
            raise UsageError(
                "two output channels have the same class id",
                expected="one channel for each class",
                got=", ".join(twice[:5]),
            )
        check_labels(self.class_ids, self.labels, self.unused, "classifier", "classes")
        words = {"fit": Fit, "resample": Resample, "says": Says}
        check_words(self, "classifier", {name: get_args(known) for name, known in words.items()})
        self._check_fit()
        if {role for role, _ in self.outputs} - {"scores"} or len(self.outputs) > 1:
            raise UsageError(
                "a classifier has one output that counts",
                expected='outputs=(("scores", NAME),), or none where the model has one alone',
                got=self.outputs,
            )

    def _check_fit(self) -> None:
        if (self.fit == "crop") != (self.resize is not None):
            raise UsageError(
                "a classifier's crop goes with the side that it is cut out of",
                expected='fit="crop" and resize=PIXELS (of the shorter side), or neither',
                got=f"fit={self.fit!r}, resize={self.resize}",
            )
        if self.resize is not None and self.resize < max(self.size):
            raise UsageError(
                "a classifier's crop is larger than what it is cut out of",
                expected=f"resize of at least {max(self.size)}",
                got=self.resize,
            )


def _as_texts(ids: tuple[object, ...], name: str) -> tuple[str, ...]:
    if isinstance(ids, str) or any(
        isinstance(each, bool) or not isinstance(each, str | int) or not str(each) for each in ids
    ):
        raise UsageError(
            f"the {name} of a classifier are no names",
            expected="a tuple of texts or whole numbers, one for each output channel",
            got=repr(ids)[:80],
        )
    return tuple(map(str, ids))
