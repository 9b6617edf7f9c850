"""Commands on record files: accept, report, compare."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from quantbench.cli.options import CACHE, FILE, store_of
from quantbench.cli.output import put
from quantbench.report.tables import FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable

    from quantbench.core.places import Place


@click.command(epilog="Example: quantbench accept out.json -o benchmarks/baselines/main.json")
@click.argument("records", type=FILE)
@click.option("-o", "--output", type=FILE, help="File to write; default: standard output.")
@click.option("--times", is_flag=True, help="Keep latencies too: they are this machine's.")
def accept(records: Path, output: Path | None, *, times: bool) -> None:
    """Make RECORDS, a file of --benchmark-json, the baseline of --quant-baseline."""
    from quantbench.record.baseline import accepted, as_text
    from quantbench.record.reading import read_document

    document = read_document(records)
    baseline = accepted(document, times=times)
    text = as_text(baseline)
    for record in document["records"]:
        if record["case"] not in baseline["cases"]:
            click.echo(f"left out, for it has no evidence: {record['case']}", err=True)
    put(text, output)


@click.command(
    epilog="Examples: quantbench report out.json -o report.html; "
    "quantbench report out.json --format png -o figures"
)
@click.argument("records", nargs=-1, type=FILE, required=True)
@click.option(
    "--format",
    "form",
    type=click.Choice(["html", "markdown", "csv", "json", "model-card", "png", "timings"]),
    default="html",
    show_default=True,
)
@click.option("--case", default="", help="The case that a model card is about.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="File to write, of png the folder; default: standard output.",
)
def report(records: tuple[Path, ...], form: str, case: str, output: Path | None) -> None:
    """Show the cases of RECORDS files: one self-contained page, or tables and figures alone.

    A model-card is what one case's published model says of itself on the Hugging Face Hub;
    timings say where the time of the run went.
    """
    from quantbench.report import exports
    from quantbench.report.reports import gathered

    if case and form != "model-card":
        raise click.UsageError("--case is for --format model-card")
    if form == "timings":
        from quantbench.record.reading import read_document
        from quantbench.report.timings import as_timings

        put(as_timings([read_document(path) for path in records]), output)
        return
    views, runs = gathered(records)
    if form == "model-card":
        from quantbench.report.model_card import as_model_card

        put(as_model_card(views, case), output)
        return
    if form == "png":
        if output is None:
            raise click.UsageError("figures are files: name a folder with -o")
        try:
            written = exports.write_pngs(views, output)
        except OSError as error:
            raise click.UsageError(f"cannot write {output}: {error}") from error
        click.echo(f"{len(written)} figures in {output}", err=True)
        return
    if form == "html":
        from quantbench.report.page import as_html as write
    else:
        write = {
            "markdown": exports.as_markdown,
            "csv": exports.as_csv,
            "json": exports.as_json,
        }[form]
    put(write(views, runs), output)


@click.command(epilog="Example: quantbench compare main.json branch.json --format markdown")
@click.argument("records", nargs=-1, type=FILE, required=True)
@click.option(
    "--format",
    "form",
    type=click.Choice(list(FORMATS)),
    default="table",
    show_default=True,
)
@click.option(
    "--machines",
    is_flag=True,
    help="Judge nothing: whether machines answer alike, and their latency and energy side by side.",
)
@CACHE
def compare(records: tuple[Path, ...], form: str, quant_cache: Place, *, machines: bool) -> None:
    """Compare the cases of two or more RECORDS files; the first is what the others are judged by.

    A case is judged by the gate of its own study: paired on samples where the evidence of both
    is in the store, else by intervals. Exit status 1 if one is worse, broken or gone.
    """
    from quantbench.record.comparing import WORSE, compared
    from quantbench.record.reading import read_document
    from quantbench.report.machines import FORMATS as SIDE_BY_SIDE
    from quantbench.report.machines import side_by_side

    if len(records) < 2:  # noqa: PLR2004 - a comparison has two sides
        raise click.UsageError("name two files or more")
    first, *others = ((str(path), read_document(path)) for path in records)
    if machines:
        click.echo(SIDE_BY_SIDE[form](side_by_side([first, *others])), nl=False)
        return
    store = store_of(quant_cache)
    rows = [row for other in others for row in compared(first, other, store)]
    write: Callable[[list[dict[str, Any]]], str] = FORMATS[form]
    click.echo(write(rows), nl=False)
    if any(row["verdict"] in WORSE for row in rows):
        sys.exit(1)
