"""A service as one process: HTTP, consumer, relay and periodic jobs in one event loop, stopped in the right order."""

import asyncio
import gc
import resource
import signal
import socket
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import structlog
import uvicorn
from aiokafka.errors import KafkaError
from fastapi import FastAPI

from tocsin.runtime.database.engine import is_transient
from tocsin.runtime.database.schema_version import check_migrated
from tocsin.runtime.errors import NotMigratedError, TopicError
from tocsin.runtime.http.h11_protocol import MOST_CONNECTIONS, BoundedH11
from tocsin.runtime.kafka.client import check_partitions
from tocsin.runtime.kafka.consumer import Consumer
from tocsin.runtime.process.bootstrap import Runtime
from tocsin.runtime.process.settings import ServiceSettings

log = structlog.get_logger(__name__)

Task = Callable[[asyncio.Event], Awaitable[None]]
"""A loop beside HTTP and Kafka: runs until the event is set, and returns soon after."""

Prepare = Callable[[], Awaitable[None]]

IDLE_SECONDS = 30
"""Seconds that a connection may stay idle between two requests."""
_HTTP_SECONDS = 10
_STOP_SECONDS = 15.0
_FLUSH_SECONDS = 5.0
_RETRY_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Service:
    """A service, built and not started: what `python -m PACKAGE` runs, and what tests call without a server."""

    runtime: Runtime
    app: FastAPI
    consumer: Consumer | None = None
    tasks: Sequence[Task] = ()
    prepare: Prepare | None = None
    """Awaited once the database responds and is migrated, before anything starts; again if the database failed."""

    async def run(self) -> None:
        """Serve until TERM or INT, then stop in order: accept no more work, finish, flush the outbox, leave the group.

        Raises SystemExit(1) when the database is not migrated, a topic has the wrong partitions, the port is taken, or
        a part died: the supervisor starts the process again.
        """
        stopping = _stop_on_signals()
        _raise_open_file_limit()
        try:
            await _prepare(self, stopping)
            if not stopping.is_set():
                await _serve(self, stopping)
        except (NotMigratedError, TopicError) as error:
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


async def _serve(service: Service, stopping: asyncio.Event) -> None:
    runtime, consumer = service.runtime, service.consumer
    server = _server(service.app, runtime.settings)
    serving = asyncio.create_task(server.serve([_socket(runtime.settings)]), name="http")
    relaying = asyncio.create_task(runtime.relay.run(), name="relay")
    working = [asyncio.create_task(_start(task, stopping), name=f"task-{n}") for n, task in enumerate(service.tasks)]
    if consumer is not None:
        working.append(asyncio.create_task(consumer.run(), name="consumer"))
    checking = asyncio.create_task(_check_topics(runtime, consumer), name="topics")
    runtime.scheduler.start()
    gc.collect()
    gc.freeze()
    log.info("started", port=runtime.settings.port)
    parts = {serving, relaying, checking, *working}
    failed = await _first_failure(parts, stopping)
    stopping.set()
    log.info("stopping")
    runtime.scheduler.stop()
    server.should_exit = True
    if consumer is not None:
        consumer.stop()
    await asyncio.wait([serving, *working], timeout=_STOP_SECONDS)
    if not relaying.done() and not await runtime.relay.flush(_FLUSH_SECONDS):
        log.warning("outbox_not_empty", hint="The next start publishes the rest.")
    for part in parts:
        part.cancel()
    await asyncio.gather(*parts, return_exceptions=True)
    if failed is not None:
        raise SystemExit(1)


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


async def _start(task: Task, stopping: asyncio.Event) -> None:
    await task(stopping)


async def _check_topics(runtime: Runtime, consumer: Consumer | None) -> None:
    """Check the topics' partitions once Kafka responds; until then the service runs without it."""
    expected = {runtime.relay.topic: runtime.relay.partitions}
    if consumer is not None:
        expected[consumer.topic] = consumer.partitions
    while True:
        try:
            await check_partitions(runtime.settings.kafka, expected)
        except (KafkaError, OSError, TimeoutError) as error:
            log.warning("waiting_for_kafka", error=repr(error))
            await asyncio.sleep(_RETRY_SECONDS)
        else:
            return


def _server(app: FastAPI, settings: ServiceSettings) -> uvicorn.Server:
    """uvicorn on h11, which refuses endless headers (httptools does not)."""
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


def _raise_open_file_limit() -> None:
    """Allow enough open files for our own limit of connections, as far as the system permits."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(hard, 2 * MOST_CONNECTIONS) if hard != resource.RLIM_INFINITY else 2 * MOST_CONNECTIONS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _socket(settings: ServiceSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listening = socket.create_server((settings.host, settings.port), family=family, backlog=2048)
        # Connections inherit it. asyncio sets it only where the socket's protocol is given as TCP. Without it every
        # response, whose head and body are two writes, would wait 40 ms for the caller's delayed acknowledgement.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except OSError as error:
        log.critical("cannot_start", reason=f"{settings.host}:{settings.port} cannot be listened on: {error.strerror}")
        raise SystemExit(1) from None


class _Server(uvicorn.Server):
    """A server that leaves the signals to `Service.run`, which stops all parts in order."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def _stop_on_signals() -> asyncio.Event:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    return stopping
