"""The real servers for tests: started once per session, when the first test asks, and stopped at the end.

    postgres        the server (tocsin_local.postgres.Postgres)
    make_database   make_database("intake") -> SQLAlchemy URL of a migrated database of that service without rows;
                    make_database() -> URL of a database without tables, dropped after the test
    kafka           the broker (servers.SharedKafka): kafka.bootstrap ("host:port"); kafka.fresh_topics() makes tocsin's
                    four topics anew and empty, kafka.fresh_topics("a", "b", partitions=2) others
    smtp_sink       the mail server (servers.SharedSink), with an empty inbox and no fault: smtp_sink.address
                    ("host:port"), smtp_sink.inbox (URL), smtp_sink.messages(),
                    smtp_sink.fail("refuse", code=550, recipient="a@example.org")

tests/scenario and tests/slow start a whole stack each (movable_stack) and move its business time (support.scenario).

These servers are shared. A test that stops or kills a server starts its own (tocsin_local.processes.Process).
"""

import logging
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import structlog
from hypothesis import settings
from support.databases import DatabasePool
from support.movable_stack import MovableStack
from support.scenario import Scenario
from support.search_budget import tries
from support.servers import MakeDatabase, SharedKafka, SharedSink, log_line, running
from tocsin_local.kafka import Kafka
from tocsin_local.loopback import free_port
from tocsin_local.postgres import Postgres
from tocsin_local.smtp import SmtpSink

# Test machines are small and noisy, so a slow example is not a failure.
settings.register_profile("tocsin", deadline=None, max_examples=tries(40))
settings.load_profile("tocsin")
# Rich's tracebacks take seconds and block the test's event loop.
structlog.configure(
    processors=[
        structlog.stdlib.add_log_level,
        structlog.dev.set_exc_info,
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]
)


_SHARED = pytest.StashKey[Postgres]()


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Groups tests for the parallel run (`make test`): each file runs in one process, unless it is marked otherwise.
    All scenarios run in one process, because they share a stack. The processes end together, because long tests start
    first, and those that need no server last.
    """
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group("scenarios" if _uses_the_stack(item) else item.path.name))
    yield  # xdist reads the marks, and pytest-randomly shuffles
    items.sort(key=_starts_early, reverse=True)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Starts one PostgreSQL for all processes of a parallel run, before the first of them."""
    config = node.config
    if _SHARED not in config.stash:
        shared = ExitStack()
        config.add_cleanup(shared.close)
        folder = Path(shared.enter_context(TemporaryDirectory(prefix="tocsin-tests-")))
        config.stash[_SHARED] = shared.enter_context(_postgres_in(folder / "postgres"))
    server = config.stash[_SHARED]
    node.workerinput["postgres"] = (str(server.folder), server.port)


def _starts_early(item: pytest.Item) -> tuple[bool, bool, bool]:
    return _uses_the_stack(item), item.get_closest_marker("long") is not None, item.path.parent.name == "integration"


def _uses_the_stack(item: pytest.Item) -> bool:
    return "movable_stack" in getattr(item, "fixturenames", ())


def pytest_collection_finish(session: pytest.Session) -> None:
    """Rejects a parallel run that ignores the groups: each process would start its own stack."""
    if "PYTEST_XDIST_WORKER" in os.environ and not all("@" in item.nodeid for item in session.items):
        raise pytest.UsageError("pytest-xdist does not group these tests: run it with --dist loadgroup")


@pytest.fixture(autouse=True)
def restore_logging() -> Iterator[None]:
    """Restores the logging configuration, because our commands configure it for the whole process."""
    ours = structlog.get_config()
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.configure(**ours)
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


@pytest.fixture(scope="session")
def servers_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("servers")


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest, servers_folder: Path) -> Iterator[Postgres]:
    shared = getattr(request.config, "workerinput", {}).get("postgres")
    if shared:
        folder, port = shared
        yield Postgres(Path(folder), port, log_line, durable=False)
    else:
        with _postgres_in(servers_folder / "postgres") as server:
            yield server


@contextmanager
def _postgres_in(folder: Path) -> Iterator[Postgres]:
    server = Postgres(folder, free_port(), log_line, durable=False)
    try:
        with running(server, folder.parent):
            yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def kafka(servers_folder: Path) -> Iterator[SharedKafka]:
    broker = Kafka(servers_folder / "kafka", free_port(), free_port(), log_line)
    with running(broker, servers_folder):
        yield SharedKafka(broker.bootstrap)


@pytest.fixture(scope="session")
def started_sink(servers_folder: Path) -> Iterator[SmtpSink]:
    sink = SmtpSink(servers_folder / "smtp", free_port(), free_port())
    with running(sink, servers_folder):
        yield sink


@pytest.fixture
def smtp_sink(started_sink: SmtpSink) -> Iterator[SharedSink]:
    sink = SharedSink(started_sink.address, started_sink.inbox)
    sink.clear()
    yield sink
    sink.fail("none")


@pytest.fixture(scope="session")
def database_pool(postgres: Postgres) -> DatabasePool:
    return DatabasePool(postgres, prefix=f"{os.environ.get('PYTEST_XDIST_WORKER', 'main')}_")


@pytest.fixture
def make_database(database_pool: DatabasePool) -> Iterator[MakeDatabase]:
    empty: list[str] = []

    def make(service: str | None = None) -> str:
        if service is not None:
            return database_pool.lend(service)
        name, url = database_pool.create_empty()
        empty.append(name)
        return url

    yield make
    database_pool.take_back()
    for name in empty:
        database_pool.drop(name)


@pytest.fixture
async def scenario(movable_stack: MovableStack) -> AsyncIterator[Scenario]:
    """A scenario that starts on a Monday at 08:00 in New York."""
    async with Scenario(movable_stack) as started:
        yield started
