"""The commands of `python -m notifier`."""

from tocsin.runtime.process.commands import service_commands

from notifier.commands.bounce import bounce
from notifier.commands.on_call import directory_app, who
from notifier.commands.templates import check_templates
from notifier.commands.unmatched import unmatched
from notifier.store.journal import events_since
from notifier.store.tables import OUTBOX

app = service_commands("notifier", "Mail the right person, once, and keep the proof.", OUTBOX, events_since)
app.command("bounce")(bounce)
app.command("unmatched")(unmatched)
app.command("who")(who)
app.add_typer(directory_app, name="directory")
app.command("check-templates")(check_templates)
