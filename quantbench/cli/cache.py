"""Commands on the artifact store."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from quantbench.cli.options import CACHE, store_of

if TYPE_CHECKING:
    from pathlib import Path


@click.group()
def cache() -> None:
    """Look after the artifact store."""


@cache.command("list")
@CACHE
def list_(quant_cache: Path | None) -> None:
    """List what is stored, least recently used first."""
    import time

    from quantbench.report.numbers import size
    from quantbench.report.terminal import aligned
    from quantbench.store.upkeep import entries

    store = store_of(quant_cache)
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
@CACHE
def verify(quant_cache: Path | None) -> None:
    """Read every file and compare it with its digest. Exit status 1 if one is damaged."""
    from quantbench.store.upkeep import damaged, entries

    store = store_of(quant_cache)
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
@CACHE
def gc(max_size: str, quant_cache: Path | None) -> None:
    """Remove what was not used for longest until the store is small enough.

    What was used within the last hour stays: a run may hold it.
    """
    from quantbench.report.numbers import size
    from quantbench.store.upkeep import collect, entries, parse_size

    store = store_of(quant_cache)
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
@CACHE
def clear(quant_cache: Path | None) -> None:
    """Remove everything; runs build it again."""
    from quantbench.report.numbers import size
    from quantbench.store.upkeep import clear as clear_all

    removed = clear_all(store_of(quant_cache))
    freed = sum(entry.size_bytes for entry in removed)
    click.echo(f"removed {len(removed)} entries, {size(freed)}", err=True)
