"""`quantbench judge`: a verdict on results that are there already."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from quantbench.cli.output import put
from quantbench.report.tables import FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from quantbench.run.results import Results

_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)
_EITHER = click.Path(path_type=Path, exists=True)
_EXIT = {"fail": 1, "inconclusive": 3, "pass": 0}  # worst first


def _gate(command: Callable[..., None]) -> Callable[..., None]:
    """The options that every judgement has."""
    for option in (
        click.option(
            "-o",
            "--output",
            type=click.Path(path_type=Path, dir_okay=False),
            help="Write a record file, for `report`, `compare` and `accept`.",
        ),
        click.option(
            "--format",
            "form",
            type=click.Choice(list(FORMATS)),
            default="table",
            show_default=True,
        ),
        click.option(
            "--confidence",
            type=float,
            default=0.95,
            show_default=True,
            help="Of each one-sided bound.",
        ),
        click.option(
            "--margin",
            required=True,
            help="Largest loss that would still be shipped: 0.01, or a share, 5%.",
        ),
    ):
        command = option(command)
    return command


@click.group()
def judge() -> None:
    """Judge result files against the first of them, in pairs, without running a model.

    Passes are corrected for their number (Holm). Exit status: 0 all pass, 1 one fails, 3 one is
    inconclusive, 2 the input cannot be used.
    """


@judge.command(
    epilog="Example: quantbench judge coco instances.json float.json int8.json "
    "--metric AP --margin 0.01"
)
@click.argument("annotations", type=_FILE)
@click.argument("results", nargs=-1, required=True, type=_FILE)
@click.option(
    "--metric",
    default="AP",
    show_default=True,
    help="AP, AP50, AP_small, AR, ..., or of agreement: agreement_AP, lost.",
)
@click.option("--group", help="Field of an image that names its group, e.g. video_id.")
@_gate
def coco(
    annotations: Path, results: tuple[Path, ...], metric: str, group: str | None, **gate: Any
) -> None:
    """Judge COCO RESULTS files, made on ANNOTATIONS; the first is the reference."""
    from quantbench.judge import results as results_of

    sets = [results_of("coco", annotations, *results, group=group)]
    _judge(sets, metric, gate, numbers=True)


@judge.command(
    "lm-eval", epilog="Example: quantbench judge lm-eval results/float results/gptq --margin 0.02"
)
@click.argument("paths", nargs=-1, required=True, type=_EITHER)
@click.option(
    "--metric",
    help="As lm-eval names it, with its filter; default: each task's first "
    "metric of right and wrong answers.",
)
@_gate
def lm_eval(paths: tuple[Path, ...], metric: str | None, **gate: Any) -> None:
    """Judge lm-evaluation-harness' sample logs (--log_samples): files, or folders of them."""
    from quantbench.judge.lm_eval_tasks import lm_eval_sets

    sets, left_out = lm_eval_sets(paths, metric)
    for task, why in left_out.items():
        click.echo(f"left out: {task}: {why}", err=True)
    _judge(sets, None, gate)


@judge.command(
    epilog="Example: quantbench judge rows float.jsonl int8.jsonl --value correct "
    "--group book --margin 0.02"
)
@click.argument("files", nargs=-1, required=True, type=_FILE)
@click.option("--value", required=True, help="Field of the value: right or wrong, or a number.")
@click.option("--id", "id_", default="id", show_default=True, help="Field of a sample's id.")
@click.option("--group", help="Field of a sample's group, e.g. book.")
@click.option("--lower-is-better", is_flag=True, help="A rise of the value is a loss.")
@_gate
def rows(
    files: tuple[Path, ...],
    value: str,
    id_: str,
    group: str | None,
    *,
    lower_is_better: bool,
    **gate: Any,
) -> None:
    """Judge FILES of a value a sample: JSON lines, CSV or Parquet; the first is the reference."""
    from quantbench.judge import results as results_of

    fields = {"value": value, "id": id_, "group": group, "lower_is_better": lower_is_better}
    _judge([results_of("rows", *files, **fields)], value, gate)


def _judge(
    sets: Sequence[Sequence[Results]],
    metric: str | None,
    gate: Mapping[str, Any],
    *,
    numbers: bool = False,
) -> None:
    """Print, write and exit as the options of `_gate` say."""
    from quantbench.judge import tables
    from quantbench.judge.documents import document_of
    from quantbench.judge.verdicts import judged

    if gate["output"] is not None and not gate["output"].absolute().parent.is_dir():
        raise click.UsageError(f"cannot write {gate['output']}: there is no such folder")
    verdicts = judged(
        sets, metric=metric, margin=_margin(gate["margin"]), confidence=gate["confidence"]
    )
    lost = None
    if numbers:
        from quantbench.judge.coco_files import lost_precision_of

        lost = [lost_precision_of(each) for each in sets[0]]
    click.echo(tables.FORMATS[gate["form"]](tables.judged_rows(sets, verdicts, lost)), nl=False)
    if gate["output"] is not None:
        document = document_of(sets, verdicts, lost)
        put(json.dumps(document, indent=1, sort_keys=True, allow_nan=False) + "\n", gate["output"])
    outcomes = {verdict.outcome for _, verdict in verdicts}
    sys.exit(next(status for word, status in _EXIT.items() if word in outcomes))


def _margin(text: str) -> float | str:
    """A number in the metric's unit; a share stays text."""
    try:
        return float(text)
    except ValueError:
        return text
