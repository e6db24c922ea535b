"""Whatever the mail server does, nobody is missed and nobody told twice outside the journalled window."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from faults import FAULTS, Fate, play
from notifier_world import World, world
from servers import MakeDatabase, SharedSink

MAILS = 24


@pytest.fixture
async def house(make_database: MakeDatabase, smtp_sink: SharedSink, tmp_path: Path) -> AsyncIterator[World]:
    async with world(make_database("notifier"), smtp_sink, tmp_path, datetime.now(UTC)) as made:
        yield made


async def test_every_mail_survives_every_fault(house: World) -> None:
    """`make faults` prints the table of a thousand mails each."""
    fates: dict[str, Fate] = {}
    for fault in FAULTS:
        fates[fault.name] = fate = await play(house, fault, MAILS, stands=0)
        assert fate.is_clean, fate
        assert fate.sent == MAILS, fate
    assert fates["550 for ever"].fallback == MAILS / 2
    assert fates["hang after the dot"].ambiguous > 0
    assert fates["reset after the dot"].ambiguous > 0
