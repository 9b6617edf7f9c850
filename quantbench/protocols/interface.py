"""What a model's interface says of pictures, whatever its task."""

from __future__ import annotations

from typing import Protocol


class PictureInterface(Protocol):
    """What importers read of the interface of a model that takes pictures."""

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the input in pixels."""

    @property
    def layout(self) -> str:
        """`nhwc` for channels last, `nchw` for channels first."""

    @property
    def value_range(self) -> tuple[float, float]:
        """(low, high): what pixel values 0 and 255 are mapped to."""

    @property
    def mean(self) -> tuple[float, float, float]:
        """Of each input channel, in the value range."""

    @property
    def std(self) -> tuple[float, float, float]:
        """Of each input channel, in the value range."""

    @property
    def outputs(self) -> tuple[tuple[str, str], ...]:
        """Role and name of each output that is kept; none where all are."""
