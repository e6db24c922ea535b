"""The commands of `python -m intake`."""

from tocsin.runtime.process.commands import service_commands

from intake.commands import hooks, keys
from intake.commands.mail import mail as mail_command
from intake.handlers.republish import stored_events
from intake.store.tables import OUTBOX

app = service_commands("intake", "Store tickets and their events, and publish them.", OUTBOX, stored_events)
app.command("mail")(mail_command)
app.add_typer(hooks.app, name="hooks", help="Webhooks: check integrations, try payloads, list, replay and dismiss.")
app.add_typer(keys.app, name="keys", help="API keys, for all services.")
