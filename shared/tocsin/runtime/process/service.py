"""Runs a service: HTTP, consumer, relay and periodic work in one loop, and their end in the right order."""

import asyncio
import gc
import resource
import signal
import socket
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager

import structlog
import uvicorn
from aiokafka.errors import KafkaError
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from tocsin.runtime.errors import NotMigratedError
from tocsin.runtime.database.migrations import check_migrated
from tocsin.runtime.database.engine import is_transient
from tocsin.runtime.http.h11_protocol import MOST_CONNECTIONS, BoundedH11
from tocsin.runtime.errors import TopicError
from tocsin.runtime.kafka.client import check_partitions
from tocsin.runtime.kafka.consumer import Consumer
from tocsin.runtime.kafka.relay import Relay
from tocsin.runtime.process.scheduler import Scheduler
from tocsin.runtime.process.settings import ServiceSettings

log = structlog.get_logger(__name__)

Task = Callable[[asyncio.Event], Awaitable[None]]
"""Work of its own: runs until the event is set, and returns soon after."""

Prepare = Callable[[], Awaitable[None]]
"""What a service does once its database answers and is migrated, before it takes anything."""

IDLE_SECONDS = 30
"""How long a connection may lie idle between requests."""
_HTTP_SECONDS = 10
_STOP_SECONDS = 15.0
_FLUSH_SECONDS = 5.0
_MEASURE_SECONDS = 5.0
_RETRY_SECONDS = 1.0


async def run(
    app: FastAPI,
    settings: ServiceSettings,
    *,
    package: str,
    engines: Sequence[AsyncEngine],
    relay: Relay,
    consumer: Consumer | None = None,
    scheduler: Scheduler | None = None,
    tasks: Sequence[Task] = (),
    prepare: Prepare | None = None,
) -> None:
    """Serve until TERM or INT, then end cleanly: take nothing more, finish, flush the outbox, commit, leave the group.

    `prepare` is awaited before anything starts, and again where the database failed in it.

    Raises SystemExit(1) when the database is not migrated, a topic has the wrong partitions, the port is taken, or a
    part died: the supervisor starts the process again.
    """
    stopping = _stop_on_signals()
    _allow_connections()
    try:
        await _until_prepared(engines[0], package, prepare, stopping)
        if not stopping.is_set():
            await _serve(app, settings, stopping, relay, consumer, scheduler or Scheduler(), tasks)
    except (NotMigratedError, TopicError) as error:
        log.critical("cannot_start", reason=str(error))
        raise SystemExit(1) from None
    finally:
        for engine in engines:
            await engine.dispose()
    log.info("stopped")


async def _serve(
    app: FastAPI,
    settings: ServiceSettings,
    stopping: asyncio.Event,
    relay: Relay,
    consumer: Consumer | None,
    scheduler: Scheduler,
    tasks: Sequence[Task],
) -> None:
    server = _server(app, settings)
    serving = asyncio.create_task(server.serve([_socket(settings)]), name="http")
    relaying = asyncio.create_task(relay.run(), name="relay")
    working = [asyncio.create_task(_start(task, stopping), name=f"task-{n}") for n, task in enumerate(tasks)]
    if consumer is not None:
        working.append(asyncio.create_task(consumer.run(), name="consumer"))
    checking = asyncio.create_task(_check_topics(settings.kafka, relay, consumer), name="topics")
    scheduler.every(_MEASURE_SECONDS, relay.measure, name="outbox_gauges", timeout=_MEASURE_SECONDS)
    scheduler.start()
    gc.collect()
    gc.freeze()
    log.info("started", port=settings.port)
    parts = {serving, relaying, checking, *working}
    failure = await _first_failure(parts, stopping)
    stopping.set()
    log.info("stopping")
    scheduler.stop()
    server.should_exit = True
    if consumer is not None:
        consumer.stop()
    await asyncio.wait([serving, *working], timeout=_STOP_SECONDS)
    if not relaying.done() and not await relay.flush(_FLUSH_SECONDS):
        log.warning("outbox_not_empty", hint="it is published after the next start")
    for part in parts:
        part.cancel()
    await asyncio.gather(*parts, return_exceptions=True)
    if failure is not None:
        raise SystemExit(1)


async def _first_failure(parts: set[asyncio.Task[None]], stopping: asyncio.Event) -> str | None:
    """Wait for the signal to stop: None. Or for a part that ended by itself: its name."""
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


async def _start(task: Task, stopping: asyncio.Event) -> None:
    await task(stopping)


async def _until_prepared(engine: AsyncEngine, package: str, prepare: Prepare | None, stopping: asyncio.Event) -> None:
    """Check the schema and prepare, waiting for the database as long as it does not answer."""
    while not stopping.is_set():
        try:
            await check_migrated(engine, package)
            if prepare is not None:
                await prepare()
        except Exception as error:
            if not is_transient(error):
                raise
            log.warning("database_awaited", error=repr(error))
            await asyncio.sleep(_RETRY_SECONDS)
        else:
            return


async def _check_topics(bootstrap: str, relay: Relay, consumer: Consumer | None) -> None:
    """Check the partitions once Kafka answers; until then the service runs without it."""
    expected = {relay.topic: relay.partitions}
    if consumer is not None:
        expected[consumer.topic] = consumer.partitions
    while True:
        try:
            await check_partitions(bootstrap, expected)
        except (KafkaError, OSError, TimeoutError) as error:
            log.warning("kafka_awaited", error=repr(error))
            await asyncio.sleep(_RETRY_SECONDS)
        else:
            return


def _server(app: FastAPI, settings: ServiceSettings) -> uvicorn.Server:
    """uvicorn on h11, which refuses endless headers."""
    return _Server(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            http=BoundedH11,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=_HTTP_SECONDS,
            h11_max_incomplete_event_size=32 * 1024,
        )
    )


def _allow_connections() -> None:
    """As many open files as the system lets this process have: what refuses connections is our own limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(hard, 2 * MOST_CONNECTIONS) if hard != resource.RLIM_INFINITY else 2 * MOST_CONNECTIONS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _socket(settings: ServiceSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listening = socket.create_server((settings.host, settings.port), family=family, backlog=2048)
        # Connections inherit it. asyncio sets it only on sockets that say TCP, and these do not: every answer, whose
        # head and body are written apart, would wait 40 ms for the caller's delayed acknowledgement.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except OSError as error:
        log.critical("cannot_start", reason=f"{settings.host}:{settings.port} cannot be listened on: {error.strerror}")
        raise SystemExit(1) from None


class _Server(uvicorn.Server):
    """A server that leaves the signals to us: HTTP is not the only part that must end well."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def _stop_on_signals() -> asyncio.Event:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    return stopping
