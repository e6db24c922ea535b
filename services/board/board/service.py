"""Builds the board from its settings: the only place that constructs anything."""

from tocsin.runtime.process.bootstrap import build_runtime
from tocsin.runtime.process.clock import TimeSource
from tocsin.runtime.process.service import Service

from board.settings import Settings
from board.store.tables import DEAD_LETTERS, KEY_USES, OUTBOX


def build(settings: Settings, clock: TimeSource | None = None) -> Service:
    """The service; `clock` replaces the one of the settings."""
    runtime = build_runtime(
        settings, "board", outbox=OUTBOX, dead_letters=DEAD_LETTERS, key_uses=KEY_USES, clock=clock, consumers=4
    )
    app = runtime.create_app("Open tickets, their deadlines, and reports.", [], [])
    return Service(runtime=runtime, app=app)
