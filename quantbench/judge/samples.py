"""One number a sample, as evaluation tools log it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.core.digests import digest_of
from quantbench.errors import DataError, UsageError
from quantbench.run.results import Results

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_LEAST = 2


@dataclass(frozen=True)
class Samples:
    """One metric's value for each sample of one file, in the file's order.

    Attributes:
        name: of the metric, with its task and filter where there are several.
        ids: of the samples, each once.
        values: booleans where all are right or wrong, else float64, [samples].
        lower_is_better: an increase is a loss.
        digests: of each sample's content, where the file has them; what has the same id must have
            the same.
        groups: of each sample, where they come in groups.
    """

    name: str
    ids: tuple[str, ...]
    values: NDArray[Any]
    lower_is_better: bool = False
    digests: tuple[str, ...] = ()
    groups: tuple[str, ...] | None = None

    def in_order(self, ids: Sequence[str]) -> Samples:
        """The same samples, in this order."""
        place = {sample: i for i, sample in enumerate(self.ids)}
        order = [place[sample] for sample in ids]
        return Samples(
            self.name,
            tuple(ids),
            self.values[order],
            self.lower_is_better,
            tuple(self.digests[i] for i in order) if self.digests else (),
            tuple(self.groups[i] for i in order) if self.groups else None,
        )


def paired(reference: Samples, other: Samples, files: tuple[str, str]) -> Samples:
    """The other file's samples in the reference's order.

    Raises:
        DataError: one has samples that the other has not, or the same id stands for other content
            or another group.
    """
    for one, two, names in ((reference, other, files), (other, reference, files[::-1])):
        here = set(two.ids)
        lacking = [sample for sample in one.ids if sample not in here]
        if lacking:
            raise DataError(
                "samples do not pair",
                where=f"{names[1]}, {two.name}",
                expected=f"the {len(one.ids)} samples of {names[0]}",
                got=f"{len(lacking)} of them missing, first {lacking[0]!r}",
                remedy="evaluate both models on the same samples; nothing is left out silently",
            )
    if reference.lower_is_better != other.lower_is_better:
        raise DataError(
            "two files do not agree on what is better",
            where=f"{files[1]}, {other.name}",
            got=f"lower is better in {files[reference.lower_is_better < other.lower_is_better]} "
            "alone",
            remedy="keep the results file beside the samples of both",
        )
    if bool(reference.digests) != bool(other.digests):
        raise DataError(
            "one file has digests of its samples' content and the other has not",
            where=", ".join(files),
            remedy="make both with the same version of the tool",
        )
    ordered = other.in_order(reference.ids)
    for what, mine, theirs in (
        ("content", reference.digests, ordered.digests),
        ("group", reference.groups or (), ordered.groups or ()),
    ):
        unlike = [i for i, (a, b) in enumerate(zip(mine, theirs, strict=False)) if a != b]
        if unlike:
            raise DataError(
                f"samples of the same id have another {what}",
                where=f"{files[1]}, {other.name}",
                got=f"{len(unlike)} of {len(mine)}, first {reference.ids[unlike[0]]!r}",
                remedy="evaluate both models on the same data, with the same prompts",
            )
    return ordered


def distinct(samples: Samples) -> Samples:
    """The first of those samples that have the same content: copies prove nothing new."""
    first: dict[str, str] = {}
    for sample, digest in zip(samples.ids, samples.digests, strict=False):
        first.setdefault(digest, sample)
    if len(first) in {0, len(samples.ids)}:
        return samples
    kept = set(first.values())
    return samples.in_order([sample for sample in samples.ids if sample in kept])


def check_enough(files: Sequence[Any]) -> None:
    """Refuse fewer than two.

    Raises:
        UsageError: they are.
    """
    if len(files) < _LEAST:
        raise UsageError(
            "one file cannot be compared", expected="the reference, and one file or more to judge"
        )


def results_of(
    sides: Sequence[Samples],
    names: Sequence[str],
    paths: Sequence[Path],
    dataset: str,
    left_out: int = 0,
) -> list[Results]:
    """What `non_inferior` takes, the reference first; where one file has numbers, all have.

    Args:
        sides: of one metric, in one order.
        names: of the files they come from.
        paths: the files themselves: two models may well have the same answers.
        dataset: of what they are samples of.
        left_out: samples of equal content that are counted once.
    """
    if any(side.values.dtype != bool for side in sides):
        sides = [replace(side, values=side.values.astype(np.float64)) for side in sides]
    return [
        _results(side, name, dataset, left_out, identity=str(path.resolve()), is_reference=i == 0)
        for i, (side, name, path) in enumerate(zip(sides, names, paths, strict=True))
    ]


def _results(
    samples: Samples, name: str, dataset: str, left_out: int, *, identity: str, is_reference: bool
) -> Results:
    metric = samples.name
    return Results(
        name=name,
        rows=[
            {"id": sample, "value": value}
            for sample, value in zip(samples.ids, samples.values.tolist(), strict=True)
        ],
        replicates={metric: np.array([samples.values.mean()], dtype=np.float64)},
        lower_is_better=frozenset({metric}) if samples.lower_is_better else frozenset(),
        dataset={
            "name": dataset,
            "n": len(samples.ids),
            "sha256": digest_of([samples.ids, samples.digests]),
            **({"groups": len(set(samples.groups))} if samples.groups else {}),
            **({"duplicates": left_out} if left_out else {}),
        },
        is_reference=is_reference,
        identity=identity,
        per_sample={metric: samples.values},
        groups=samples.groups,
        signed=frozenset({metric}) if (samples.values < 0).any() else frozenset(),
    )
