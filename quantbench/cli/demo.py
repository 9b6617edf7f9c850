"""The command for the first two minutes: a small study, run and shown."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from quantbench.cli.options import CACHE

if TYPE_CHECKING:
    from quantbench.core.places import Place

_MODEL = "digits_centernet"
_SCHEMES = ("float32", "float16", "int8_dynamic", "int8_static")
STUDY = f'''"""A first study: does a detector of handwritten digits survive its quantization?"""

import pytest

from quantbench import cases, non_inferior

CASES = cases("{_MODEL}", schemes={list(_SCHEMES)})


@pytest.mark.parametrize("case", CASES, ids=str)
class TestDigits:
    def test_latency(self, quantized, sample, benchmark):
        benchmark(quantized.predict, sample)

    def test_average_precision(self, evaluation, reference):
        # No worse than the float model by more than 2 points of AP, at 95 % confidence.
        assert non_inferior(evaluation, reference, metric="AP", margin=0.02)
'''


@click.command(epilog="Example: quantbench demo --open")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default="demo")
@click.option("--open", "show", is_flag=True, help="Open the report in a browser.")
@CACHE
def demo(folder: Path, quant_cache: Place, *, show: bool) -> None:
    """Run a small study into FOLDER: a detector of digits, stored four ways, and judged.

    It takes about a minute and needs no network. FOLDER gets the study, a test file of 20 lines
    to start your own from, its record and its report. A study that stands there is run as it is.
    Exit status 1 if a case does not pass.
    """
    from quantbench import cases
    from quantbench.core.requirements import lacking
    from quantbench.errors import MissingExtraError

    wanted = cases(_MODEL, schemes=list(_SCHEMES))
    extras = dict.fromkeys([*(n for c in wanted for n in (c.scheme.backend, c.task)), "report"])
    if lacks := [lack for extra in extras for lack in lacking(extra)]:
        raise MissingExtraError(
            f"the demo cannot run: {lacks[0]}",
            remedy=f'pip install "quantbench[{",".join(extras)}]"',
        )
    study, record, report = (
        folder / name for name in ("test_digits.py", "record.json", "report.html")
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not study.exists():
            study.write_text(STUDY, encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"cannot write to {folder}: {error}") from error

    click.echo(f"1. The study is {study}: a detector of handwritten digits, stored four ways.")
    click.echo("2. pytest quantizes it, times it alone, and finds the digits of 1,000 pictures.")
    passed = _pytest(study, record, quant_cache)
    if not record.is_file():  # the study is no study any more: pytest has said why
        sys.exit(2)
    click.echo("3. Each scheme is judged against float32 on the same pictures; why, and by how")
    click.echo(f"   much, is in the report: {report.resolve().as_uri()}")
    made = [sys.executable, "-m", "quantbench", "report", str(record), "-o", str(report)]
    subprocess.run(made, check=True, stderr=subprocess.DEVNULL)  # noqa: S603 - this interpreter
    if show:
        click.launch(str(report))
    click.echo()
    click.echo("Next:")
    click.echo(f"  pytest {folder} --benchmark-json {record}   # again: seconds, from the store")
    click.echo(f"  quantbench diagnose {_MODEL}-int8_static-digit_scenes   # why it loses")
    click.echo("  quantbench cases   # other models and schemes; then put your own into the study")
    sys.exit(0 if passed else 1)


def _pytest(study: Path, record: Path, cache: Place) -> bool:
    """Run the study by itself: no configuration of the folder that one happens to stand in."""
    record.unlink(missing_ok=True)
    command = [
        *(sys.executable, "-m", "pytest", "-q", str(study), f"--rootdir={study.parent}"),
        *("-c", os.devnull, "-p", "no:cacheprovider", "--disable-warnings", "--benchmark-quiet"),
        *("--benchmark-json", str(record)),
        *(("--quant-cache", text) if (text := str(cache)) else ()),
    ]
    return subprocess.run(command, check=False).returncode == 0  # noqa: S603 - this interpreter
