"""Rates of this machine: what the store's entries took when they were built here."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from quantbench.core.digests import digest_of
from quantbench.core.jsons import MALFORMED
from quantbench.measure.machines import machine_kind
from quantbench.measure.memory import PEAK
from quantbench.protocols import PREDICT
from quantbench.run.planning.weighing import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from quantbench.study import Weights


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A step that was done on this machine.

    Attributes:
        step: an importer's or quantizer's name, `predict`, or `count`.
        of: the scheme's name; of `count` the task's; of an importer "".
        model: identity of the float model that it was done for; of an importer of what it took.
        parameters: of that model.
        samples: that it was done on.
        size: of a sample in pixels or tokens, 1 where nobody knows.
        seconds: that it took.
        peak_bytes: the process's resident set at its highest, or None.
        written_bytes: of the entry.
    """

    step: str
    of: str
    model: str
    parameters: int
    samples: int
    size: float
    seconds: float
    peak_bytes: float | None
    written_bytes: int


def learned(root: Path) -> list[Seen]:
    """From every entry of a store's folder whose manifest tells enough."""
    entries = list(_manifests(root))
    models = _models(entries)
    artifacts = {
        digest_of(told["files"]): told["ingredients"]
        for kind, _, told in entries
        if kind == "artifact"
    }
    found: list[Seen] = []
    for kind, _, told in entries:
        with suppress(*MALFORMED):  # an entry of another version, or of somebody else
            if (seen := _seen(kind, told, models, artifacts)) is not None:
                found.append(seen)
    return found


def _manifests(root: Path) -> Iterator[tuple[str, Path, dict[str, Any]]]:
    for path in sorted(root.glob("*/*/manifest.json")):
        kind = path.parents[1].name
        if kind == "building":
            continue
        with suppress(OSError, *MALFORMED):
            told = json.loads(path.read_text(encoding="utf-8"))
            digest_of(told["files"])
            yield kind, path.parent / "files", told


def _models(entries: list[tuple[str, Path, dict[str, Any]]]) -> dict[str, Weights]:
    """Of float models and of sources, by what later entries call them."""
    found: dict[str, Weights] = {}
    for kind, files, told in entries:
        if kind not in {"float_model", "source"}:
            continue
        weights = counted(files.rglob("*"))
        if weights is not None:
            found[digest_of(told["files"])] = weights
            found[files.parent.name] = weights
    return found


def _seen(
    kind: str,
    told: Mapping[str, Any],
    models: Mapping[str, Weights],
    artifacts: Mapping[str, Mapping[str, Any]],
) -> Seen | None:
    made, details = told["ingredients"], told["details"]
    common = {
        "seconds": float(told["build_s"]),
        "peak_bytes": details.get(PEAK),
        "written_bytes": int(told["size_bytes"]),
    }
    match kind:
        case "float_model" if made["source"] in models:
            weights = models[made["source"]]
            return Seen(
                step=made["importer"][0], of="", model=made["source"], samples=0, size=1.0,
                parameters=weights.parameters, **common,
            )  # fmt: skip
        case "artifact" if made["float_model"] in models:
            weights, scheme = models[made["float_model"]], made["scheme"]
            return Seen(
                step=scheme["quantizer"], of=scheme["name"], model=made["float_model"],
                parameters=weights.parameters, samples=len(made.get("calibration", ())),
                size=_size(made, details, 0), **common,
            )  # fmt: skip
        case "evidence" if _built_here(details) and made["artifact"] in artifacts:
            artifact = artifacts[made["artifact"]]
            weights, n = models[artifact["float_model"]], len(made["samples"])
            return Seen(
                step=PREDICT, of=artifact["scheme"]["name"], model=artifact["float_model"],
                parameters=weights.parameters, samples=n, size=_size(made, details, n), **common,
            )  # fmt: skip
    return None


def _built_here(details: Mapping[str, Any]) -> bool:
    """Whether a machine of this kind predicted it; of other entries nobody has noted it."""
    kind = details.get("machine", {})
    return bool(kind) and kind == machine_kind("cuda" if "gpu" in kind else "cpu")


def _size(made: Mapping[str, Any], details: Mapping[str, Any], samples: int) -> float:
    """Pixels or tokens of a sample."""
    if samples and details.get("tokens"):
        return float(details["tokens"]) / samples
    size = made.get("protocol", {}).get("model", {}).get("size", ())
    return float(prod(size)) if size else 1.0
