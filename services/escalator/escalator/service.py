"""Builds the escalator from its settings."""

from dataclasses import dataclass
from functools import partial

from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.runtime.kafka.client import DEADLINES_TOPIC
from tocsin.runtime.metrics import Measurement
from tocsin.runtime.process.bootstrap import build_runtime
from tocsin.runtime.process.clock import TimeSource
from tocsin.runtime.process.pace import paced
from tocsin.runtime.process.service import Service
from tocsin.sources.directory_file import REFRESH_SECONDS, DirectoryFile

from escalator import metrics
from escalator.api import routes
from escalator.handlers import Handlers
from escalator.settings import Settings
from escalator.store.ladders import count_open_ladders
from escalator.store.tables import DEAD_LETTERS, KEY_USES, OFFSETS, OUTBOX


@dataclass(frozen=True, kw_only=True)
class EscalatorService(Service):
    """The escalator, built and not started."""

    handlers: Handlers


def build(settings: Settings, clock: TimeSource | None = None) -> EscalatorService:
    """The service; `clock` replaces the one of the settings."""
    runtime = build_runtime(
        settings, "escalator", outbox=OUTBOX, dead_letters=DEAD_LETTERS, key_uses=KEY_USES, clock=clock
    )
    directory = DirectoryFile(settings.directory, runtime.clock.now, settings.calendar_networks)
    runtime.scheduler.every(5, directory.refresh, name="directory", timeout=REFRESH_SECONDS)
    measurement = Measurement(metrics.forget_open_ladders)
    measure = partial(_measure, runtime.reader, measurement)
    runtime.scheduler.every(5, paced(measure), name="ladder_gauges", timeout=5)
    handlers = Handlers(runtime.clock, directory)
    consumer = runtime.consumer(DEADLINES_TOPIC, OFFSETS, handlers.on_batch, ordered=True)
    app = runtime.create_app(
        "Ladders: which tiers were notified, and what comes next.",
        [consumer],
        [routes.router(runtime.reader, directory)],
        notes={"directory": directory.note},
    )
    # Prepared: without its calendars the directory is unknown, and vacant tiers would be notified.
    return EscalatorService(
        runtime=runtime, app=app, consumers=[consumer], prepare=directory.refresh, handlers=handlers
    )


async def _measure(reader: AsyncEngine, measurement: Measurement) -> None:
    with measurement.attempt():
        async with reader.connect() as connection:
            counts = await count_open_ladders(connection)
    metrics.set_open_ladders(counts)
