"""What a data set must be able to do. A sample is whatever it yields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


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
    """Samples in a fixed order, split by purpose.

    It can be hashed, and equal ones have equal hashes: cases are told apart by it, and samples are
    kept under it. A `@dataclass(frozen=True)` whose fields are texts, numbers, functions and tuples
    of these can; one that holds a list, or is not frozen, cannot, and is refused with its model.

    Where its calibration samples have another form than its evaluated ones (LAMBADA's are lower
    case, in tokens), it may have a method `as_evaluated(sample)`, which gives a calibration sample
    in that form: models are trained on these.

    Where it has a third split, "training", it says so by `training_n`, the number of its samples;
    else models are trained on what of the calibration split calibrated nothing.
    """

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
