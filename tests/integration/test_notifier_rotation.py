"""A rotation whose turn changes between scheduling and sending, and one person in two roles."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from support.notifier_events import NOON, about_clock, escalation
from support.notifier_world import NotifierWorld, make_world
from support.servers import MakeDatabase, SharedSink

DIRECTORY = """
people:
  dana: { name: Dana, email: dana@example.com }
  kim: { name: Kim, email: kim@example.com }
  lee: { name: Lee, email: lee@example.com }
rotations:
  desk: { zone: America/New_York, members: [dana, kim], turns: daily, start: 2026-06-07T09:30 }
roles:
  service_desk_team_lead: [{ rotation: desk }]
  senior_it_operations_manager: [{ rotation: desk }]
"""
COVER = """
overrides:
  - { instead_of: kim, person: lee, from: 2026-06-08T13:30:00Z, to: 2026-06-08T20:00:00Z, reason: ill }
"""
SCHEDULED = NOON + timedelta(hours=1)  # 09:00 in New York; Dana's turn ends at 09:30
SENDING = NOON + timedelta(hours=2)


@pytest.fixture
async def world(make_database: MakeDatabase, smtp_sink: SharedSink, tmp_path: Path) -> AsyncIterator[NotifierWorld]:
    async with make_world(make_database("notifier"), smtp_sink, tmp_path, SENDING) as made:
        made.directory.write_text(DIRECTORY)
        yield made


async def test_the_holder_at_sending_is_mailed(world: NotifierWorld) -> None:
    async with world.notifier():
        await world.receive(escalation(at=SCHEDULED))
        await world.reaches("sent")
    [delivery] = await world.deliveries()
    assert (delivery.person, delivery.rule) == ("kim", "rotation desk, day of 2026-06-08")
    assert [(event.recipient.person, event.scheduled_person) for event in await world.events()] == [("kim", "dana")]
    assert [mail["rcpt"] for mail in world.mails()] == ["kim@example.com"]


async def test_cover_that_is_added_while_a_mail_waits_counts(world: NotifierWorld) -> None:
    world.sink.fail("refuse", code=450)
    async with world.notifier():
        await world.receive(escalation(at=SCHEDULED))
        await world.reaches("deferred")
    world.directory.write_text(DIRECTORY + COVER)
    world.sink.fail("none")
    async with world.notifier():
        await world.reaches("sent")
    [delivery] = await world.deliveries()
    assert delivery.rule == "override: instead of Kim until 2026-06-08 20:00 UTC (ill)"
    assert [mail["rcpt"] for mail in world.mails()] == ["lee@example.com"]


async def test_a_person_with_two_roles_by_one_rotation_gets_one_mail(world: NotifierWorld) -> None:
    other = about_clock("warning", event_id=UUID(int=2), role="senior_it_operations_manager")
    async with world.notifier():
        await world.receive(about_clock("warning"), other)
        await world.reaches("sent", "cancelled")
    assert [mail["rcpt"] for mail in world.mails()] == ["kim@example.com"]
    assert [delivery.reply for delivery in await world.deliveries()][1] == "already notified"
