"""The parts that every service has, built from its settings: database engines, relay, keys, scheduler, routes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from fastapi import APIRouter, FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from tocsin.runtime.database.dead_letters import DeadLetters
from tocsin.runtime.database.engine import database_check, engine
from tocsin.runtime.database.key_uses import KeyUses
from tocsin.runtime.database.offsets import Offsets
from tocsin.runtime.database.outbox import Outbox
from tocsin.runtime.database.watermark import WatermarkSource
from tocsin.runtime.http.api_keys import KeyRing
from tocsin.runtime.http.app import create_app
from tocsin.runtime.http.dead_letter_routes import dead_letter_routes
from tocsin.runtime.http.health import Check
from tocsin.runtime.http.key_routes import SAVE_SECONDS, KeyUsage
from tocsin.runtime.http.limits_middleware import OnTooLarge
from tocsin.runtime.http.load_shedding import Admission
from tocsin.runtime.kafka.batch import OnBatch
from tocsin.runtime.kafka.consumer import AfterCommit, Consumer
from tocsin.runtime.kafka.relay import Relay
from tocsin.runtime.metrics import DEAD_LETTERS, declare_tables
from tocsin.runtime.process.clock import TimeSource, clock_from
from tocsin.runtime.process.resources import Resources
from tocsin.runtime.process.scheduler import Scheduler
from tocsin.runtime.process.settings import ServiceSettings

_MEASURE_SECONDS = 5
_RESOURCE_SECONDS = 60


@dataclass(frozen=True)
class Runtime:
    """The parts that every service has. Nothing is connected or started yet; `dispose` closes the engines.

    `writer` is for transactions that publish events: the watermark waits for them. `side_writer` is for all other
    writes, such as key uses; it is the writer itself in a service that publishes no watermark. `reader` is for queries,
    `relay_engine` for the relay alone, `lease_engine` for the leases of the consumers.
    """

    package: str
    settings: ServiceSettings
    clock: TimeSource
    writer: AsyncEngine
    side_writer: AsyncEngine
    reader: AsyncEngine
    relay_engine: AsyncEngine
    lease_engine: AsyncEngine
    outbox: Outbox
    dead_letters: DeadLetters
    relay: Relay
    keys: KeyRing
    key_usage: KeyUsage
    scheduler: Scheduler

    def consumer(
        self,
        topic: str,
        offsets: Offsets,
        on_batch: OnBatch,
        *,
        ordered: bool = False,
        after_commit: AfterCommit | None = None,
        gather_seconds: float = 0,
    ) -> Consumer:
        """A consumer of `topic`. After a commit it wakes the relay, or calls `after_commit`."""

        async def wake_relay(_: Mapping[int, datetime | None]) -> Mapping[int, datetime | None]:
            self.relay.wake()
            return {}

        return Consumer(
            bootstrap=self.settings.kafka,
            topic=topic,
            group=_service_name(self.package),
            engine=self.writer,
            lease_engine=self.lease_engine,
            offsets=offsets,
            dead_letters=self.dead_letters,
            on_batch=on_batch,
            after_commit=after_commit or wake_relay,
            ordered=ordered,
            gather_seconds=gather_seconds,
        )

    def create_app(
        self,
        description: str,
        consumers: Sequence[Consumer],
        routers: Sequence[APIRouter],
        *,
        checks: Mapping[str, Check] | None = None,
        notes: Mapping[str, Check] | None = None,
        body_limits: Mapping[str, int] | None = None,
        free_form: Sequence[str] = (),
        admissions: Mapping[str, Admission] | None = None,
        on_too_large: OnTooLarge | None = None,
    ) -> FastAPI:
        """The service's HTTP application: `routers`, and the routes for keys, dead letters, health and metrics.

        The arguments are those of `tocsin.runtime.http.app.create_app`; `/readyz` also checks database and consumers.
        """
        own = {
            f"consumer of {consumer.topic}" if len(consumers) > 1 else "consumer": consumer.ready
            for consumer in consumers
        }
        app = create_app(
            _service_name(self.package),
            description,
            self.keys,
            {"database": database_check(self.reader), **own, **(checks or {})},
            notes=notes,
            body_limits=body_limits,
            free_form=free_form,
            admissions=admissions,
            on_too_large=on_too_large,
        )
        for router in routers:
            app.include_router(router)
        app.include_router(self.key_usage.routes())
        # A replay need not hold back the watermark.
        app.include_router(dead_letter_routes(self.side_writer, self.dead_letters, self.outbox, consumers))
        return app

    async def dispose(self) -> None:
        """Close the database connections."""
        for each in (self.writer, self.side_writer, self.reader, self.relay_engine, self.lease_engine):
            await each.dispose()


def build_runtime(
    settings: ServiceSettings,
    package: str,
    *,
    outbox: Outbox,
    dead_letters: DeadLetters,
    key_uses: KeyUses,
    clock: TimeSource | None = None,
    watermark_interval: float | None = None,
    writer_pool: int = 10,
    consumers: int = 1,
    wait_seconds: float = 10,
    idle_seconds: float = 5,
) -> Runtime:
    """The parts of the service `package` (`sla_timer`). `clock` replaces the clock that the settings describe.

    With `watermark_interval` (seconds) the relay also publishes the watermark of every partition. `consumers` is how
    many topics the service reads. The others are limits of the engines: see `tocsin.runtime.database.engine.engine`.
    """
    name = _service_name(package)
    clock = clock or clock_from(settings)
    writers = f"{name}-writer"
    connect = partial(engine, settings.database_url, wait_seconds=wait_seconds, idle_seconds=idle_seconds)
    writer = connect(writers, pool_size=writer_pool)
    side_writer = writer
    if watermark_interval is not None:
        side_writer = connect(f"{name}-side-writer", pool_size=5)
    reader = connect(f"{name}-reader", pool_size=5, read_only=True)
    relay_engine = engine(settings.database_url, f"{name}-relay", pool_size=3, statement_seconds=5)
    lease_engine = engine(settings.database_url, f"{name}-lease", pool_size=consumers, statement_seconds=5)
    watermarks = WatermarkSource(writers, clock, watermark_interval) if watermark_interval is not None else None
    relay = Relay(
        relay_engine, settings.kafka, outbox, dead_letters, interval=settings.relay_interval, watermarks=watermarks
    )
    keys = KeyRing(settings.keys)
    key_usage = KeyUsage(keys, side_writer, key_uses)
    scheduler = Scheduler()
    scheduler.every(SAVE_SECONDS, key_usage.save, name="key_uses")
    scheduler.every(_MEASURE_SECONDS, relay.measure, name="outbox_gauges", timeout=_MEASURE_SECONDS)
    tables = outbox.table.metadata.sorted_tables
    declare_tables(table.name for table in tables)
    DEAD_LETTERS.labels(outbox.topic)
    resources = Resources(reader, tables, settings.keys)
    scheduler.every(_RESOURCE_SECONDS, resources.measure, name="resources", timeout=_RESOURCE_SECONDS)
    return Runtime(
        package=package,
        settings=settings,
        clock=clock,
        writer=writer,
        side_writer=side_writer,
        reader=reader,
        relay_engine=relay_engine,
        lease_engine=lease_engine,
        outbox=outbox,
        dead_letters=dead_letters,
        relay=relay,
        keys=keys,
        key_usage=key_usage,
        scheduler=scheduler,
    )


def _service_name(package: str) -> str:
    return package.replace("_", "-")
