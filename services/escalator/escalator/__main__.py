"""`python -m escalator`: serve; `migrate`; `republish --since T`."""

import gc

if __name__ == "__main__":
    gc.disable()  # until all modules are imported (see service_commands): it would take a quarter of the start

from tocsin.runtime.process.commands import service_commands

from escalator.service import build
from escalator.settings import Settings
from escalator.store.decisions import stored_decisions
from escalator.store.tables import OUTBOX

app = service_commands(
    "escalator", "Turns ladder steps into notifications to roles.", Settings, build, OUTBOX, stored_decisions
)


if __name__ == "__main__":
    app()
