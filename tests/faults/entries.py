"""Entries of a store that tell whether they are whole and of one build."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from quantbench.store.artifacts import Artifact

FILES = ("weights", "rows.jsonl")
LINES = 20


def ingredients(name: str) -> dict[str, Any]:
    return {"name": name}


def builder(
    name: str, build: str, step: Callable[[], None] = lambda: None
) -> Callable[[Path], dict[str, Any]]:
    """Writes, line by line, which entry and which build it is; no two builds are alike."""

    def write(folder: Path) -> dict[str, Any]:
        for file in FILES:
            with (folder / file).open("w") as lines:
                for number in range(LINES):
                    step()
                    lines.write(_line(name, build, number))
                    lines.flush()
        return {"name": name, "build": build}

    return write


def fault_of(artifact: Artifact, name: str) -> str | None:
    """What is wrong with what was served under this name."""
    build = artifact.details.get("build", "")
    if artifact.details.get("name") != name:
        return f"{name}: served {artifact.details}"
    whole = "".join(_line(name, build, number) for number in range(LINES))
    for file in FILES:
        try:
            text = (artifact.path / file).read_text()
        except OSError as error:
            return f"{name}: {error}"
        if text != whole:
            return f"{name}: {file} is not that of build {build}"
    return None


def _line(name: str, build: str, number: int) -> str:
    return json.dumps({"name": name, "build": build, "number": number, "row": "x" * 200}) + "\n"
