"""Fixtures of the services' tests. A file that needs another setting defines its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support import intake_world, notifier_world
from support.notifier_api import ApiClients, api_clients
from support.servers import MakeDatabase


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
