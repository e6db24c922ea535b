"""The commands of `python -m board`."""

from tocsin.runtime.process.commands import database_commands

from board.commands import webhooks
from board.commands.rebuild import rebuild_read_model
from board.commands.report import write_report

app = database_commands("board", "Shows tickets, deadlines and reports.")
app.command("rebuild")(rebuild_read_model)
app.add_typer(webhooks.app, name="webhooks", help="Outgoing webhooks: check the file, test an endpoint.")
app.command("report")(write_report)
