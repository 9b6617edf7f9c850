"""`quantbench`: what is done before a run and after it. Data on stdout, talk on stderr.

Exit status: 0 all is well, 1 a case is worse, 2 the input cannot be used (of `judge` also 3:
nothing is worse for certain, and not all is well).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from quantbench.cli.judge import judge
from quantbench.cli.output import put
from quantbench.errors import QuantbenchError

if TYPE_CHECKING:
    from collections.abc import Callable

    from quantbench.run.session import Session
    from quantbench.store.artifacts import Store

_FILE = click.Path(path_type=Path, dir_okay=False)
_CACHE = click.option(
    "--quant-cache",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="QUANTBENCH_CACHE",
    help="Folder of the artifact store; default: the platform's cache directory.",
)
_DATA = click.option(
    "--quant-data",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    envvar="QUANTBENCH_DATA",
    help="Folder with data that cannot be shipped.",
)


class _Explained(click.Group):
    """Errors of quantbench's tree, and extras not installed, are explained; exit status 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except QuantbenchError as error:
            click.echo(f"quantbench: {error}", err=True)
            ctx.exit(2)
        except ModuleNotFoundError as error:
            from quantbench.core.plugins import missing_extra

            if (lack := missing_extra(error.name)) is None:
                raise
            click.echo(f"quantbench: {lack}", err=True)
            ctx.exit(2)


@click.group(cls=_Explained, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="quantbench", prog_name="quantbench")
def main() -> None:
    """Did quantization make the model worse, by how much, and is that certain?

    The measuring is done by pytest: `pytest benchmarks --benchmark-json out.json`. Completion for
    bash: eval "$(_QUANTBENCH_COMPLETE=bash_source quantbench)"; likewise zsh_source, fish_source.
    """


@main.command(epilog="Example: quantbench accept out.json -o benchmarks/baselines/main.json")
@click.argument("records", type=_FILE)
@click.option("-o", "--output", type=_FILE, help="File to write; default: standard output.")
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


@main.command(
    epilog="Examples: quantbench report out.json -o report.html; "
    "quantbench report out.json --format png -o figures"
)
@click.argument("records", nargs=-1, type=_FILE, required=True)
@click.option(
    "--format",
    "form",
    type=click.Choice(["html", "markdown", "csv", "json", "png"]),
    default="html",
    show_default=True,
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="File to write, of png the folder; default: standard output.",
)
def report(records: tuple[Path, ...], form: str, output: Path | None) -> None:
    """Show the cases of RECORDS files: one self-contained page, or tables and figures alone."""
    from quantbench.report import exports
    from quantbench.report.reports import gathered

    views, runs = gathered(records)
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


@main.command(epilog="Example: quantbench compare main.json branch.json --format markdown")
@click.argument("records", nargs=-1, type=_FILE, required=True)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "markdown", "csv", "json"]),
    default="table",
    show_default=True,
)
@_CACHE
def compare(records: tuple[Path, ...], form: str, quant_cache: Path | None) -> None:
    """Compare the cases of two or more RECORDS files; the first is what the others are judged by.

    A case is judged by the gate of its own study: paired on samples where the evidence of both
    is in the store, else by intervals. Exit status 1 if one is worse, broken or gone.
    """
    from quantbench.record.comparing import WORSE, compared
    from quantbench.record.reading import read_document
    from quantbench.report.tables import FORMATS

    if len(records) < 2:  # noqa: PLR2004 - a comparison has two sides
        raise click.UsageError("name two files or more")
    first, *others = ((str(path), read_document(path)) for path in records)
    rows = [row for other in others for row in compared(first, other, quant_cache)]
    write: Callable[[list[dict[str, Any]]], str] = FORMATS[form]
    click.echo(write(rows), nl=False)
    if any(row["verdict"] in WORSE for row in rows):
        sys.exit(1)


@main.command(epilog="Example: quantbench cases smollm2_135m_instruct --quant-data DIR")
@click.argument("models", nargs=-1)
@_DATA
@_CACHE
def cases(models: tuple[str, ...], quant_data: Path | None, quant_cache: Path | None) -> None:
    """List the cases of MODELS (default: the whole catalog): which can run, what the rest lack.

    `ready` runs as it is, `fetch` fetches files first, `missing` is skipped. Nothing is fetched.
    """
    from quantbench.catalog.models import MODELS
    from quantbench.catalog.models import cases as cases_of
    from quantbench.report.terminal import aligned
    from quantbench.run.reach import reach_of

    store = _store(quant_cache)
    found = [
        reach_of(case, store, quant_data) for model in models or MODELS for case in cases_of(model)
    ]
    for line in aligned([(each.case, each.state, each.why) for each in found], text=3):
        click.echo(line[2:])
    ready = sum(each.state != "missing" for each in found)
    click.echo(f"{ready} of {len(found)} cases can run", err=True)


@main.command(epilog="Examples: quantbench fetch --study; quantbench fetch nanodet_416 kjv")
@click.argument("names", nargs=-1)
@click.option("--study", is_flag=True, help="Everything that the embedded study needs.")
@_DATA
@_CACHE
def fetch(
    names: tuple[str, ...], quant_data: Path | None, quant_cache: Path | None, *, study: bool
) -> None:
    """Fetch and verify the files of models and data sets by NAMES, so that runs need no network.

    Exit status 1 if one of them could not be had; the others are.
    """
    from quantbench.catalog.datasets import find_dataset
    from quantbench.catalog.models import EMBEDDED, MODELS, find_model
    from quantbench.core.settings import Settings
    from quantbench.errors import UsageError
    from quantbench.run.session import Session
    from quantbench.sources.parsing import File, parse_source

    if not names and not study:
        raise click.UsageError("name models or data sets, or --study")
    wanted = [*names, *(EMBEDDED if study else ())]
    wanted += [dataset for found in EMBEDDED.values() for dataset in found] if study else []
    sources: dict[str, str] = {}
    for name in wanted:
        try:
            described = find_model(name) if name in MODELS else find_dataset(name)
        except UsageError as error:
            raise UsageError(
                f"neither a model nor a data set: {name!r}",
                expected=f"{', '.join(sorted(MODELS))}, or {_first_expected(error)}",
            ) from error
        texts = (described.source, getattr(described, "calibration_source", None))
        sources |= {text: name for text in texts if text}
    workshop = Session(Settings(cache=quant_cache, data=quant_data), _progress())
    failed = 0
    for text, name in sources.items():
        try:
            if isinstance(source := parse_source(text, quant_data), File):
                source.check()  # read where it is
                click.echo(f"{name}  {source.path}")
                continue
            files = workshop.source(text)
        except QuantbenchError as error:
            click.echo(f"{name}: {error}", err=True)
            failed += 1
        else:
            how = "fetched" if files.cache == "built" else "there already"
            click.echo(f"{name}  {files.size_bytes / 1e6:.1f} MB  {how}  {files.path}")
    sys.exit(1 if failed else 0)


def _first_expected(error: QuantbenchError) -> str:
    lines = str(error).splitlines()
    return next(
        (line.partition("expected:")[2].strip() for line in lines if "expected:" in line), ""
    )


def _store(folder: Path | None) -> Store:
    from quantbench.store.artifacts import Store, default_root

    return Store(folder or default_root())


def _progress() -> Any:
    """On standard error, if that is a terminal."""
    if not sys.stderr.isatty():
        return None
    from rich.console import Console

    from quantbench.report.progress import TerminalProgress

    return TerminalProgress(Console(stderr=True))


@main.command(epilog="Example: quantbench doctor --offline")
@click.option("--offline", is_flag=True, help="Do not ask registries and hubs.")
@_CACHE
def doctor(quant_cache: Path | None, *, offline: bool) -> None:
    """Say what this machine can run, and why not the rest.

    Exit status 1 if the embedded study cannot run here.
    """
    from quantbench.run.doctor import examine

    broken = False
    for found in examine(_store(quant_cache), online=not offline):
        click.echo(f"{found.state:<8} {found.what:<18} {found.said}")
        if found.next:
            click.echo(f"{'':<8} {'':<18} next: {found.next}")
        broken |= found.state == "broken"
    click.echo(
        "the embedded study cannot run here" if broken else "the embedded study can run here",
        err=True,
    )
    sys.exit(1 if broken else 0)


@main.command(epilog="Example: quantbench diagnose nanodet_416_as_shipped-int8_static-coco")
@click.argument("case")
@click.option("--quick", is_flag=True, help="Leave the minutes of one op alone out.")
@click.option("-o", "--output", type=_FILE, help="Write the diagnosis as JSON, too.")
@_DATA
@_CACHE
def diagnose(
    case: str,
    output: Path | None,
    quant_data: Path | None,
    quant_cache: Path | None,
    *,
    quick: bool,
) -> None:
    """Explain why CASE is worse than its float model: causes, ops and numbers, worst first."""
    import json

    from quantbench.catalog.models import find_case
    from quantbench.report.terminal import diagnosis_block

    found = _bench(quant_data, quant_cache).diagnose(find_case(case), alone=not quick)
    for line in diagnosis_block(found):
        click.echo(line)
    if output is not None:
        put(json.dumps(found, indent=1, sort_keys=True) + "\n", output)


@main.command(epilog="Example: quantbench mend centernet_mobilenetv3-int8_static-coco")
@click.argument("case")
@click.option("--margin", type=float, help="Loss that may be left; default: .015 AP, .02 accuracy.")
@click.option("--metric", help="To be judged by, e.g. agreement_AP, which needs no labels.")
@click.option("-o", "--output", type=_FILE, help="Write the recipe, to be committed.")
@_DATA
@_CACHE
def mend(
    case: str,
    margin: float | None,
    metric: str | None,
    output: Path | None,
    quant_data: Path | None,
    quant_cache: Path | None,
) -> None:
    """Search a mixed-precision recipe with which CASE's model passes its gate.

    Of a detector the fewest ops that int8 leaves in float; of a language model the bits of each
    layer, 4.6 on average. Searched on the calibration split, judged on the evaluated one.
    Exit status 1 if it does not pass there.
    """
    from dataclasses import replace

    from quantbench.catalog.models import find_case
    from quantbench.diagnosis.recipe_files import RECIPE
    from quantbench.errors import UsageError
    from quantbench.record.recording import record_of
    from quantbench.report.terminal import recipe_block, verdict_block
    from quantbench.run.judging import non_inferior
    from quantbench.study import Gate, Scheme
    from quantbench.study.registry import find_backend

    bench = _bench(quant_data, quant_cache)
    asked = find_case(case)
    backend = find_backend(asked.scheme.backend)
    if not backend.mended:
        raise UsageError(f"nothing mends models of the backend {backend.name}")
    asked = replace(asked, scheme=Scheme.parse(backend.mended))
    usual = backend.mendings[asked.scheme.quantizer].gate
    gate = Gate(
        usual.metric if metric is None else metric, usual.margin if margin is None else margin
    )
    found = bench.recipe(asked, gate).path / RECIPE
    mended = replace(asked, scheme=replace(asked.scheme, recipe=str(found)))
    verdict = non_inferior(
        bench.evaluate(mended), bench.reference(mended), metric=gate.metric, margin=gate.margin
    )
    for line in recipe_block(found.read_text(), bench.compared_speed(mended)):
        click.echo(line)
    click.echo(verdict_block(record_of(bench, mended)))
    if output is not None:
        put(found.read_text(), output)
    sys.exit(0 if verdict else 1)


def _bench(data: Path | None, cache: Path | None) -> Session:
    import os

    from quantbench.core.settings import Settings, usable_threads
    from quantbench.run.session import Session

    threads = usable_threads(os.environ)
    return Session(Settings(cache=cache, data=data, threads=threads), _progress())


main.add_command(judge)


@main.group()
def cache() -> None:
    """Look after the artifact store."""


@cache.command("list")
@_CACHE
def list_(quant_cache: Path | None) -> None:
    """List what is stored, least recently used first."""
    import time

    from quantbench.report.numbers import size
    from quantbench.report.terminal import aligned
    from quantbench.store.upkeep import entries

    store = _store(quant_cache)
    found = entries(store)
    rows = [
        (
            entry.kind,
            entry.key[:12],
            entry.what,
            size(entry.size_bytes),
            time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used_s)),
        )
        for entry in found
    ]
    for line in aligned([("kind", "key", "what", "size", "last used"), *rows], text=3):
        click.echo(line[2:])
    total = sum(entry.size_bytes for entry in found)
    click.echo(f"{len(found)} entries, {size(total)}, in {store.root}", err=True)


@cache.command()
@_CACHE
def verify(quant_cache: Path | None) -> None:
    """Read every file and compare it with its digest. Exit status 1 if one is damaged."""
    from quantbench.store.upkeep import damaged, entries

    store = _store(quant_cache)
    bad = list(damaged(store))
    for entry in bad:
        click.echo(f"{entry.kind}/{entry.key}  {entry.what}")
    click.echo(
        f"{len(bad)} of {len(entries(store))} entries are damaged; a run builds them again",
        err=True,
    )
    sys.exit(1 if bad else 0)


@cache.command(epilog="Example: quantbench cache gc --max-size 20GB")
@click.option("--max-size", required=True, help="What may stay, e.g. 20GB.")
@_CACHE
def gc(max_size: str, quant_cache: Path | None) -> None:
    """Remove what was not used for longest until the store is small enough.

    What was used within the last hour stays: a run may hold it.
    """
    from quantbench.report.numbers import size
    from quantbench.store.upkeep import collect, entries, parse_size

    store = _store(quant_cache)
    most = parse_size(max_size)
    removed = collect(store, most)
    for entry in removed:
        click.echo(f"{entry.kind}/{entry.key}  {entry.what}")
    left = sum(entry.size_bytes for entry in entries(store))
    freed = sum(entry.size_bytes for entry in removed)
    kept = "; the rest was used within the last hour" if left > most else ""
    click.echo(f"freed {size(freed)}, {size(left)} left{kept}", err=True)


@cache.command()
@click.confirmation_option("--yes", prompt="Remove everything from the store?")
@_CACHE
def clear(quant_cache: Path | None) -> None:
    """Remove everything; runs build it again."""
    from quantbench.report.numbers import size
    from quantbench.store.upkeep import clear as clear_store

    removed = clear_store(_store(quant_cache))
    freed = sum(entry.size_bytes for entry in removed)
    click.echo(f"removed {len(removed)} entries, {size(freed)}", err=True)
