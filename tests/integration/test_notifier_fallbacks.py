"""A mail that an address does not take goes on to the person's next one, then to the role's group address."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Debugging
from notifier.domain.delivery import Entering, Stored
from notifier.domain.smtp_result import Verdict
from notifier.handlers.fallback import bounce
from notifier.store.tables import notices
from notifier.workers.attempts import Attempts, Ending
from notifier.workers.queue import Claims
from prometheus_client import REGISTRY
from sqlalchemy import update
from support.notifier_events import NOON, TIERS, escalation, stand_down
from support.notifier_world import LINKS, World, make_world
from support.servers import MakeDatabase, SharedSink
from tocsin.acknowledgement import LinkSigner
from tocsin.directory import load_directory
from tocsin.events import Notify
from tocsin.sources.directory_file import DirectoryFile
from tocsin_local.processes import free_port

NOW = NOON + timedelta(hours=1, seconds=1)
DIRECTORY = """
people:
  dana: { name: Dana, email: dana@example.com, fallbacks: [dana@home.example] }
  kim: { name: Kim, email: kim@example.com }
  zoe: { name: Zoë, email: zoë@example.com, fallbacks: [zoe@example.com] }
roles:
  service_desk_team_lead:
    - { person: dana }
  senior_it_operations_manager:
    - { person: kim }
  it_operations_director:
    - { person: dana, to: 2026-06-08T13:00:00Z }
    - { person: kim, from: 2026-06-08T13:00:00Z }
  chief_operating_officer:
    - { person: zoe }
group_addresses:
  - { role: service_desk_team_lead, email: desk@example.com }
"""


@pytest.fixture
async def world(make_database: MakeDatabase, smtp_sink: SharedSink, tmp_path: Path) -> AsyncIterator[World]:
    async with make_world(make_database("notifier"), smtp_sink, tmp_path, NOW) as made:
        made.directory.write_text(DIRECTORY)
        yield made


def step(number: int, tier: int, **fields: Any) -> Notify:
    to = TIERS[tier]
    return escalation(event_id=UUID(int=number), step=number, **({"role": to.role, "role_title": to.title} | fields))


async def bounced(world: World, delivery: Stored, words: str = "550 no such user") -> Stored | None:
    directory = load_directory(DIRECTORY, "directory.yaml")
    async with world.engine.begin() as connection:
        found = await bounce(connection, world.clock(), directory, delivery, words)
    world.wake()
    return found


def reached(deliveries: list[Stored]) -> list[tuple[str | None, str, int]]:
    return [(delivery.email, delivery.state, delivery.fallback) for delivery in deliveries]


async def test_a_refused_address_is_followed_by_the_persons_next_one(world: World) -> None:
    world.sink.fail("refuse", code=550, recipient="dana@example.com")
    async with world.notifier():
        await world.receive(step(1, 1))
        await world.reaches("refused", "sent")
    first, second = await world.deliveries()
    assert reached([first, second]) == [("dana@example.com", "refused", 0), ("dana@home.example", "sent", 1)]
    assert (second.fallback_of, second.person, second.message_id) == (
        first.id,
        "dana",
        first.message_id or second.message_id,
    )
    assert first.reply == "550 5.2.0 refused on request"
    assert "dana@example.com" in world.sink.messages()[0]["text"]  # it says where it could not go
    assert [event.state for event in await world.events()] == ["refused", "sent"]


async def test_an_address_that_defers_past_all_patience_is_followed_too(world: World) -> None:
    world.settings = {**world.settings, "retry_give_up": 2}
    world.sink.fail("refuse", code=450, recipient="dana@example.com")
    async with world.notifier():
        await world.receive(step(1, 1))
        await world.reaches("refused", "sent")
    first, second = await world.deliveries()
    assert reached([first, second]) == [("dana@example.com", "refused", 0), ("dana@home.example", "sent", 1)]
    assert first.reply == "450 4.2.0 refused on request"
    assert first.attempts > 1
    assert [mail["rcpt"] for mail in world.mails()] == ["dana@home.example"]


async def test_then_the_group_address_then_nobody_and_the_ladder_goes_on(world: World) -> None:
    before = _undeliverable()
    world.sink.fail("refuse", code=550)
    async with world.notifier():
        await world.receive(step(1, 1))
        await world.reaches("refused", "refused", "refused", "undeliverable")
        assert _undeliverable() == before + 1
        world.sink.fail("none")
        await world.receive(step(2, 2))
        await world.quiet()
    rows = await world.deliveries()
    tried = ["dana@example.com", "dana@home.example", "desk@example.com", None]
    assert [row.email for row in rows] == [*tried, "kim@example.com"]
    assert "desk@example.com" in (rows[3].reply or "")
    last = [event for event in await world.events() if event.state == "undeliverable"]
    assert [(event.recipient.person, event.recipient.email) for event in last] == [("dana", None)]
    assert [mail["Tocsin-Tier"] for mail in world.mails()] == ["1"]  # kim's: nothing moved the tier


async def test_who_reads_at_the_group_address_is_not_called_by_a_name(world: World) -> None:
    async with world.notifier():
        await world.receive(step(1, 1))
        for count in (1, 2):
            await world.reaches(*["bounced"] * (count - 1), "sent")
            await bounced(world, (await world.deliveries())[-1])
        await world.reaches("bounced", "bounced", "sent")
    mail = world.mails()[-1]
    assert (mail["rcpt"], mail["To"]) == ("desk@example.com", "Service Desk Team Lead <desk@example.com>")
    told = world.sink.messages()[-1]["text"]
    token = re.search(r"/ack/(\S+)", told)
    assert token is not None
    assert LinkSigner([LINKS["ack_keys"]]).verify(token[1], world.clock().now()).name == "desk@example.com"


async def test_a_bounce_goes_on_once_and_who_bounced_is_not_stood_down_there(world: World) -> None:
    async with world.notifier():
        await world.receive(step(1, 1))
        await world.reaches("sent")
        [first] = await world.deliveries()
        assert (await bounced(world, first)) is not None
        assert await bounced(world, first) is None
        await world.reaches("bounced", "sent")
        await world.receive(stand_down())
        await world.quiet()
    assert [mail["rcpt"] for mail in world.mails()] == ["dana@example.com", "dana@home.example", "dana@home.example"]
    assert [event.state for event in await world.events()] == ["sent", "bounced", "sent", "sent"]


async def test_each_mailbox_that_was_mailed_is_stood_down(world: World) -> None:
    world.sink.fail("refuse", code=550, recipient="dana@example.com")
    end = stand_down(notifications=(UUID(int=1), UUID(int=2)))
    async with world.notifier():
        await world.receive(step(1, 1))
        await world.quiet()
        world.sink.fail("none")
        await world.receive(step(2, 1))
        await world.quiet()
        for _ in range(2):
            await world.receive(end)
            await world.quiet()
    downs = [mail["rcpt"] for mail in world.mails() if mail["Tocsin-Kind"] == "stand_down"]
    assert sorted(downs) == ["dana@example.com", "dana@home.example"]


async def test_a_refused_stand_down_goes_to_another_address_of_the_person_and_to_no_group(world: World) -> None:
    async with world.notifier():
        await world.receive(step(1, 1))
        await world.reaches("sent")
        world.sink.fail("refuse", code=550)
        await world.receive(stand_down())
        await world.reaches("sent", "refused", "refused", "undeliverable")
    rows = await world.deliveries()
    tried = ["dana@example.com", "dana@home.example", None]
    assert [(row.kind, row.email) for row in rows[1:]] == [("stand_down", email) for email in tried]
    assert [mail["rcpt"] for mail in world.mails()] == ["dana@example.com"]


async def test_a_stand_down_refused_at_one_of_two_mailed_addresses_does_not_double_the_other(world: World) -> None:
    async with world.notifier():
        await world.receive(step(1, 1))
        await world.reaches("sent")
        [first] = await world.deliveries()
        world.sink.fail("refuse", code=550, recipient="dana@example.com")
        await world.receive(step(2, 1))
        await world.reaches("sent", "refused", "sent")
        await world.receive(stand_down(notifications=(UUID(int=1), UUID(int=2))))
        await world.quiet()
    downs = [mail["rcpt"] for mail in world.mails() if mail["Tocsin-Kind"] == "stand_down"]
    assert (first.email, downs) == ("dana@example.com", ["dana@home.example"])


async def test_a_bounce_after_the_end_wakes_nobody(world: World) -> None:
    async with world.notifier():
        await world.receive(step(1, 1))
        await world.reaches("sent")
        [first] = await world.deliveries()
        await world.receive(stand_down())
        await world.quiet()
        await bounced(world, first)
        await world.quiet()
    assert await world.states() == ["bounced", "sent"]


async def test_mails_to_a_person_keep_their_order_over_addresses(world: World) -> None:
    world.sink.fail("refuse", code=550, recipient="dana@example.com")
    async with world.notifier():
        await world.receive(*(step(number, 1) for number in (1, 2, 3)))
        await world.quiet()
    assert [mail["Tocsin-Step"] for mail in world.mails()] == ["1", "2", "3"]
    assert {mail["rcpt"] for mail in world.mails()} == {"dana@home.example"}


async def test_an_end_cancels_what_would_follow(world: World) -> None:
    world.sink.fail("refuse", code=550, recipient="dana@example.com")
    async with world.notifier():
        await world.receive(step(1, 1))
        await world.reaches("refused", "sent")
        [_, second] = await world.deliveries()
        world.sink.fail("refuse", code=450)
        await bounced(world, second)
        await world.receive(stand_down())
        await world.quiet()
    assert await world.states() == ["refused", "bounced", "cancelled"]
    assert len(world.mails()) == 1


async def test_what_is_refused_in_data_after_the_end_goes_to_no_other_address(world: World) -> None:
    await world.receive(step(1, 1))
    settings = world.make_settings()
    claims = Claims(world.engine, DirectoryFile(world.directory), world.clock(), settings.lease)
    attempts = Attempts(world.engine, world.clock(), settings.patience, settings.lease)
    [claim] = await claims.claim(1)
    assert await attempts.enter_data(Entering(claim.delivery.key, "<refused@example.org>", late=False))
    await world.receive(stand_down())
    await attempts.finish(Ending(claim.delivery.key, Verdict.REFUSED, "554 no", claim.addresses))
    async with world.notifier():
        await world.quiet()
    assert await world.states() == ["refused", "cancelled"]
    assert world.mails() == []


async def test_an_address_beyond_ascii_is_mailed(world: World) -> None:
    async with world.notifier():
        await world.receive(step(1, 1, role="chief_operating_officer"))
        await world.quiet()
    assert reached(await world.deliveries()) == [("zoë@example.com", "sent", 0)], await world.deliveries()
    assert [mail["rcpt"] for mail in world.mails()] == ["zoë@example.com"]


async def test_where_the_server_takes_ascii_alone_the_next_address_gets_it(world: World) -> None:
    server = Controller(Debugging(StringIO()), hostname="127.0.0.1", port=free_port(), enable_SMTPUTF8=False)
    world.settings = {**world.settings, "smtp": f"127.0.0.1:{server.port}"}
    server.start()
    try:
        async with world.notifier():
            await world.receive(step(1, 1, role="chief_operating_officer"))
            await world.quiet()
    finally:
        server.stop()
    rows = await world.deliveries()
    assert reached(rows) == [("zoë@example.com", "refused", 0), ("zoe@example.com", "sent", 1)]
    assert rows[0].reply == "553 zoë@example.com needs SMTPUTF8, which the mail server does not offer"


async def test_a_rotation_that_turned_since_mails_who_holds_it_and_keeps_both(world: World) -> None:
    early = step(1, 1, role="it_operations_director", at=NOON + timedelta(minutes=30))
    async with world.notifier():
        await world.receive(early)
        await world.quiet()
    [delivery] = await world.deliveries()
    assert (delivery.person, delivery.scheduled_person) == ("kim", "dana")
    assert [(event.recipient.person, event.scheduled_person) for event in await world.events()] == [("kim", "dana")]


async def test_where_the_scheduled_holder_has_the_role_again_nobody_else_is_kept(world: World) -> None:
    world.sink.fail("refuse", code=450, recipient="kim@example.com")
    async with world.notifier():
        await world.receive(step(1, 1, role="it_operations_director", at=NOON + timedelta(minutes=30)))
        await world.reaches("deferred")
    [delivery] = await world.deliveries()
    assert (delivery.person, delivery.scheduled_person) == ("kim", "dana")
    world.directory.write_text(DIRECTORY.replace("2026-06-08T13:00:00Z", "2026-06-08T14:00:00Z"))
    async with world.notifier():
        await world.quiet()
    [delivery] = await world.deliveries()
    assert (delivery.state, delivery.person, delivery.scheduled_person) == ("sent", "dana", None)


async def test_a_notice_that_cannot_be_read_any_more_ends_undeliverable_and_holds_up_nobody(world: World) -> None:
    await world.receive(step(1, 1), step(2, 2))
    async with world.engine.begin() as connection:
        await connection.execute(update(notices).where(NOTIFICATIONS.c.id == UUID(int=1)).values(event=b'{"half'))
    async with world.notifier():
        await world.quiet()
    assert await world.states() == ["undeliverable", "sent"]


def _undeliverable() -> float:
    return REGISTRY.get_sample_value("sla_emails_total", {"result": "undeliverable"}) or 0
