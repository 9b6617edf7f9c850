"""Root of the suite: warnings are errors in tests, and warnings in studies.

A new release of a framework that deprecates something must not turn a user's study red.
"""

from __future__ import annotations

from pathlib import Path

import pytest

_STUDIES = Path(__file__).with_name("benchmarks")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the studies' warnings be warnings."""
    for item in items:
        if _STUDIES in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("default"))
