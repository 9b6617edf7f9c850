"""The command that trains back what a case lost."""

from __future__ import annotations

import sys
from typing import Any

import click

from quantbench.cli.options import CACHE, DATA, quiet_session


@click.command(
    epilog="Examples: quantbench recover smollm2_135m_instruct-gptq_int2_g64-kjv; "
    "quantbench recover digits_centernet-int4_weight_aeq-digit_scenes"
)
@click.argument("case")
@click.option(
    "--budget",
    default="",
    help="Thousands of tokens (language models; default: 100k) or of samples (LiteRT; default: 8k) "
    "to train on, e.g. 60k.",
)
@click.option("--margin", type=float, help="Loss that may be left; default: as `mend`'s.")
@click.option("--metric", help="To be judged by; default: as `mend`'s.")
@DATA
@CACHE
def recover(
    case: str, *, budget: str, margin: float | None, metric: str | None, **where: Any
) -> None:
    """Train back what CASE lost, and judge what is stored: against float, and against CASE.

    CASE is a name of the catalog, module:MODEL-SCHEME-DATASET, or test_file.py::CASE; of a scheme
    that is recovered already (gptq_int3_g64_lora16, int8_static_distilled), what it improves on is
    found by itself. A language model gets adapters beside its quantized weights; of a LiteRT model
    the quantized weights themselves are trained. Both learn what the float model says, from samples
    that calibrated nothing and are not evaluated; killed, it goes on where it was. The budget is
    work and never time, so that the same gives the same.
    Exit status 1 if it does not pass against the float model.
    """
    from quantbench.catalog.lookup import find_case
    from quantbench.errors import UsageError
    from quantbench.record.recording import record_of
    from quantbench.report.recovery import recovery_block
    from quantbench.report.terminal import verdict_block
    from quantbench.run.judging import difference, non_inferior
    from quantbench.run.steps.build import task_gate
    from quantbench.run.steps.recover import recovering, unrecovered
    from quantbench.stats.share import share_recovered

    asked = recovering(find_case(case), budget)
    before = unrecovered(asked)
    usual = task_gate(asked)
    metric, margin = metric or usual.metric, usual.margin if margin is None else margin
    with quiet_session(where["quant_data"], where["quant_cache"]) as session:
        was, reference = session.evaluate(before), session.reference(before)
        if metric not in was.replicates:  # before hours of training
            known = ", ".join(was.replicates)
            raise UsageError(f"unknown metric {metric!r} of {before}", expected=known)
        now = session.evaluate(asked)
        session.reference(asked)
        verdict = non_inferior(now, reference, metric=metric, margin=margin)
        mine, before_it, its = (each.replicates[metric] for each in (now, was, reference))
        lower = metric in now.lower_is_better
        share = share_recovered(mine, before_it, its, len(now.rows), lower_is_better=lower)
        gained = difference(now, was, metric)
        artifacts = session.artifact(before), session.artifact(asked)
        record = record_of(session, asked)
    click.echo(verdict_block(record))
    click.echo()
    for line in recovery_block((before, asked), artifacts, verdict, gained, share):
        click.echo(line)
    sys.exit(0 if verdict else 1)
