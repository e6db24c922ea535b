"""The commands of `python -m escalator`."""

from tocsin.runtime.process.commands import service_commands

from escalator.store.decisions import stored_decisions
from escalator.store.tables import OUTBOX

app = service_commands("escalator", "Turns ladder steps into notifications to roles.", OUTBOX, stored_decisions)
