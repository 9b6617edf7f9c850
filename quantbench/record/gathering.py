"""The records of one run, put together as its tests report them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quantbench.record.schema import merged

if TYPE_CHECKING:
    from collections.abc import Mapping


class Gathered:
    """A run's records by case, each with what all tests of the case found.

    An error is that of a test. It stands until the same test is run again and comes to its end;
    what other tests of the case find does not clear it. Of several errors the first is recorded.
    """

    def __init__(self) -> None:
        """Nothing is known yet."""
        self.records: dict[str, dict[str, Any]] = {}
        self._errors: dict[str, dict[str, Any]] = {}

    def add(self, record: Mapping[str, Any], test: str = "") -> None:
        """Take in what a test found.

        Args:
            record: of its case, as far as the test knows it.
            test: the test that broke (the record has an error) or came to its end; "" for a part
                of a test, such as its teardown, that clears no error.
        """
        case = str(record["case"])
        errors = self._errors.setdefault(case, {})
        if record["error"]:
            errors.setdefault(test, record["error"])
        else:
            errors.pop(test, None)
        known = self.records.get(case)
        whole = merged(known, record) if known else dict(record)
        self.records[case] = {**whole, "error": next(iter(errors.values()), None)}
