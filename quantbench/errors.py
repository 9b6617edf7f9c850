"""Everything quantbench raises on purpose, as one tree.

    QuantbenchError
    ├── UsageError            an option, name or gate that is invalid: stops before any work
    ├── OutOfReachError       something this machine lacks: the case is skipped, others go on
    │   ├── MissingExtraError     an optional dependency is not installed
    │   ├── MissingDataError      data was not given (`--quant-data`)
    │   ├── MissingDeviceError    no GPU
    │   ├── MissingRoomError      not enough memory or disk for what the case needs
    │   ├── FetchError            a registry or file did not answer
    │   └── UntrainedError        the model's weights are random: its answers are not looked at
    ├── IntegrityError        bytes differ from their pinned digest, or are another artifact's
    ├── StoreError            the cache folder cannot be read or written
    │   └── RemoteStoreError      a team's store does not answer, or refuses
    ├── AnchorError           a score that is not the known one, or not what others compute
    ├── RecordError           a baseline or record file that cannot be read or compared with
    ├── DataError             samples malformed, too few, shared with calibration, or spoilt on
    │                         their way into the model
    ├── MeterError            an energy counter that is not there, unreadable or not to be believed
    ├── BuildError            a quantizer failed or made an artifact that does not check
    └── PredictionError       a runner failed, or answered NaN or infinity

`CorruptedArtifactWarning` is not an error: the store found damage and rebuilt. Nor is
`RemoteStoreWarning`: a run goes on without a team's store.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def meant(name: str, known: Iterable[str]) -> str | None:
    """The remedy for a name that does not exist: the closest one that does; None where none is."""
    by_letters = {each.lower(): each for each in known}
    closest = difflib.get_close_matches(name.lower(), by_letters, n=1)
    return f"did you mean {by_letters[closest[0]]!r}?" if closest else None


class QuantbenchError(Exception):
    """A failure that says what, where, expected, got, and what to do next.

    Each part is an attribute too, as the text that is printed; None where it was left out.
    """

    def __init__(
        self,
        what: str,
        *,
        where: object = None,
        expected: object = None,
        got: object = None,
        remedy: str | None = None,
    ) -> None:
        """Compose the message; a part left out is not printed."""
        given = {"where": where, "expected": expected, "got": got, "next": remedy}
        parts = {name: str(part) for name, part in given.items() if part is not None}
        lines = [f"  {name + ':':<10}{part}" for name, part in parts.items()]
        super().__init__("\n".join([what, *lines]))
        self._what, self._parts = what, parts

    @property
    def what(self) -> str:
        """What failed."""
        return self._what

    @property
    def where(self) -> str | None:
        """The file, option or place."""
        return self._parts.get("where")

    @property
    def expected(self) -> str | None:
        """What would have been right."""
        return self._parts.get("expected")

    @property
    def got(self) -> str | None:
        """What was there instead."""
        return self._parts.get("got")

    @property
    def remedy(self) -> str | None:
        """What to do next."""
        return self._parts.get("next")


class UsageError(QuantbenchError):
    """An option, name or gate that is invalid."""


class OutOfReachError(QuantbenchError):
    """Something this machine lacks; `requirement` is its word in `QUANTBENCH_REQUIRE`."""

    requirement: str


class MissingExtraError(OutOfReachError):
    """An optional dependency is not installed."""

    requirement = "extras"


class MissingDataError(OutOfReachError):
    """Data that nobody may ship with the package was not given."""

    requirement = "data"


class MissingDeviceError(OutOfReachError):
    """An accelerator is not there."""

    requirement = "gpu"


class MissingRoomError(OutOfReachError):
    """What a case needs of memory or disk is known, and more than this machine has."""

    requirement = "room"


class FetchError(OutOfReachError):
    """A file from outside could not be had."""

    requirement = "network"


class UntrainedError(OutOfReachError):
    """Answers were asked of a model with random weights."""

    requirement = "weights"


class IntegrityError(QuantbenchError):
    """Bytes differ from their pinned digest, or are another artifact's."""


class StoreError(QuantbenchError):
    """The cache folder cannot be read or written."""


class RemoteStoreError(StoreError):
    """A team's store does not answer, or refuses; `denied` where it says that this is no right."""

    denied = False


class AnchorError(QuantbenchError):
    """A float reference that does not reproduce its known score."""


class RecordError(QuantbenchError):
    """A baseline or record file that cannot be read, or compared with."""


class DataError(QuantbenchError):
    """Samples malformed, too few, shared with calibration, or spoilt on their way to the model."""


class MeterError(QuantbenchError):
    """An energy counter that is not there, may not be read, or is not to be believed."""


class BuildError(QuantbenchError):
    """A quantizer failed, or made an artifact that does not check."""


class PredictionError(QuantbenchError):
    """A runner failed, or answered something that is no number."""


class CorruptedArtifactWarning(UserWarning):
    """A stored file no longer matched its digest; it was set aside and is built again."""


class RemoteStoreWarning(UserWarning):
    """A team's store is not used, or not written to, for the rest of the run."""
