"""`quantbench margin`: how many samples a margin needs, and which margin some samples decide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from quantbench.cli.options import FILE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from quantbench.stats.planning import Truth


class _Share(click.ParamType):  # type: ignore[type-arg]
    """A number, or a percentage."""

    name = "share"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        text = str(value)
        try:
            return float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            self.fail(f"{text!r} is no number and no percentage", param, ctx)


_SHARE = _Share()
_FEWEST_GROUPS = 10  # a gate refuses fewer


@click.command(
    epilog="Examples: quantbench margin --lost 2% --gained 2% --margin 0.02; "
    "quantbench margin --lost 2% --gained 2% --samples 500; quantbench margin out.json"
)
@click.argument("records", nargs=-1, type=FILE)
@click.option("--margin", type=_SHARE, help="How many samples does this margin need?")
@click.option("--samples", type=click.IntRange(min=2), help="Which margin do so many decide?")
@click.option("--lost", type=_SHARE, help="Share of samples that only the float model has right.")
@click.option("--gained", type=_SHARE, help="Share that only the quantized model has right.")
@click.option("--spread", type=_SHARE, help="Of another metric: one sample's standard deviation.")
@click.option("--loss", type=_SHARE, default=0.0, show_default=True, help="Its true loss.")
@click.option("--power", type=_SHARE, default=0.8, show_default=True, help="Chance of a pass.")
@click.option("--confidence", type=_SHARE, default=0.95, show_default=True, help="Of a bound.")
@click.option("--gates", type=click.IntRange(min=1), default=1, help="Of the run, for Holm.")
def margin(records: tuple[Path, ...], **asked: Any) -> None:
    """Say how many samples a margin needs, or which margin a number of samples decides.

    Say what you expect: for right and wrong answers the shares that flip, --lost and --gained; for
    another metric --spread and --loss. Or give RECORDS of a small run (out.json): each of its
    verdicts is planned anew, as if what it showed were true.
    """
    from quantbench.report.terminal import aligned
    from quantbench.stats.planning import Differences, Flips, margin_for, samples_for

    for name in ("power", "confidence"):
        if not 0.5 < asked[name] < 1:  # noqa: PLR2004 - less is no better than a coin
            raise click.UsageError(f"--{name} lies between 0.5 and 1")
    alpha = (1 - asked["confidence"]) / asked["gates"]
    if records:
        titles = ("case", "metric", "margin", "difference", "has", "needs", "would decide")
        rows = [titles, *(row for path in records for row in _planned(path, asked, alpha))]
        for line in aligned(rows, text=2):
            click.echo(line[2:])
        return
    if (asked["margin"] is None) == (asked["samples"] is None):
        raise click.UsageError("give one of --margin and --samples, or RECORDS")
    flips = asked["lost"], asked["gained"]
    if (asked["spread"] is None) == (None in flips):
        raise click.UsageError("give --lost and --gained, or --spread")
    truth: Truth = (
        Flips(*flips) if asked["spread"] is None else Differences(-asked["loss"], asked["spread"])
    )
    if asked["samples"] is None:
        found = samples_for(truth, asked["margin"], alpha, asked["power"])
        click.echo(f"{found} samples pass a margin of {asked['margin']:g}")
    else:
        least = margin_for(truth, asked["samples"], alpha, asked["power"])
        click.echo(f"{asked['samples']} samples pass a margin of {_up(least):g}")
    click.echo(f"with {asked['power']:.0%} power, if that is what is true", err=True)


def _planned(path: Path, asked: Mapping[str, Any], alpha: float) -> Iterator[tuple[str, ...]]:
    """A row for each verdict of the file that leaves anything to chance."""
    from quantbench.errors import UsageError
    from quantbench.record.reading import read_document
    from quantbench.stats.planning import margin_for, samples_for

    for record in read_document(path)["records"]:
        for verdict in record["verdicts"]:
            if (truth := _truth(verdict)) is None:
                continue
            had = verdict["groups"] or verdict["n"]
            wanted = asked["margin"] or verdict["margin"]
            try:
                needs = f"{samples_for(truth, wanted, alpha, asked['power'])}"
            except UsageError:
                needs = "no number"
            try:
                least = (
                    f"{_up(margin_for(truth, asked['samples'] or had, alpha, asked['power'])):g}"
                )
            except UsageError:
                least = "none"
            unit = " groups" if verdict["groups"] else ""
            shown = f"{wanted:g}", f"{verdict['difference']:+.4f}", f"{had}{unit}"
            yield record["case"], verdict["metric"], *shown, needs, least


def _truth(verdict: Mapping[str, Any]) -> Truth | None:
    """What a verdict showed, as if it were true; None of one that says nothing of samples."""
    from scipy.special import ndtri

    from quantbench.stats.planning import Differences, Flips

    numbers = [verdict.get(name) for name in ("difference", "low", "high", "n")]
    sampled = verdict.get("method", "").startswith("paired")
    if verdict.get("exact") or not sampled or None in numbers:
        return None
    difference, low, high, n = (float(number) for number in numbers if number is not None)
    if verdict.get("flips") and not verdict.get("groups"):
        lost, gained = verdict["flips"]
        return Flips(lost / n, gained / n)
    units = verdict.get("groups") or n
    half = (high - low) / 2 / float(ndtri(verdict["confidence"]))
    loss = difference if verdict["lower_is_better"] else -difference
    fewest = _FEWEST_GROUPS if verdict.get("groups") else Differences.fewest
    return Differences(-loss, half * units**0.5, fewest)


def _up(margin: float) -> float:
    """To two digits, so that it is no less."""
    import math

    unit = 10.0 ** (math.floor(math.log10(margin)) - 1)
    return round(math.ceil(margin / unit - 1e-9) * unit, 12)
