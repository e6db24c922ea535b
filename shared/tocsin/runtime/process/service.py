"""A service as one process: HTTP, consumer, relay and periodic jobs in one event loop, stopped in the right order."""

import asyncio
import gc
import signal
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
import uvicorn
from aiokafka.errors import KafkaError
from fastapi import FastAPI

from tocsin.runtime.database.engine import is_transient
from tocsin.runtime.database.schema_version import check_migrated
from tocsin.runtime.errors import NotMigratedError, PortError, TopicError
from tocsin.runtime.http.server import create_server, listen, raise_open_file_limit
from tocsin.runtime.kafka.client import check_partitions
from tocsin.runtime.kafka.consumer import Consumer
from tocsin.runtime.process.bootstrap import Runtime
from tocsin.runtime.process.tasks import cancel_all

log = structlog.get_logger(__name__)

Task = Callable[[asyncio.Event], Coroutine[Any, Any, None]]
"""A loop beside HTTP and Kafka: runs until the event is set, and returns soon after."""

Prepare = Callable[[], Awaitable[None]]

_STOP_SECONDS = 15.0
_FLUSH_SECONDS = 5.0
_RETRY_SECONDS = 1.0
YOUNG_OBJECTS = 20_000
"""Objects made between two garbage collections. A batch makes more than the default of 700 before it frees any."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """A service that is built but not started. `python -m PACKAGE` runs it; tests use its parts without a server."""

    runtime: Runtime
    app: FastAPI
    consumers: Sequence[Consumer] = ()
    tasks: Sequence[Task] = ()
    prepare: Prepare | None = None
    """Awaited once the database responds and is migrated, before anything starts; again if the database failed."""

    async def run(self) -> None:
        """Serve until TERM or INT, then stop in order: accept no more work, finish, release the partitions, publish.

        Raises SystemExit(1) when the database is not migrated, a topic has the wrong partitions, the port is taken, or
        a part died: the supervisor starts the process again.
        """
        stopping = _stop_on_signals()
        raise_open_file_limit()
        try:
            await _prepare(self, stopping)
            if not stopping.is_set():
                await _serve(self, stopping)
        except (NotMigratedError, TopicError, PortError) as error:
            log.critical("cannot_start", reason=str(error))
            raise SystemExit(1) from None
        finally:
            await self.runtime.dispose()
        log.info("stopped")


async def _prepare(service: Service, stopping: asyncio.Event) -> None:
    """Check the schema and prepare; wait as long as the database does not respond."""
    while not stopping.is_set():
        try:
            await check_migrated(service.runtime.writer, service.runtime.package)
            if service.prepare is not None:
                await service.prepare()
        except Exception as error:
            if not is_transient(error):
                raise
            log.warning("waiting_for_database", error=repr(error))
            await asyncio.sleep(_RETRY_SECONDS)
        else:
            return


@dataclass(frozen=True)
class _Parts:
    """The running tasks of a service."""

    server: uvicorn.Server
    http: asyncio.Task[None]
    relay: asyncio.Task[None]
    topics: asyncio.Task[None]
    work: Sequence[asyncio.Task[None]]
    """The consumers and the service's own loops."""

    @property
    def tasks(self) -> set[asyncio.Task[None]]:
        return {self.http, self.relay, self.topics, *self.work}


async def _serve(service: Service, stopping: asyncio.Event) -> None:
    parts = _start(service, stopping)
    failed = await _first_failure(parts.tasks, stopping)
    stopping.set()
    await _stop(service, parts)
    if failed is not None:
        raise SystemExit(1)


def _start(service: Service, stopping: asyncio.Event) -> _Parts:
    runtime, consumers, settings = service.runtime, service.consumers, service.runtime.settings
    server = create_server(service.app)
    http = asyncio.create_task(server.serve([listen(settings.host, settings.port)]), name="http")
    relay = asyncio.create_task(runtime.relay.run(), name="relay")
    topics = asyncio.create_task(_check_topics(runtime, consumers), name="topics")
    work = [asyncio.create_task(task(stopping), name=f"task-{n}") for n, task in enumerate(service.tasks)]
    work += [asyncio.create_task(consumer.run(), name=f"consumer-{consumer.topic}") for consumer in consumers]
    runtime.scheduler.start()
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])
    log.info("started", port=settings.port)
    return _Parts(server, http, relay, topics, work)


async def _stop(service: Service, parts: _Parts) -> None:
    """Stop in this order: jobs, HTTP, consumers and own loops; then the relay, when the outbox is empty."""
    log.info("stopping")
    service.runtime.scheduler.stop()
    parts.server.should_exit = True
    for consumer in service.consumers:
        consumer.stop()
    await asyncio.wait([parts.http, *parts.work], timeout=_STOP_SECONDS)
    if not parts.relay.done() and not await service.runtime.relay.flush(_FLUSH_SECONDS):
        log.warning("outbox_not_empty", hint="The next start publishes the rest.")
    await cancel_all(parts.tasks)


async def _first_failure(parts: set[asyncio.Task[None]], stopping: asyncio.Event) -> str | None:
    """Wait for the signal to stop and return None, or for a part that ended and return its name."""
    signalled = asyncio.create_task(stopping.wait())
    waiting: set[asyncio.Task[None] | asyncio.Task[bool]] = {signalled, *parts}
    try:
        while True:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if signalled in done:
                return None
            for part in done:
                error = part.exception()
                if isinstance(error, TopicError):
                    raise error
                if error is not None or part.get_name() != "topics":
                    log.critical("part_died", part=part.get_name(), error=repr(error), exc_info=error)
                    return part.get_name()
    finally:
        signalled.cancel()


async def _check_topics(runtime: Runtime, consumers: Sequence[Consumer]) -> None:
    """Check the topics' partitions once Kafka responds; until then the service runs without it."""
    expected = {runtime.relay.topic: runtime.relay.partitions}
    expected |= {consumer.topic: consumer.partitions for consumer in consumers}
    while True:
        try:
            await check_partitions(runtime.settings.kafka, expected)
        except (KafkaError, OSError, TimeoutError) as error:
            log.warning("waiting_for_kafka", error=repr(error))
            await asyncio.sleep(_RETRY_SECONDS)
        else:
            return


def _stop_on_signals() -> asyncio.Event:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    return stopping
