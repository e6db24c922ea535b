"""The commands of `python -m board`."""

import typer

from board.commands import webhooks

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help="Shows tickets, deadlines and reports.")
app.add_typer(webhooks.app, name="webhooks", help="Outgoing webhooks: check the file, test an endpoint.")
