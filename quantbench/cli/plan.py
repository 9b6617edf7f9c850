"""The command that says beforehand what a study takes."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import click

from quantbench.cli.options import CACHE, DATA

if TYPE_CHECKING:
    from pathlib import Path

    from quantbench.core.places import Place
    from quantbench.study import Case


@click.command(
    epilog="Examples: quantbench plan llama_2_7b --scheme gptq_int4_g64; "
    "quantbench plan benchmarks/test_coco.py --quant-data DIR"
)
@click.argument("models", nargs=-1, required=True)
@click.option("--scheme", "schemes", multiple=True, help="Instead of a model's own; repeatable.")
@click.option("--samples", type=click.IntRange(min=0), help="Evaluated samples a case; 0 for all.")
@click.option("--json", "as_json", is_flag=True, help="Every number, for programs.")
@DATA
@CACHE
def plan(
    models: tuple[str, ...],
    schemes: tuple[str, ...],
    samples: int | None,
    quant_data: Path | None,
    quant_cache: Place,
    *,
    as_json: bool,
) -> None:
    """Say what the cases of MODELS will take, and whether that fits this machine.

    MODELS are names of the catalog, module:MODEL, test_file.py or test_file.py::CASE. Bytes to
    fetch, disk, memory and time of what the store does not have yet; nothing is fetched or built.
    Exit status 1 if it does not fit.
    """
    from quantbench.cli.quiet import frameworks_quiet
    from quantbench.core.settings import Settings, usable_threads
    from quantbench.core.words import plural
    from quantbench.report.terminal import aligned
    from quantbench.run.planning.planning import plan as planned
    from quantbench.run.planning.telling import sentence, table, unknowns

    found = [case for model in models for case in _cases(model, schemes)]
    settings = Settings(
        cache=quant_cache.folder,
        data=quant_data,
        samples=samples,
        threads=usable_threads(os.environ),
    )
    with frameworks_quiet():
        made = planned(found, settings)
    if as_json:
        click.echo(json.dumps(made.as_json(), indent=1, sort_keys=True))
        sys.exit(0 if made.fits else 1)
    click.echo(sentence(made))
    for line in unknowns(made):
        click.echo(line)
    click.echo()
    for line in aligned(list(table(made)), text=1):
        click.echo(line[2:])
    lacking: dict[str, int] = {}
    for lack in [lack for each in made.cases for lack in each.lacks]:
        lacking[lack] = lacking.get(lack, 0) + 1
    for lack, n in lacking.items():
        click.echo(f"{plural(n, 'case')} cannot run here yet: {lack}", err=True)
    sys.exit(0 if made.fits else 1)


def _cases(model: str, schemes: tuple[str, ...]) -> list[Case]:
    """The model's cases; under other schemes than its own, on each of its data sets."""
    from quantbench.catalog.lookup import find_cases
    from quantbench.study import Scheme
    from quantbench.study.case import Case

    found = find_cases(model)
    if not schemes:
        return found
    every = {(case.model, case.dataset, case.device): case for case in found}
    return [
        Case(case.model, Scheme.parse(name), case.dataset, device=case.device)
        for case in every.values()
        for name in schemes
    ]
