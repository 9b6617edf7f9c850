"""Commands on what a case lost: diagnose, mend."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from quantbench.cli.options import CACHE, DATA, FILE, quiet_session
from quantbench.cli.output import put

if TYPE_CHECKING:
    from pathlib import Path

    from quantbench.core.places import Place


@click.command(epilog="Example: quantbench diagnose nanodet_416_as_shipped-int8_static-coco")
@click.argument("case")
@click.option("--quick", is_flag=True, help="Leave the minutes of one op alone out.")
@click.option("--speed", is_flag=True, help="Say why it is slower, or no faster, instead.")
@click.option("-o", "--output", type=FILE, help="Write the diagnosis as JSON, too.")
@DATA
@CACHE
def diagnose(
    case: str,
    output: Path | None,
    quant_data: Path | None,
    quant_cache: Place,
    *,
    quick: bool,
    speed: bool,
) -> None:
    """Explain why CASE is worse than its float model: causes, ops and numbers, worst first.

    With --speed: where its time goes, op by op, beside the float model's in the same runtime.

    CASE is a name of the catalog, module:MODEL-SCHEME-DATASET, or test_file.py::CASE.
    """
    import json
    from functools import partial

    from quantbench.catalog.lookup import find_case
    from quantbench.report.speed import speed_block, speed_of
    from quantbench.report.terminal import diagnosis_block

    asked = find_case(case)
    if speed and quick:
        raise click.UsageError("--quick leaves out a part that --speed does not have")
    with quiet_session(quant_data, quant_cache) as session:
        look = session.diagnose_speed if speed else partial(session.diagnose, alone=not quick)
        found = look(asked)
    for line in speed_block(speed_of(found)) if speed else diagnosis_block(found):
        click.echo(line)
    if output is not None:
        put(json.dumps(found, indent=1, sort_keys=True) + "\n", output)


@click.command(epilog="Example: quantbench mend centernet_mobilenetv3-int8_static-coco")
@click.argument("case")
@click.option(
    "--margin", type=float, help="Loss that may be left; default: .015 AP, .02 accuracy or top1."
)
@click.option(
    "--for",
    "aim",
    type=click.Choice(["float-ops", "latency"]),
    default="float-ops",
    show_default=True,
    help="Of recipes that pass: the fewest ops in float, or the fastest on this machine.",
)
@click.option("--metric", help="To be judged by, e.g. agreement_AP, which needs no labels.")
@click.option("-o", "--output", type=FILE, help="Write the recipe, to be committed.")
@DATA
@CACHE
def mend(
    case: str,
    *,
    aim: str,
    margin: float | None,
    metric: str | None,
    output: Path | None,
    **where: Any,
) -> None:
    """Search a mixed-precision recipe with which CASE's model passes its gate.

    CASE is a name of the catalog, module:MODEL-SCHEME-DATASET, or test_file.py::CASE.
    Of a detector the ops that int8 leaves in float; of a language model the bits of each layer,
    4.6 on average. Searched on the calibration split, judged on the evaluated one.
    Exit status 1 if it does not pass there.
    """
    from dataclasses import replace

    from quantbench.catalog.lookup import find_case
    from quantbench.diagnosis.recipe_files import RECIPE
    from quantbench.errors import UsageError
    from quantbench.record.recording import record_of
    from quantbench.report.terminal import recipe_block, verdict_block
    from quantbench.run.judging import non_inferior
    from quantbench.run.steps.build import usual_gate
    from quantbench.study import Gate, Scheme
    from quantbench.study.registry import find_backend

    asked = find_case(case)
    backend = find_backend(asked.scheme.backend)
    if not backend.mended:
        raise UsageError(f"nothing mends models of the backend {backend.name}")
    asked = replace(asked, scheme=Scheme.parse(backend.mended))
    usual = usual_gate(asked, backend.mendings[asked.scheme.quantizer])
    gate = Gate(
        usual.metric if metric is None else metric, usual.margin if margin is None else margin
    )
    with quiet_session(where["quant_data"], where["quant_cache"]) as session:
        found = session.recipe(asked, gate, for_speed=aim == "latency").path / RECIPE
        mended = replace(asked, scheme=replace(asked.scheme, recipe=str(found)))
        now, reference = session.evaluate(mended), session.reference(mended)
        verdict = non_inferior(now, reference, metric=gate.metric, margin=gate.margin)
        speeds, record = session.compared_speed(mended), record_of(session, mended)
    for line in recipe_block(found.read_text(), speeds):
        click.echo(line)
    click.echo(verdict_block(record))
    if output is not None:
        put(found.read_text(), output)
    sys.exit(0 if verdict else 1)
