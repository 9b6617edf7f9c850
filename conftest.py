"""Root of the suite: warnings are errors in tests, and warnings in studies.

A new release of a framework that deprecates something must not turn a user's study red.
"""

from __future__ import annotations

from pathlib import Path

import pytest

_STUDIES = Path(__file__).with_name("benchmarks")
_PUBLISHED = _STUDIES / "published"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the published studies out unless they are named: they fetch gigabytes."""
    if collection_path != _PUBLISHED:
        return None
    words = (config.invocation_params.dir / arg.partition("::")[0] for arg in config.args)
    named = any(path == _PUBLISHED or _PUBLISHED in path.parents for path in words)
    return None if named else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the studies' warnings be warnings."""
    for item in items:
        if _STUDIES in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("default"))
