"""`python -m intake`: serve; `migrate`; `republish --since T`; `keys`; `mail`; `hooks`."""

from tocsin.runtime.process.commands import service_commands

from intake import handlers, store
from intake.commands import hooks, keys
from intake.commands.mail import mail as mail_command
from intake.service import build
from intake.settings import Settings

app = service_commands(
    "intake",
    "Take tickets and their events in, and publish them.",
    Settings,
    build,
    store.outbox,
    handlers.stored_events,
)
app.command("mail")(mail_command)
app.add_typer(hooks.app, name="hooks", help="Webhooks: check integrations, try payloads, list, replay and dismiss.")
app.add_typer(keys.app, name="keys", help="API keys, for all four services.")


if __name__ == "__main__":
    app()
