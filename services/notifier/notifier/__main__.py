"""`python -m notifier`: serve; `migrate`; `republish --since T`; `bounce`; commands about who is on call."""

import gc

if __name__ == "__main__":
    gc.disable()  # until all modules are imported (see service_commands): it would take a quarter of the start

from tocsin.runtime.process.commands import service_commands

from notifier import store
from notifier.commands.bounce import bounce
from notifier.commands.on_call import add_commands
from notifier.service import build
from notifier.settings import Settings
from notifier.store.tables import OUTBOX

app = service_commands(
    "notifier", "Mail the right contact, once, and keep the proof.", Settings, build, OUTBOX, store.told_since
)
add_commands(app)
app.command("bounce")(bounce)


if __name__ == "__main__":
    app()
