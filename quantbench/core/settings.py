"""What a run was asked for: command line over environment over configuration file."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from quantbench.core.places import parse_path, parse_place
from quantbench.errors import UsageError, meant

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Device = Literal["cpu", "cuda"]

# name: help. The option is --quant-NAME (with hyphens), the ini key quant_NAME, the variable
# QUANTBENCH_NAME.
OPTIONS = {
    "schemes": "comma-separated schemes to run, e.g. float32,int8_static (default: all)",
    "samples": "samples to evaluate a case on, or 'all' (default: the data set's own number)",
    "data": "folder with data that cannot be shipped, e.g. lambada/lambada_test.jsonl",
    "cache": "folder of the artifact store (default: the platform's cache directory), a store that "
    "a team shares, e.g. s3://bucket/prefix, or both: DIR,URL",
    "baseline": "file of `quantbench accept`: no case may be worse than what it accepted either",
    "group": "field that names each sample's group, e.g. book, or 'none' (default: the data set's)",
    "inconclusive": "'fail' (default) or 'pass': what an undecided verdict does to its test",
    "sequential": "'on' to stop a case as soon as its verdict is certain (default: off)",
    "examples": "samples that changed most, kept in a case's record to be seen (default: 10)",
    "familywise": "'holm' (default) corrects passes for how many gates a run has; 'none' does not",
    "watts": "watts of this machine at work, to estimate energy by where no counter is, e.g. 15",
    "grid": "kg CO2e a kWh of your electricity, e.g. 0.21, or a country's three letters, e.g. FRA",
    "executor": "'local' (default), 'ray', 'ray://HOST:PORT', or 'auto': where steps are done",
    "mixed": "'on' to let machines of several kinds predict parts of one case (default: off)",
    "random_weights": "'on' to take random weights for every model that says its architecture: "
    "its sizes and times without its weights; no answer is judged (default: off)",
    "timing_node": "host that alone may time models: on another, tests that time are skipped",
    "diagnose": "'quick' or 'full': say why cases fail, op by op in minutes if full (default: off)",
}
_WORDS = {  # option: its words, the default first
    "inconclusive": ("fail", "pass"),
    "sequential": ("off", "on"),
    "mixed": ("off", "on"),
    "random_weights": ("off", "on"),
    "familywise": ("holm", "none"),
    "diagnose": ("off", "quick", "full"),
}
_MOST_DIGITS = 18  # Python refuses to read thousands
REQUIREMENTS = ("extras", "data", "network", "gpu", "weights", "room")


@dataclass(frozen=True)
class Machine:
    """What a runner may use.

    Attributes:
        threads: of the processor.
        device: "cpu" or "cuda".
    """

    threads: int = 1
    device: Device = "cpu"


@dataclass(frozen=True)
class Settings:
    """Parsed and checked.

    Attributes:
        schemes: names to run, or None for all.
        samples: evaluated samples a case; None for the data set's own number, 0 for all.
        data: folder of data that cannot be shipped, or None.
        baseline: file of accepted results, or None.
        group: field of the samples that names their group; "none" for samples that are taken one
            by one; None for the data set's own.
        inconclusive_passes: an undecided verdict leaves its test green.
        sequential: samples come in random order, block by block, until the verdict is certain.
        holm: passes are corrected for the number of gates of the run.
        cache: folder of the store; None for the platform's cache directory.
        remote: URL of the store behind it that a team shares, or None.
        examples: changed samples a case, with their pictures or texts, in the record.
        watts: that the user states for this machine at work, or None.
        grid: what the electricity emits, as it was given (`measure/grid.py` reads it), or None.
        executor: "local", "ray", "auto", or the address of a Ray client server.
        mixed: parts of a case may be predicted by machines of several kinds.
        random_weights: models that say their architecture are taken with random weights.
        timing_node: host that alone may time models; None for whichever this is.
        diagnose: "off", or how far failing cases are looked into: "quick", "full".
        required: requirements whose lack is an error instead of a skip.
        threads: of every runner.
        alone: no other xdist worker runs beside.
    """

    cache: Path | None = None
    remote: str | None = None
    schemes: frozenset[str] | None = None
    samples: int | None = None
    data: Path | None = None
    baseline: Path | None = None
    group: str | None = None
    inconclusive_passes: bool = False
    sequential: bool = False
    holm: bool = True
    examples: int = 10
    watts: float | None = None
    grid: str | None = None
    executor: str = "local"
    mixed: bool = False
    random_weights: bool = False
    timing_node: str | None = None
    diagnose: str = "off"
    required: frozenset[str] = frozenset()
    threads: int = 1
    alone: bool = True


def parse_settings(
    options: Mapping[str, str | None],
    ini: Mapping[str, str],
    environment: Mapping[str, str],
) -> Settings:
    """Read the options of `OPTIONS` and `QUANTBENCH_REQUIRE`.

    Raises:
        UsageError: a value that is invalid; the message lists what is not.
    """
    for name, text in ini.items():
        if not isinstance(text, str):  # a list: pytest warns of it and goes on
            raise UsageError(
                f"quant_{name} in the configuration file", expected="a text", got=repr(text)[:80]
            )
    given = {
        name: options.get(name)
        or environment.get(f"QUANTBENCH_{name.upper()}")
        or ini.get(name)
        or None
        for name in OPTIONS
    }
    data = parse_path("data", given["data"])
    if data is not None and not data.is_dir():
        raise UsageError("--quant-data names no folder", got=data.absolute())
    required = _words(environment.get("QUANTBENCH_REQUIRE"))
    if unknown := required - set(REQUIREMENTS):
        raise UsageError(
            "unknown word in QUANTBENCH_REQUIRE",
            expected=", ".join(REQUIREMENTS),
            got=", ".join(sorted(unknown)),
            remedy=meant(min(unknown), REQUIREMENTS),
        )
    chosen = {name: _word(name, given[name]) for name in _WORDS}
    baseline = parse_path("baseline", given["baseline"])
    if baseline is not None and not baseline.is_file():
        raise UsageError("--quant-baseline names no file", got=baseline.absolute())
    if baseline is not None and chosen["sequential"] == "on":
        raise UsageError(
            "--quant-baseline and --quant-sequential do not go together",
            expected="a baseline to be compared on all samples",
        )
    place = parse_place(given["cache"])
    return Settings(
        baseline=baseline,
        group=given["group"],
        inconclusive_passes=chosen["inconclusive"] == "pass",
        sequential=chosen["sequential"] == "on",
        holm=chosen["familywise"] == "holm",
        executor=_executor(given["executor"], environment),
        mixed=chosen["mixed"] == "on",
        random_weights=chosen["random_weights"] == "on",
        timing_node=given["timing_node"],
        diagnose=chosen["diagnose"],
        cache=place.folder,
        remote=place.remote,
        schemes=_words(given["schemes"]) or None,
        samples=_samples(given["samples"]),
        data=data,
        examples=_examples(given["examples"]),
        watts=_watts(given["watts"]),
        grid=given["grid"],
        required=required,
        threads=usable_threads(environment),
        alone=_workers(environment) == 1,
    )


def _words(text: str | None) -> frozenset[str]:
    return frozenset(word.strip() for word in (text or "").split(",") if word.strip())


def _word(name: str, text: str | None) -> str:
    known = _WORDS[name]
    if text is not None and text not in known:
        raise UsageError(
            f"--quant-{name}",
            expected=" or ".join(known),
            got=repr(text),
            remedy=meant(text, known),
        )
    return text or known[0]


def _executor(text: str | None, environment: Mapping[str, str]) -> str:
    known = ("local", "ray", "auto")
    if text is not None and text not in known and not text.startswith("ray://"):
        raise UsageError(
            "--quant-executor",
            expected="local, ray, ray://HOST:PORT or auto",
            got=repr(text),
            remedy=meant(text, known),
        )
    # A worker of xdist's does a share of the tests: each would take the whole cluster.
    return (text or "local") if _workers(environment) == 1 else "local"


def _samples(text: str | None) -> int | None:
    if text is None or text == "all":
        return None if text is None else 0
    if not _is_number(text) or int(text) == 0:
        raise UsageError("--quant-samples", expected="a positive number, or 'all'", got=repr(text))
    return int(text)


def _is_number(text: str) -> bool:
    return text.isdecimal() and len(text) <= _MOST_DIGITS


def _examples(text: str | None) -> int:
    if text is None:
        return Settings.examples
    if not _is_number(text):
        raise UsageError("--quant-examples", expected="a number, 0 for none", got=repr(text))
    return int(text)


def usable_threads(environment: Mapping[str, str]) -> int:
    """The cores this process may use, shared with the other xdist workers."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, (cores or 1) // _workers(environment))


def _workers(environment: Mapping[str, str]) -> int:
    return int(environment.get("PYTEST_XDIST_WORKER_COUNT", "1"))


def _watts(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        watts = float(text)
    except ValueError:
        watts = math.nan
    if not 0 < watts < math.inf:
        raise UsageError(
            "--quant-watts",
            expected="the watts of this machine at work, more than 0",
            got=repr(text),
            remedy="read them off a plug meter, or the data sheet, while a model runs",
        )
    return watts
