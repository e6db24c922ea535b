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
from support.notifier_world import LINKS, World, world
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
async def house(make_database: MakeDatabase, smtp_sink: SharedSink, tmp_path: Path) -> AsyncIterator[World]:
    async with world(make_database("notifier"), smtp_sink, tmp_path, NOW) as made:
        made.directory.write_text(DIRECTORY)
        yield made


def step(number: int, tier: int, **fields: Any) -> Notify:
    to = TIERS[tier]
    return escalation(event_id=UUID(int=number), step=number, **({"role": to.role, "role_title": to.title} | fields))


async def bounced(house: World, delivery: Stored, words: str = "550 no such user") -> Stored | None:
    directory = load_directory(DIRECTORY, "directory.yaml")
    async with house.engine.begin() as connection:
        found = await bounce(connection, house.clock(), directory, delivery, words)
    house.wake()
    return found


def reached(deliveries: list[Stored]) -> list[tuple[str | None, str, int]]:
    return [(delivery.email, delivery.state, delivery.fallback) for delivery in deliveries]


async def test_a_refused_address_is_followed_by_the_persons_next_one(house: World) -> None:
    house.sink.fail("refuse", code=550, recipient="dana@example.com")
    async with house.notifier():
        await house.take(step(1, 1))
        await house.reaches("refused", "sent")
    first, second = await house.deliveries()
    assert reached([first, second]) == [("dana@example.com", "refused", 0), ("dana@home.example", "sent", 1)]
    assert (second.fallback_of, second.person, second.message_id) == (
        first.id,
        "dana",
        first.message_id or second.message_id,
    )
    assert first.reply == "550 5.2.0 refused on request"
    assert "dana@example.com" in house.sink.messages()[0]["text"]  # it says where it could not go
    assert [event.state for event in await house.told()] == ["refused", "sent"]


async def test_an_address_that_defers_past_all_patience_is_followed_too(house: World) -> None:
    house.settings = {**house.settings, "retry_give_up": 2}
    house.sink.fail("refuse", code=450, recipient="dana@example.com")
    async with house.notifier():
        await house.take(step(1, 1))
        await house.reaches("refused", "sent")
    first, second = await house.deliveries()
    assert reached([first, second]) == [("dana@example.com", "refused", 0), ("dana@home.example", "sent", 1)]
    assert first.reply == "450 4.2.0 refused on request"
    assert first.attempts > 1
    assert [mail["rcpt"] for mail in house.mails()] == ["dana@home.example"]


async def test_then_the_group_address_then_nobody_and_the_ladder_goes_on(house: World) -> None:
    before = _undeliverable()
    house.sink.fail("refuse", code=550)
    async with house.notifier():
        await house.take(step(1, 1))
        await house.reaches("refused", "refused", "refused", "undeliverable")
        assert _undeliverable() == before + 1
        house.sink.fail("none")
        await house.take(step(2, 2))
        await house.quiet()
    rows = await house.deliveries()
    tried = ["dana@example.com", "dana@home.example", "desk@example.com", None]
    assert [row.email for row in rows] == [*tried, "kim@example.com"]
    assert "desk@example.com" in (rows[3].reply or "")
    last = [event for event in await house.told() if event.state == "undeliverable"]
    assert [(event.recipient.person, event.recipient.email) for event in last] == [("dana", None)]
    assert [mail["Tocsin-Tier"] for mail in house.mails()] == ["1"]  # kim's: nothing moved the tier


async def test_who_reads_at_the_group_address_is_not_called_by_a_name(house: World) -> None:
    async with house.notifier():
        await house.take(step(1, 1))
        for count in (1, 2):
            await house.reaches(*["bounced"] * (count - 1), "sent")
            await bounced(house, (await house.deliveries())[-1])
        await house.reaches("bounced", "bounced", "sent")
    mail = house.mails()[-1]
    assert (mail["rcpt"], mail["To"]) == ("desk@example.com", "Service Desk Team Lead <desk@example.com>")
    told = house.sink.messages()[-1]["text"]
    token = re.search(r"/ack/(\S+)", told)
    assert token is not None
    assert LinkSigner([LINKS["ack_keys"]]).verify(token[1], house.clock().now()).name == "desk@example.com"


async def test_a_bounce_goes_on_once_and_who_bounced_is_not_stood_down_there(house: World) -> None:
    async with house.notifier():
        await house.take(step(1, 1))
        await house.reaches("sent")
        [first] = await house.deliveries()
        assert (await bounced(house, first)) is not None
        assert await bounced(house, first) is None
        await house.reaches("bounced", "sent")
        await house.take(stand_down())
        await house.quiet()
    assert [mail["rcpt"] for mail in house.mails()] == ["dana@example.com", "dana@home.example", "dana@home.example"]
    assert [event.state for event in await house.told()] == ["sent", "bounced", "sent", "sent"]


async def test_each_mailbox_that_was_mailed_is_stood_down(house: World) -> None:
    house.sink.fail("refuse", code=550, recipient="dana@example.com")
    end = stand_down(notifications=(UUID(int=1), UUID(int=2)))
    async with house.notifier():
        await house.take(step(1, 1))
        await house.quiet()
        house.sink.fail("none")
        await house.take(step(2, 1))
        await house.quiet()
        for _ in range(2):
            await house.take(end)
            await house.quiet()
    downs = [mail["rcpt"] for mail in house.mails() if mail["Tocsin-Kind"] == "stand_down"]
    assert sorted(downs) == ["dana@example.com", "dana@home.example"]


async def test_a_refused_stand_down_goes_to_another_address_of_the_person_and_to_no_group(house: World) -> None:
    async with house.notifier():
        await house.take(step(1, 1))
        await house.reaches("sent")
        house.sink.fail("refuse", code=550)
        await house.take(stand_down())
        await house.reaches("sent", "refused", "refused", "undeliverable")
    rows = await house.deliveries()
    tried = ["dana@example.com", "dana@home.example", None]
    assert [(row.kind, row.email) for row in rows[1:]] == [("stand_down", email) for email in tried]
    assert [mail["rcpt"] for mail in house.mails()] == ["dana@example.com"]


async def test_a_stand_down_refused_at_one_of_two_mailed_addresses_does_not_double_the_other(house: World) -> None:
    async with house.notifier():
        await house.take(step(1, 1))
        await house.reaches("sent")
        [first] = await house.deliveries()
        house.sink.fail("refuse", code=550, recipient="dana@example.com")
        await house.take(step(2, 1))
        await house.reaches("sent", "refused", "sent")
        await house.take(stand_down(notifications=(UUID(int=1), UUID(int=2))))
        await house.quiet()
    downs = [mail["rcpt"] for mail in house.mails() if mail["Tocsin-Kind"] == "stand_down"]
    assert (first.email, downs) == ("dana@example.com", ["dana@home.example"])


async def test_a_bounce_after_the_end_wakes_nobody(house: World) -> None:
    async with house.notifier():
        await house.take(step(1, 1))
        await house.reaches("sent")
        [first] = await house.deliveries()
        await house.take(stand_down())
        await house.quiet()
        await bounced(house, first)
        await house.quiet()
    assert await house.states() == ["bounced", "sent"]


async def test_mails_to_a_person_keep_their_order_over_addresses(house: World) -> None:
    house.sink.fail("refuse", code=550, recipient="dana@example.com")
    async with house.notifier():
        await house.take(*(step(number, 1) for number in (1, 2, 3)))
        await house.quiet()
    assert [mail["Tocsin-Step"] for mail in house.mails()] == ["1", "2", "3"]
    assert {mail["rcpt"] for mail in house.mails()} == {"dana@home.example"}


async def test_an_end_cancels_what_would_follow(house: World) -> None:
    house.sink.fail("refuse", code=550, recipient="dana@example.com")
    async with house.notifier():
        await house.take(step(1, 1))
        await house.reaches("refused", "sent")
        [_, second] = await house.deliveries()
        house.sink.fail("refuse", code=450)
        await bounced(house, second)
        await house.take(stand_down())
        await house.quiet()
    assert await house.states() == ["refused", "bounced", "cancelled"]
    assert len(house.mails()) == 1


async def test_what_is_refused_in_data_after_the_end_goes_to_no_other_address(house: World) -> None:
    await house.take(step(1, 1))
    settings = house.make_settings()
    claims = Claims(house.engine, DirectoryFile(house.directory), house.clock(), settings.lease)
    attempts = Attempts(house.engine, house.clock(), settings.patience, settings.lease)
    [claim] = await claims.claim(1)
    assert await attempts.enter_data(Entering(claim.delivery.key, "<refused@example.org>", late=False))
    await house.take(stand_down())
    await attempts.finish(Ending(claim.delivery.key, Verdict.REFUSED, "554 no", claim.addresses))
    async with house.notifier():
        await house.quiet()
    assert await house.states() == ["refused", "cancelled"]
    assert house.mails() == []


async def test_an_address_beyond_ascii_is_mailed(house: World) -> None:
    async with house.notifier():
        await house.take(step(1, 1, role="chief_operating_officer"))
        await house.quiet()
    assert reached(await house.deliveries()) == [("zoë@example.com", "sent", 0)], await house.deliveries()
    assert [mail["rcpt"] for mail in house.mails()] == ["zoë@example.com"]


async def test_where_the_server_takes_ascii_alone_the_next_address_gets_it(house: World) -> None:
    server = Controller(Debugging(StringIO()), hostname="127.0.0.1", port=free_port(), enable_SMTPUTF8=False)
    house.settings = {**house.settings, "smtp": f"127.0.0.1:{server.port}"}
    server.start()
    try:
        async with house.notifier():
            await house.take(step(1, 1, role="chief_operating_officer"))
            await house.quiet()
    finally:
        server.stop()
    rows = await house.deliveries()
    assert reached(rows) == [("zoë@example.com", "refused", 0), ("zoe@example.com", "sent", 1)]
    assert rows[0].reply == "553 zoë@example.com needs SMTPUTF8, which the mail server does not offer"


async def test_a_rotation_that_turned_since_mails_who_holds_it_and_keeps_both(house: World) -> None:
    early = step(1, 1, role="it_operations_director", at=NOON + timedelta(minutes=30))
    async with house.notifier():
        await house.take(early)
        await house.quiet()
    [delivery] = await house.deliveries()
    assert (delivery.person, delivery.scheduled_person) == ("kim", "dana")
    assert [(event.recipient.person, event.scheduled_person) for event in await house.told()] == [("kim", "dana")]


async def test_where_the_scheduled_holder_has_the_role_again_nobody_else_is_kept(house: World) -> None:
    house.sink.fail("refuse", code=450, recipient="kim@example.com")
    async with house.notifier():
        await house.take(step(1, 1, role="it_operations_director", at=NOON + timedelta(minutes=30)))
        await house.reaches("deferred")
    [delivery] = await house.deliveries()
    assert (delivery.person, delivery.scheduled_person) == ("kim", "dana")
    house.directory.write_text(DIRECTORY.replace("2026-06-08T13:00:00Z", "2026-06-08T14:00:00Z"))
    async with house.notifier():
        await house.quiet()
    [delivery] = await house.deliveries()
    assert (delivery.state, delivery.person, delivery.scheduled_person) == ("sent", "dana", None)


async def test_a_notice_that_cannot_be_read_any_more_ends_undeliverable_and_holds_up_nobody(house: World) -> None:
    await house.take(step(1, 1), step(2, 2))
    async with house.engine.begin() as connection:
        await connection.execute(update(notices).where(notices.c.id == UUID(int=1)).values(event=b'{"half'))
    async with house.notifier():
        await house.quiet()
    assert await house.states() == ["undeliverable", "sent"]


def _undeliverable() -> float:
    return REGISTRY.get_sample_value("sla_emails_total", {"result": "undeliverable"}) or 0
