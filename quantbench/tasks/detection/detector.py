"""What goes into a detector, and how its outputs decode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from quantbench.data.described import Channels, Layout, check_labels, check_words
from quantbench.errors import UsageError
from quantbench.study.freezing import freeze

Fit = Literal["exact", "letterbox", "letterbox_corner", "stretch"]


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
    task: ClassVar[str] = "detection"
    # What importers read: other fields change no float model.
    imported: ClassVar[tuple[str, ...]] = (
        *("size", "layout", "value_range", "mean", "std", "outputs"),
    )

    def __post_init__(self) -> None:
        """Refuse a label map that is no bijection, and words that mean nothing."""
        freeze(self)
        if len(set(self.category_ids)) != len(self.category_ids):
            raise UsageError(
                "two output channels have the same category id", got=list(self.category_ids)
            )
        check_labels(self.category_ids, self.labels, self.unused, "detector", "categories")
        check_words(self, "detector", {"fit": get_args(Fit)})
        for iou, score in self.operating_points:
            if not (0 < iou <= 1 and 0 <= score <= 1):
                raise UsageError(
                    "an operating point is out of range",
                    expected="pairs of IoU in (0, 1] and score in [0, 1]",
                    got=(iou, score),
                )
