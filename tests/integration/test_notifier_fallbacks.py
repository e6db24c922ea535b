"""After an address has failed, the mail goes to the person's next one, then to the role's group address."""

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
from notifier.domain.delivery import Delivery
from notifier.domain.smtp_reply import SmtpOutcome
from notifier.handlers.attempts import AttemptResult, finish_attempts
from notifier.handlers.claims import ClaimTerms, claim_mails
from notifier.handlers.fallback import bounce
from notifier.store import deliveries, notifications
from notifier.store.attempts import enter_data
from notifier.store.tables import NOTIFICATIONS
from sqlalchemy import update
from support.metrics import counter_value
from support.notifier_events import NOON, TIERS, escalation, stand_down
from support.notifier_world import LINKS, NotifierWorld, make_world
from support.servers import MakeDatabase, SharedSink
from tocsin.acknowledgement import LinkSigner
from tocsin.directory import load_directory
from tocsin.events import Notify
from tocsin_local.loopback import free_port

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
PEOPLE = load_directory(DIRECTORY, "directory.yaml")


@pytest.fixture
async def world(make_database: MakeDatabase, smtp_sink: SharedSink, tmp_path: Path) -> AsyncIterator[NotifierWorld]:
    async with make_world(make_database("notifier"), smtp_sink, tmp_path, NOW) as made:
        made.directory.write_text(DIRECTORY)
        yield made


def step(number: int, tier: int, **fields: Any) -> Notify:
    to = TIERS[tier]
    return escalation(event_id=UUID(int=number), step=number, **({"role": to.role, "role_title": to.title} | fields))


async def bounce_mail(world: NotifierWorld, delivery: Delivery) -> Delivery | None:
    async with world.engine.begin() as connection:
        await notifications.lock_tickets(connection, [delivery.ticket_id])
        current = await deliveries.load_delivery(connection, delivery.tenant, delivery.id)
        assert current is not None
        now = await deliveries.load_now(connection, world.clock())
        found = await bounce(connection, PEOPLE, current, "550 no such user", now)
    world.wake()
    return found


def reached(rows: list[Delivery]) -> list[tuple[str | None, str, int]]:
    return [(delivery.email, delivery.state, delivery.fallback_number) for delivery in rows]


async def test_after_a_refusal_the_mail_goes_to_the_persons_next_address(world: NotifierWorld) -> None:
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
    assert "dana@example.com" in world.sink.messages()[0]["text"]  # it names the address that failed
    assert [event.state for event in await world.events()] == ["refused", "sent"]


async def test_an_address_that_defers_until_retries_are_given_up_has_failed_too(world: NotifierWorld) -> None:
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


@pytest.mark.rule("5.27")
async def test_the_group_address_is_last_and_then_the_mail_is_undeliverable(world: NotifierWorld) -> None:
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
    assert [mail["Tocsin-Tier"] for mail in world.mails()] == ["1"]  # the tier did not move


async def test_a_mail_to_a_group_address_does_not_name_the_person(world: NotifierWorld) -> None:
    async with world.notifier():
        await world.receive(step(1, 1))
        for count in (1, 2):
            await world.reaches(*["bounced"] * (count - 1), "sent")
            await bounce_mail(world, (await world.deliveries())[-1])
        await world.reaches("bounced", "bounced", "sent")
    mail = world.mails()[-1]
    assert (mail["rcpt"], mail["To"]) == ("desk@example.com", "Service Desk Team Lead <desk@example.com>")
    token = re.search(r"/ack/(\S+)", world.sink.messages()[-1]["text"])
    assert token is not None
    assert LinkSigner([LINKS["ack_keys"]]).verify(token[1], world.clock().now()).name == "desk@example.com"


async def test_a_bounce_counts_once_and_a_bounced_address_gets_no_stand_down(world: NotifierWorld) -> None:
    async with world.notifier():
        await world.receive(step(1, 1))
        await world.reaches("sent")
        [first] = await world.deliveries()
        assert (await bounce_mail(world, first)) is not None
        assert await bounce_mail(world, first) is None
        await world.reaches("bounced", "sent")
        await world.receive(stand_down())
        await world.quiet()
    assert [mail["rcpt"] for mail in world.mails()] == ["dana@example.com", "dana@home.example", "dana@home.example"]
    assert [event.state for event in await world.events()] == ["sent", "bounced", "sent", "sent"]


async def test_each_mailbox_that_was_mailed_gets_a_stand_down(world: NotifierWorld) -> None:
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


async def test_a_refused_stand_down_goes_to_the_persons_other_address_and_not_to_the_group(
    world: NotifierWorld,
) -> None:
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


async def test_a_stand_down_refused_at_one_of_two_addresses_is_not_sent_twice_to_the_other(
    world: NotifierWorld,
) -> None:
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


async def test_a_bounce_after_the_end_queues_nothing(world: NotifierWorld) -> None:
    async with world.notifier():
        await world.receive(step(1, 1))
        await world.reaches("sent")
        [first] = await world.deliveries()
        await world.receive(stand_down())
        await world.quiet()
        await bounce_mail(world, first)
        await world.quiet()
    assert await world.states() == ["bounced", "sent"]


async def test_mails_to_a_person_keep_their_order_across_addresses(world: NotifierWorld) -> None:
    world.sink.fail("refuse", code=550, recipient="dana@example.com")
    async with world.notifier():
        await world.receive(*(step(number, 1) for number in (1, 2, 3)))
        await world.quiet()
    assert [mail["Tocsin-Step"] for mail in world.mails()] == ["1", "2", "3"]
    assert {mail["rcpt"] for mail in world.mails()} == {"dana@home.example"}


async def test_a_stand_down_cancels_the_next_address(world: NotifierWorld) -> None:
    world.sink.fail("refuse", code=550, recipient="dana@example.com")
    async with world.notifier():
        await world.receive(step(1, 1))
        await world.reaches("refused", "sent")
        [_, second] = await world.deliveries()
        world.sink.fail("refuse", code=450)
        await bounce_mail(world, second)
        await world.receive(stand_down())
        await world.quiet()
    assert await world.states() == ["refused", "bounced", "cancelled"]
    assert len(world.mails()) == 1


async def test_a_mail_refused_in_data_after_the_end_goes_nowhere_else(world: NotifierWorld) -> None:
    await world.receive(step(1, 1))
    lease, policy = timedelta(seconds=30), world.make_settings().retry_policy
    async with world.engine.begin() as connection:
        terms = ClaimTerms(lease, lambda _: 5)
        [mail], _ = await claim_mails(connection, world.clock(), PEOPLE, terms, limit=1, severity=1)
    [claim] = mail.claims
    async with world.engine.begin() as connection:
        assert await enter_data(connection, [[claim.delivery]], lease) == [True]
    await world.receive(stand_down())
    async with world.engine.begin() as connection:
        refused = AttemptResult(claim.delivery, SmtpOutcome.REFUSED, "554 no", mail.claimed_at, claim.addresses)
        await finish_attempts(connection, world.clock(), policy, [refused])
    async with world.notifier():
        await world.quiet()
    assert await world.states() == ["refused", "cancelled"]
    assert world.mails() == []


async def test_a_non_ascii_address_is_mailed(world: NotifierWorld) -> None:
    async with world.notifier():
        await world.receive(step(1, 1, role="chief_operating_officer"))
        await world.quiet()
    assert reached(await world.deliveries()) == [("zoë@example.com", "sent", 0)], await world.deliveries()
    assert [mail["rcpt"] for mail in world.mails()] == ["zoë@example.com"]


async def test_without_smtputf8_the_next_address_is_mailed(world: NotifierWorld) -> None:
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


async def test_the_present_holder_is_mailed_and_the_scheduled_one_recorded(world: NotifierWorld) -> None:
    early = step(1, 1, role="it_operations_director", at=NOON + timedelta(minutes=30))
    async with world.notifier():
        await world.receive(early)
        await world.quiet()
    [delivery] = await world.deliveries()
    assert (delivery.person, delivery.scheduled_person) == ("kim", "dana")
    assert [(event.recipient.person, event.scheduled_person) for event in await world.events()] == [("kim", "dana")]


async def test_if_the_scheduled_holder_has_the_role_again_no_other_is_recorded(world: NotifierWorld) -> None:
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


async def test_an_unreadable_notification_ends_undeliverable_and_delays_nobody(world: NotifierWorld) -> None:
    await world.receive(step(1, 1), step(2, 2))
    async with world.engine.begin() as connection:
        await connection.execute(update(NOTIFICATIONS).where(NOTIFICATIONS.c.id == UUID(int=1)).values(event=b'{"half'))
    async with world.notifier():
        await world.quiet()
    assert await world.states() == ["undeliverable", "sent"]


def _undeliverable() -> float:
    return counter_value("sla_emails_total", result="undeliverable")
