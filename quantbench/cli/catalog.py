"""Commands on what could run: cases, fetch, doctor."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from quantbench.cli.options import CACHE, DATA, session_of, store_of
from quantbench.errors import QuantbenchError

if TYPE_CHECKING:
    from pathlib import Path

    from quantbench.core.places import Place


@click.command(epilog="Example: quantbench cases smollm2_135m_instruct --quant-data DIR")
@click.argument("models", nargs=-1)
@DATA
@CACHE
def cases(models: tuple[str, ...], quant_data: Path | None, quant_cache: Place) -> None:
    """List the cases of MODELS (default: the whole catalog): which can run, what the rest lack.

    MODELS are names of the catalog, module:MODEL, test_file.py or test_file.py::CASE.
    `ready` runs as it is, `fetch` fetches files first, `missing` is skipped. Nothing is fetched.
    """
    from quantbench.catalog.lookup import find_cases
    from quantbench.catalog.models import MODELS
    from quantbench.report.terminal import aligned
    from quantbench.run.reach import reach_of

    store = store_of(quant_cache)
    found = [
        reach_of(case, store, quant_data)
        for model in models or MODELS
        for case in find_cases(model)
    ]
    for line in aligned([(each.case, each.state, each.why) for each in found], text=3):
        click.echo(line[2:])
    ready = sum(each.state != "missing" for each in found)
    click.echo(f"{ready} of {len(found)} cases can run", err=True)


@click.command(epilog="Examples: quantbench fetch --study; quantbench fetch nanodet_416 kjv")
@click.argument("names", nargs=-1)
@click.option("--study", is_flag=True, help="Everything that the embedded study needs.")
@DATA
@CACHE
def fetch(
    names: tuple[str, ...], quant_data: Path | None, quant_cache: Place, *, study: bool
) -> None:
    """Fetch and verify the files of NAMES, so that runs need no network.

    NAMES are models and data sets of the catalog, module:MODEL, test_file.py or test_file.py::CASE.
    Exit status 1 if one of them could not be had; the others are.
    """
    from quantbench.catalog.lookup import sources
    from quantbench.catalog.models import EMBEDDED
    from quantbench.sources.parsing import File, parse_source

    if not names and not study:
        raise click.UsageError("name models or data sets, or --study")
    embedded = [*EMBEDDED, *(data for found in EMBEDDED.values() for data in found)]
    wanted: dict[str, str] = {}
    for name in (*names, *(embedded if study else ())):
        wanted |= sources(name)
    session = session_of(quant_data, quant_cache)
    failed = 0
    for text, name in wanted.items():
        try:
            if isinstance(source := parse_source(text, quant_data), File):
                source.check()  # read where it is
                click.echo(f"{name}  {source.path}")
                continue
            files = session.source(text)
        except QuantbenchError as error:
            click.echo(f"{name}: {error}", err=True)
            failed += 1
        else:
            how = "fetched" if files.cache == "built" else "there already"
            click.echo(f"{name}  {files.size_bytes / 1e6:.1f} MB  {how}  {files.path}")
    sys.exit(1 if failed else 0)


@click.command(epilog="Example: quantbench doctor --offline")
@click.option("--offline", is_flag=True, help="Do not ask registries and hubs.")
@CACHE
def doctor(quant_cache: Place, *, offline: bool) -> None:
    """Say what this machine can run, and why not the rest.

    Exit status 1 if the embedded study cannot run here.
    """
    from quantbench.run.doctor import examine

    broken = False
    for found in examine(store_of(quant_cache), online=not offline):
        click.echo(f"{found.state:<8} {found.what:<18} {found.said}")
        if found.next:
            click.echo(f"{'':<8} {'':<18} next: {found.next}")
        broken |= found.state == "broken"
    click.echo(
        "the embedded study cannot run here" if broken else "the embedded study can run here",
        err=True,
    )
    sys.exit(1 if broken else 0)
