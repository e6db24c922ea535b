"""Whatever the mail server does, nobody is missed and nobody told twice outside the journalled window."""

from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.notifier_world import World, world
from support.servers import MakeDatabase, SharedSink
from support.smtp_faults import FAULTS, Fate, play
from support.tls_smtp_sink import secured_sink

MAILS = 24


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[tuple[SharedSink, Mapping[str, Any]]]:
    with secured_sink(tmp_path) as sink_and_login:
        yield sink_and_login


@pytest.fixture
async def house(
    make_database: MakeDatabase, secured: tuple[SharedSink, Mapping[str, Any]], tmp_path: Path
) -> AsyncIterator[World]:
    sink, login = secured
    async with world(make_database("notifier"), sink, tmp_path, datetime.now(UTC), **login) as made:
        yield made


@pytest.mark.long
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
    assert fates["TLS stripped"].meanwhile == 0
    login = fates["AUTH refused"]  # the queue stood still, the gauge told of it, and no mail was held responsible
    assert (login.meanwhile, login.refused) == (0, 0)
    assert login.tried < 5
