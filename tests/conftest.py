"""The real servers for tests: started once per session, when the first test asks, and stopped at the end.

    postgres        the server (tocsin_local.postgres.Postgres)
    make_database   make_database("intake") -> SQLAlchemy URL of a fresh, migrated database of that service;
                    make_database() -> URL of a fresh, empty one; both are dropped after the test
    kafka           the broker (servers.SharedKafka): kafka.bootstrap ("host:port"); kafka.fresh_topics() makes tocsin's
                    four topics anew and empty, kafka.fresh_topics("a", "b", partitions=2) others
    smtp_sink       the mail server (servers.SharedSink), with an empty inbox and no fault: smtp_sink.address
                    ("host:port"), smtp_sink.inbox (URL), smtp_sink.messages(),
                    smtp_sink.fail("refuse", code=550, recipient="a@example.org")

tests/scenario has the whole stack, whose business time the stories move.

A test that stops or kills a server starts its own (tocsin_local.processes.Process): these here are shared.
"""

import itertools
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import settings
from support.search_budget import tries
from support.servers import MakeDatabase, SharedKafka, SharedSink, migrate, role_of, running, tell
from tocsin_local.kafka import Kafka
from tocsin_local.postgres import Postgres
from tocsin_local.processes import free_port
from tocsin_local.smtp import SmtpSink

# Machines that test are small and noisy: a slow example says nothing.
settings.register_profile("tocsin", deadline=None, max_examples=tries(40))
settings.load_profile("tocsin")
# Rich's tracebacks take seconds, in which the event loop of the test stands still.
structlog.configure(
    processors=[
        structlog.stdlib.add_log_level,
        structlog.dev.set_exc_info,
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]
)


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Side by side (`make test`) each file stays in one process, unless it says otherwise, and so do all stories: they
    share a stack, which ends with the last of them. What takes long begins first, so that no process is left alone
    with it at the end.
    """
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group("stories" if _is_story(item) else item.path.name))
    yield  # xdist reads the marks, and pytest-randomly shuffles
    items.sort(key=lambda item: (not _is_story(item), item.get_closest_marker("long") is None))


def _is_story(item: pytest.Item) -> bool:
    return "clockwork" in getattr(item, "fixturenames", ())


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse to go on where the groups do not count: each process would start a stack of its own."""
    if "PYTEST_XDIST_WORKER" in os.environ and not all("@" in item.nodeid for item in session.items):
        raise pytest.UsageError("pytest-xdist does not group these tests: run it with --dist loadgroup")


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Our commands set logging up for their whole process, which in a test is this one: no other test's may see it."""
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
def postgres(servers_folder: Path) -> Iterator[Postgres]:
    server = Postgres(servers_folder / "postgres", free_port(), tell, durable=False)
    with running(server, servers_folder):
        yield server
    server.remove()


@pytest.fixture(scope="session")
def kafka(servers_folder: Path) -> Iterator[SharedKafka]:
    broker = Kafka(servers_folder / "kafka", free_port(), free_port(), tell)
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


@pytest.fixture
def make_database(postgres: Postgres, templates: Callable[[str], str]) -> Iterator[MakeDatabase]:
    made: list[str] = []

    def make(service: str | None = None) -> str:
        owner = role_of(service or "tocsin")
        name = f"{owner.name}_{next(_numbers)}"
        postgres.create_role(owner)
        url = postgres.create_database(name, owner, templates(service) if service else None)
        made.append(name)
        return url

    yield make
    for name in made:
        postgres.drop_database(name)


@pytest.fixture(scope="session")
def templates(postgres: Postgres) -> Callable[[str], str]:
    """The name of a service's migrated template database, made when it is first asked for."""
    made: dict[str, str] = {}

    def template(service: str) -> str:
        if service not in made:
            owner = role_of(service)
            postgres.create_role(owner)
            name = f"template_{owner.name}"
            migrate(service, postgres.create_database(name, owner))
            made[service] = name
        return made[service]

    return template


_numbers = itertools.count(1)
