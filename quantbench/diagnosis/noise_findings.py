"""What noisy tensors, and ops that are noisy alone, are convicted of."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from quantbench.diagnosis.findings import Finding
from quantbench.diagnosis.flags import HARMLESS_DB, flag

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from quantbench.diagnosis.noise import TensorNoise
    from quantbench.diagnosis.wiring import Tensor, WiredOp

_DROP_DB = 3.0  # half of the signal's power: less is an op's fair share
_CLIPPED = 1e-3
_FEW_LEVELS = 10.0
_SPARE = 16  # levels
_WORST = 5  # drops that are told without a cause
_AUDIBLE_DB = 25.0  # signal to noise below which one without a cause is told
_SUSPECTED = 0.1  # of its drop: what is noisy without a cause may amplify what came before


def judged(noise: Sequence[TensorNoise], at_the_end: AbstractSet[str]) -> Iterator[Finding]:
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


def _cause_of(each: TensorNoise, at_the_end: AbstractSet[str]) -> Finding | None:
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


def sensitive_ops(
    alone: Mapping[str, Mapping[str, float]], ops: Iterable[WiredOp[Tensor]]
) -> tuple[list[str], list[Finding]]:
    """Ops flagged one by one.

    Args:
        alone: of each op's name, the outputs' signal to noise with it alone in int8, in dB.
        ops: of the float graph.

    Returns:
        Names of those that stand out, worst first, and a finding for each.
    """
    flagged, by_name = flag(alone), {op.name: op for op in ops}
    findings = [
        Finding(
            cause="sensitive op",
            ops=(name,),
            place=by_name[name].index,
            text=f"{by_name[name].kind}: quantized alone, it leaves the outputs "
            f"{min(alone[name].values()):.0f} dB above the noise",
            numbers={f"snr_db {output}": round(snr, 2) for output, snr in alone[name].items()},
            remedy="leave it in float: quantbench mend finds the smallest such set",
            weight=max(HARMLESS_DB - min(alone[name].values()), 0.0),
        )
        for name in flagged
    ]
    return flagged, findings
