"""`python -m escalator`: serve; `migrate`; `republish --since T`."""

from tocsin.runtime.process.commands import service_commands

from escalator import store
from escalator.service import build
from escalator.settings import Settings

app = service_commands(
    "escalator",
    "Advance the tiers of the ladder and address every notification.",
    Settings,
    build,
    store.outbox,
    store.stored_decisions,
)


if __name__ == "__main__":
    app()
