"""With default settings: a mail server that hangs after the final dot for half a minute."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from support.notifier_events import escalation, ticket
from support.notifier_world import NotifierWorld, make_world
from support.polling import eventually
from support.servers import MakeDatabase, SharedSink
from support.smtp_faults import DEFAULTS

HANG = 30.0
RECOVERY = timedelta(seconds=5)


@pytest.fixture
async def world(make_database: MakeDatabase, smtp_sink: SharedSink, tmp_path: Path) -> AsyncIterator[NotifierWorld]:
    async with make_world(make_database("notifier"), smtp_sink, tmp_path, datetime.now(UTC), **DEFAULTS) as made:
        yield made


@pytest.mark.long
async def test_mail_flows_within_five_seconds_after_a_hang_of_half_a_minute(world: NotifierWorld) -> None:
    """Two mails a second arrive all the time. None is lost, and each copy is explained by an ambiguous attempt."""
    arriving = asyncio.create_task(_arrive(world))
    async with world.notifier():
        await eventually(lambda: _mailed(world, 5), world.states)
        world.sink.fail("hang_after_dot")
        await asyncio.sleep(HANG)  # how long the fault lasts: there is no condition to wait for
        hung_with = len(world.mails())
        world.sink.fail("none")
        ended = datetime.now(UTC)
        await eventually(lambda: _mailed(world, hung_with + 20), world.states)
        arriving.cancel()
        await world.quiet(180, every=0.2)
    accepted = [datetime.fromisoformat(mail["received_at"]) for mail in world.sink.messages()[hung_with:]]
    assert sum(at - ended <= RECOVERY for at in accepted) >= 5, [str(at - ended) for at in accepted]
    copies = Counter(mail["Message-ID"] for mail in world.mails())
    assert len(copies) == len(await world.deliveries())
    assert sum(copies.values()) - len(copies) <= (await world.journal()).count("ambiguous")


async def _arrive(world: NotifierWorld) -> None:
    while True:
        now = datetime.now(UTC)
        await world.receive(escalation(ticket(ticket_id=uuid4()), event_id=uuid4(), at=now, due_at=now))
        await asyncio.sleep(0.5)  # the pace of the mails, not a wait


async def _mailed(world: NotifierWorld, count: int) -> bool:
    return len(await asyncio.to_thread(world.mails)) >= count
