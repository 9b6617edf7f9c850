"""The steps of a diagnosis of a LiteRT case, cheapest first, and what each of them flags."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from quantbench.backends.litert.diagnosis.alone import Outputs, each_alone, tail
from quantbench.backends.litert.diagnosis.noise import side_by_side
from quantbench.backends.litert.diagnosis.scan import scan
from quantbench.backends.litert.graph import Graph
from quantbench.backends.litert.interpreter import model_file
from quantbench.backends.litert.mending.ranges import RULES, observe
from quantbench.backends.litert.mending.recipes import repair_graph
from quantbench.backends.litert.mending.repairs import BEYOND_REASON
from quantbench.diagnosis.findings import Diagnosis, Finding, ranked
from quantbench.diagnosis.flags import flag

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from quantbench.backends.litert.diagnosis.noise import TensorNoise
    from quantbench.core.progress import Step

_SAMPLES = 16
_SIDE_BY_SIDE = 8
_ALONE = 4
_DROP_DB = 3.0  # half of the signal's power: less is an op's fair share
_CLIPPED = 1e-3
_FEW_LEVELS = 10.0
_SPARE = 16  # levels
_WORST = 5  # drops that are told without a cause
_AUDIBLE_DB = 25.0  # signal to noise below which one without a cause is told
_SUSPECTED = 0.1  # of its drop: what is noisy without a cause may amplify what came before


def diagnose(
    float_path: Path,
    built_path: Path,
    samples: Sequence[NDArray[Any]],
    step: Step,
    *,
    alone: bool = True,
) -> Diagnosis:
    """Look at a float model and what was built of it.

    Args:
        float_path: the float `.tflite`.
        built_path: the quantized one.
        samples: inputs of the calibration split, 16 or more.
        step: is told what is done next and of how many parts; what it returns is called with 1
            after each.
        alone: whether to quantize each op alone, which takes minutes.
    """
    seconds: dict[str, float] = {}
    started = time.perf_counter()
    graph, built = Graph.read(float_path), Graph.read(built_path)
    findings = scan(graph, built)
    seconds["scan"] = time.perf_counter() - started

    started = time.perf_counter()
    advance = step("side by side", 1)
    noise = side_by_side(float_path, built_path, samples[:_SIDE_BY_SIDE])
    advance(1)
    findings += list(judged(noise, {op.name for op in tail(graph)}))
    seconds["side by side"] = time.perf_counter() - started

    flagged: list[str] = []
    if alone:
        started = time.perf_counter()
        flagged, more = _alone(float_path, samples, step)
        findings += more
        seconds["one op alone"] = time.perf_counter() - started
    profile = [
        {"place": n.place, "op": n.op, "kind": n.kind, "snr_db": round(n.snr_db, 2)} for n in noise
    ]
    return Diagnosis(ranked(findings), profile, tuple(flagged), seconds)


def litert_looks(
    float_model: Path,
    built: Path,
    samples: Sequence[NDArray[Any]],
    step: Step,
    *,
    alone: bool,
) -> Diagnosis:
    """`diagnose` of two artifact folders."""
    return diagnose(model_file(float_model), model_file(built), samples, step, alone=alone)


def judged(noise: Sequence[TensorNoise], at_the_end: set[str]) -> Iterator[Finding]:
    """What the tensors' numbers convict, each op once, by its clearest sign."""
    unexplained = []
    for each in noise:
        if each.drop_db < _DROP_DB:
            continue
        found = _cause_of(each, at_the_end)
        if found is not None:
            yield found
        elif each.snr_db < _AUDIBLE_DB and each.source_snr_db > _AUDIBLE_DB:
            unexplained.append(each)
    for each in sorted(unexplained, key=lambda n: -n.drop_db)[:_WORST]:
        found = _finding(
            each,
            "noisy op",
            f"its output stands {each.snr_db:.0f} dB above the noise, what it reads "
            f"{each.source_snr_db:.0f}",
            "leave it in float",
        )
        yield replace(found, weight=_SUSPECTED * each.drop_db)


def _cause_of(each: TensorNoise, at_the_end: set[str]) -> Finding | None:
    if each.clipped > _CLIPPED and each.spare >= _SPARE:
        return _finding(
            each,
            "wrong zero point",
            f"{each.clipped:.1%} of the values are clipped at one end of its range, and "
            f"{each.spare} levels at the other end are never used",
            "build it again: its zero point is not its range's",
        )
    if each.clipped > _CLIPPED:
        head = each.op in at_the_end
        return _finding(
            each,
            "clipped output head" if head else "clipped range",
            f"{each.clipped:.1%} of the values lie outside of its range",
            "the output tail keeps minimum and maximum" if head else "a wider range",
        )
    if 0 < each.levels < _FEW_LEVELS:
        return _finding(
            each,
            "outlier activation",
            f"the values spread over {each.levels:.1f} of 255 levels: a few outliers set the range",
            "a percentile instead of minimum and maximum, or float",
        )
    return None


def _finding(each: TensorNoise, cause: str, text: str, remedy: str) -> Finding:
    return Finding(
        cause=cause,
        ops=(each.op,),
        place=each.place,
        text=f"{each.kind}: {text}",
        numbers={
            "snr_db": round(each.snr_db, 2),
            "drop_db": round(each.drop_db, 2),
            "levels": round(each.levels, 2),
            "clipped": round(each.clipped, 5),
            "spare": each.spare,
        },
        remedy=remedy,
        weight=each.drop_db,
    )


def _alone(
    float_path: Path,
    samples: Sequence[NDArray[Any]],
    step: Step,
) -> tuple[list[str], list[Finding]]:
    """Ops flagged one by one, in the ranges that minimum and maximum give."""
    observed = samples[:_SAMPLES]
    seen = observe(float_path, observed, step("observing ranges", 2 * len(observed)))
    if any(not abs(end) < BEYOND_REASON for each in seen.values() for end in each.whole):
        return [], []  # no range holds it: what the scan found comes first
    ranges = {name: RULES["minimum and maximum"](each) for name, each in seen.items()}
    # Hard-swishes stay written out: ops are named as the diagnosed graph names them.
    graph, _ = repair_graph(float_path.read_bytes(), ranges, fuse=False)
    outputs = Outputs(graph.content(), samples[:_ALONE])
    noise = each_alone(graph, ranges, outputs, step("one op alone", len(graph.ops)))
    flagged = flag(noise)
    ops = {op.name: op for op in graph.ops}
    findings = [
        Finding(
            cause="sensitive op",
            ops=(name,),
            place=ops[name].index,
            text=f"{ops[name].kind}: quantized alone, it leaves the outputs "
            f"{min(noise[name].values()):.0f} dB above the noise",
            numbers={f"snr_db {output}": round(snr, 2) for output, snr in noise[name].items()},
            remedy="leave it in float: quantbench mend finds the smallest such set",
            weight=max(30.0 - min(noise[name].values()), 0.0),
        )
        for name in flagged
    ]
    return flagged, findings
