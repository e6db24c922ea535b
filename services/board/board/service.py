"""Builds the board from its settings: the only place that constructs anything."""

from tocsin.runtime.process.bootstrap import build_runtime
from tocsin.runtime.process.clock import TimeSource
from tocsin.runtime.process.service import Service
from tocsin.sources.directory_file import REFRESH_SECONDS, DirectoryFile

from board.api import machine
from board.domain.ticket_links import TicketLinks
from board.handlers.machine_queries import MachineContext
from board.settings import Settings
from board.store.tables import DEAD_LETTERS, KEY_USES, OUTBOX


def build(settings: Settings, clock: TimeSource | None = None) -> Service:
    """The service; `clock` replaces the one of the settings."""
    runtime = build_runtime(
        settings, "board", outbox=OUTBOX, dead_letters=DEAD_LETTERS, key_uses=KEY_USES, clock=clock, consumers=4
    )
    directory = DirectoryFile(settings.directory, runtime.clock.now, settings.calendar_networks)
    runtime.scheduler.every(5, directory.refresh, name="directory", timeout=REFRESH_SECONDS)
    links = TicketLinks(settings.public_url, settings.ticket_urls or {})
    app = runtime.create_app(
        "Open tickets, their deadlines, and reports.",
        [],
        [machine.router(MachineContext(runtime.reader, runtime.clock, directory, links))],
        notes={"directory": directory.note},
    )
    return Service(runtime=runtime, app=app, prepare=directory.refresh)
