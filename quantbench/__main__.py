"""`python -m quantbench`."""

from quantbench.cli import main

main(prog_name="quantbench")
