"""`quantbench`: what is done before a run and after it.

Data go to standard output, diagnostics to standard error. Exit status: 0 all is well, 1 a case is
worse (of `plan`: something does not fit), 2 the input cannot be used (of `judge` also 3: nothing is
worse for certain, and not all is well).
"""

from __future__ import annotations

from typing import Any

import click

from quantbench.cli.cache import cache
from quantbench.cli.catalog import cases, doctor, fetch
from quantbench.cli.demo import demo
from quantbench.cli.explain import diagnose, mend
from quantbench.cli.judge import judge
from quantbench.cli.margin import margin
from quantbench.cli.plan import plan
from quantbench.cli.records import accept, compare, report
from quantbench.cli.recover import recover
from quantbench.errors import QuantbenchError


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


COMMANDS = (
    *(accept, cache, cases, compare, demo, diagnose, doctor),
    *(fetch, judge, margin, mend, plan, recover, report),
)
for command in COMMANDS:
    main.add_command(command)
