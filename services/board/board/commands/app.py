"""The commands of `python -m board`."""

import typer

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help="Shows tickets, deadlines and reports.")
