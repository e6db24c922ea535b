"""`python -m escalator`: serve; `migrate`; `republish --since T`."""

import gc

if __name__ == "__main__":
    gc.disable()  # until all modules are imported (see service_commands): it would take a quarter of the start

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
