"""Commands on the artifact store."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from quantbench.cli.options import CACHE, store_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from quantbench.core.places import Place
    from quantbench.store.remote import Remote
    from quantbench.store.upkeep import Entry

REMOTE = click.option(
    "--remote", is_flag=True, help="The team's store that --quant-cache names, not the folder."
)


@click.group()
def cache() -> None:
    """Look after the artifact store."""


@cache.command("list")
@REMOTE
@CACHE
def list_(quant_cache: Place, *, remote: bool) -> None:
    """List what is stored, least recently used first; of a team's store, the oldest first."""
    from quantbench.report.numbers import size
    from quantbench.store.sharing import shared
    from quantbench.store.upkeep import entries

    if remote:
        team = _remote_of(quant_cache)
        found, where, when = [each.entry for each in shared(team)], team.url, "written"
    else:
        store = store_of(quant_cache)
        found, where, when = entries(store), str(store.root), "last used"
    _print_table(found, when)
    total = sum(entry.size_bytes for entry in found)
    click.echo(f"{len(found)} entries, {size(total)}, in {where}", err=True)


def _print_table(found: Iterable[Entry], when: str) -> None:
    import time

    from quantbench.report.numbers import size
    from quantbench.report.terminal import aligned

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
    for line in aligned([("kind", "key", "what", "size", when), *rows], text=3):
        click.echo(line[2:])


@cache.command()
@click.option("--remove", is_flag=True, help="Take away what is damaged in the team's store.")
@REMOTE
@CACHE
def verify(quant_cache: Place, *, remote: bool, remove: bool) -> None:
    """Read every file and compare it with its digest. Exit status 1 if one is damaged."""
    from quantbench.store.upkeep import damaged, entries

    if remove and not remote:
        raise click.UsageError("--remove goes with --remote: in a folder, a run builds them again")
    if remote:
        _verify_remote(_remote_of(quant_cache), remove=remove)
        return
    store = store_of(quant_cache)
    bad = list(damaged(store))
    for entry in bad:
        click.echo(f"{entry.kind}/{entry.key}  {entry.what}")
    click.echo(
        f"{len(bad)} of {len(entries(store))} entries are damaged; a run builds them again",
        err=True,
    )
    sys.exit(1 if bad else 0)


def _verify_remote(team: Remote, *, remove: bool) -> None:
    from quantbench.store.sharing import damaged_shared, remove_shared, shared

    bad = list(damaged_shared(team))
    for each in bad:
        click.echo(f"{each.entry.kind}/{each.entry.key}  {each.entry.what}")
        if remove:
            remove_shared(team, each)
    then = "removed: the next run that builds one uploads it" if remove else "--remove removes them"
    every = len(shared(team)) + (len(bad) if remove else 0)
    click.echo(f"{len(bad)} of {every} entries are damaged{f'; {then}' if bad else ''}", err=True)
    sys.exit(1 if bad else 0)


@cache.command(epilog="Example: quantbench cache gc --max-size 20GB")
@click.option("--max-size", required=True, help="What may stay, e.g. 20GB.")
@REMOTE
@CACHE
def gc(max_size: str, quant_cache: Place, *, remote: bool) -> None:
    """Remove what was not used for longest until the store is small enough.

    What was used within the last hour stays: a run may hold it. Of a team's store the oldest
    written goes, and what killed uploads left a day ago.
    """
    from quantbench.report.numbers import size
    from quantbench.store.sharing import collect_shared, shared
    from quantbench.store.upkeep import collect, entries, parse_size

    most = parse_size(max_size)
    if remote:
        team = _remote_of(quant_cache)
        removed = collect_shared(team, most)
        left = sum(each.entry.size_bytes for each in shared(team))
    else:
        store = store_of(quant_cache)
        removed = collect(store, most)
        left = sum(entry.size_bytes for entry in entries(store))
    for entry in removed:
        click.echo(f"{entry.kind}/{entry.key}  {entry.what}")
    freed = sum(entry.size_bytes for entry in removed)
    rest = "is younger than a day and unfinished" if remote else "was used within the last hour"
    kept = f"; the rest {rest}" if left > most else ""
    click.echo(f"freed {size(freed)}, {size(left)} left{kept}", err=True)


def _remote_of(place: Place) -> Remote:
    """The team's store that was named."""
    remote = store_of(place).remote
    if remote is None:
        raise click.UsageError("--remote: name the team's store, --quant-cache s3://bucket/prefix")
    return remote


@cache.command()
@click.confirmation_option("--yes", prompt="Remove everything from the store?")
@CACHE
def clear(quant_cache: Place) -> None:
    """Remove everything from the folder; runs build it again, or fetch it from the team."""
    from quantbench.report.numbers import size
    from quantbench.store.upkeep import clear as clear_all

    removed = clear_all(store_of(quant_cache))
    freed = sum(entry.size_bytes for entry in removed)
    click.echo(f"removed {len(removed)} entries, {size(freed)}", err=True)
