"""Fixtures of the services' tests. A file that needs another setting defines its own."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from support import intake_world, notifier_world
from support.notifier_api import ApiClients, api_clients
from support.servers import MakeDatabase, SharedSink, running
from tocsin_local.loopback import free_port
from tocsin_local.smtp import SmtpSink


@pytest.fixture
async def intake(make_database: MakeDatabase, tmp_path: Path) -> AsyncIterator[intake_world.IntakeWorld]:
    """Intake, without integrations, on an empty database."""
    async with intake_world.world(make_database("intake"), tmp_path) as made:
        yield made


@pytest.fixture
async def api(world: notifier_world.NotifierWorld, tmp_path: Path) -> AsyncIterator[ApiClients]:
    """Clients of the API of the notifier `world`, one per key."""
    async with api_clients(world, tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def other_sink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedSink]:
    folder = tmp_path_factory.mktemp("second")
    part = SmtpSink(folder / "smtp", free_port(), free_port())
    with running(part, folder):
        yield SharedSink(part.address, part.inbox)


@pytest.fixture
def second(other_sink: SharedSink) -> SharedSink:
    """A second SMTP server without mails and faults."""
    other_sink.fail("none")
    other_sink.clear()
    return other_sink
