"""Mails about exhaustion and about requests, and recipients that the ticket names, on real PostgreSQL and SMTP."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from notifier.store import journal
from support.notifier_events import NOON, TIERS, about_clock, escalation, exhausted, request, stand_down, ticket
from support.notifier_world import NotifierWorld, make_world
from support.servers import MakeDatabase, SharedSink
from tocsin.events import Assignee, Contact, Exhausted, Notify, StandDown, Tier

NOW = NOON + timedelta(hours=1, seconds=1)
POLICY = Path(__file__).parents[2] / "deploy/policy/policy.yaml"
DIRECTOR = Tier(number=3, role="it_operations_director", title="IT Operations Director")
MANAGER = Tier(number=4, role="account_manager", title="Account Manager")


@pytest.fixture
async def world(make_database: MakeDatabase, smtp_sink: SharedSink, tmp_path: Path) -> AsyncIterator[NotifierWorld]:
    async with make_world(make_database("notifier"), smtp_sink, tmp_path, NOW, policy=POLICY) as made:
        yield made


def step(number: int, tier: Tier, **fields: Any) -> Notify:
    return escalation(
        event_id=UUID(int=number), step=number, tier=tier, role=tier.role, role_title=tier.title, **fields
    )


# Dana holds tiers 1 and 3, Kim tier 2; Lee held tier 4 until half past one.
STEPS = [step(1, TIERS[1]), step(2, TIERS[2]), step(3, DIRECTOR)]


def end(*notifies: Notify, **fields: Any) -> Exhausted:
    return exhausted(notifications=tuple(notify.event_id for notify in notifies), **fields)


def stood_down(*events: Notify | Exhausted) -> StandDown:
    return stand_down(at=NOW, notifications=tuple(event.event_id for event in events))


def mailed(world: NotifierWorld, kind: str) -> Counter[str]:
    """How many mails of that kind each address got."""
    return Counter(mail["rcpt"] for mail in world.mails() if mail["Tocsin-Kind"] == kind)


@pytest.mark.rule("5.22", "5.24")
async def test_everyone_whom_the_run_mailed_gets_one_mail_about_exhaustion_and_one_stand_down(
    world: NotifierWorld,
) -> None:
    last = end(*STEPS)
    async with world.notifier():
        await world.receive(*STEPS)
        await world.reaches("sent", "sent", "sent")
        await world.receive(last, last)
        await world.quiet()
        assert mailed(world, "exhausted") == {"dana@example.com": 1, "kim@example.com": 1}
        await world.receive(stood_down(*STEPS, last))
        await world.quiet()
    assert mailed(world, "stand_down") == {"dana@example.com": 1, "kim@example.com": 1}
    first = next(mail for mail in world.sink.messages() if ["Tocsin-Kind", "exhausted"] in mail["headers"])
    assert "tier 3, IT Operations Director: Dana, mailed 2026-06-08 13:00" in first["text"]
    events = [event for event in await world.events() if event.kind == "exhausted"]
    assert Counter((event.state, event.recipient.person, event.run) for event in events) == {
        ("sent", "dana", 1): 1,
        ("sent", "kim", 1): 1,
        ("cancelled", None, 1): 1,  # Dana is already notified, as tier 1
    }


@pytest.mark.rule("5.22")
async def test_the_mail_about_exhaustion_goes_to_who_was_mailed_not_to_who_holds_the_role_now(
    world: NotifierWorld,
) -> None:
    async with world.notifier():
        await world.receive(STEPS[0])
        await world.reaches("sent")
        world.directory.write_text(world.directory.read_text().replace("- person: dana", "- person: kim"))
    async with world.notifier():
        await world.receive(end(STEPS[0]))
        await world.quiet()
    assert mailed(world, "exhausted") == {"dana@example.com": 1}


@pytest.mark.rule("5.22", "5.25")
async def test_mail_about_exhaustion_waits_for_the_mail_of_its_step_and_holds_up_nobody_else(
    world: NotifierWorld,
) -> None:
    """Kim's address refuses for a while: the others are mailed, Kim gets both mails in the end, in order."""
    world.sink.fail("refuse", code=450, recipient="kim@example.com")
    async with world.notifier():
        await world.receive(*STEPS, end(*STEPS))
        await world.reaches("sent", "deferred", "sent", "sent", "queued", "cancelled")
        assert mailed(world, "exhausted") == {"dana@example.com": 1}
        world.sink.fail("none")
        await world.quiet()
    kinds = [mail["Tocsin-Kind"] for mail in world.mails() if mail["rcpt"] == "kim@example.com"]
    assert kinds == ["escalation", "exhausted"]


@pytest.mark.rule("5.22")
async def test_who_was_never_mailed_gets_no_mail_about_exhaustion(world: NotifierWorld) -> None:
    world.now = NOON + timedelta(hours=3)
    nobody = step(4, MANAGER, at=NOON + timedelta(hours=3))
    async with world.notifier():
        await world.receive(STEPS[0], nobody)
        await world.reaches("sent", "undeliverable")
        await world.receive(end(STEPS[0], nobody))
        await world.quiet()
    assert mailed(world, "exhausted") == {"dana@example.com": 1}


@pytest.mark.rule("5.22", "5.24")
async def test_a_queued_mail_about_exhaustion_is_not_sent_once_the_run_has_ended(world: NotifierWorld) -> None:
    last = end(STEPS[0])
    async with world.notifier():
        await world.receive(STEPS[0])
        await world.reaches("sent")
    await world.receive(last)
    await world.receive(stood_down(STEPS[0], last))
    async with world.notifier():
        await world.quiet()
    assert [mail["Tocsin-Kind"] for mail in world.mails()] == ["escalation", "stand_down"]


@pytest.mark.rule("5.22")
async def test_the_policy_may_want_no_mail_about_exhaustion(world: NotifierWorld) -> None:
    async with world.notifier():
        await world.receive(STEPS[0], end(STEPS[0], mail=False))
        await world.quiet()
    assert [mail["Tocsin-Kind"] for mail in world.mails()] == ["escalation"]


@pytest.mark.rule("6.7")
async def test_a_request_to_the_escalations_mailbox_is_mailed_to_its_role(world: NotifierWorld) -> None:
    asked = request("escalation_request", ticket(category="onboarding", routed_to="escalations"))
    async with world.notifier():
        await world.receive(asked, asked)
        await world.quiet()
    [mail] = world.mails()
    assert (mail["rcpt"], mail["Tocsin-Kind"]) == ("dana@example.com", "escalation_request")


@pytest.mark.rule("6.6")
async def test_the_sender_of_a_rerouted_request_is_mailed_once(world: NotifierWorld) -> None:
    moved = request("rerouted")
    async with world.notifier():
        await world.receive(moved, moved)
        await world.quiet()
    [mail] = world.mails()
    assert (mail["rcpt"], mail["Auto-Submitted"]) == ("sam@acme.example", "auto-replied")
    assert "/ack/" not in world.sink.messages()[0]["text"]
    [event] = await world.events()
    assert (event.recipient.role, event.recipient.rule) == ("contact", "contact of the ticket")
    assert (event.recipient.name, event.recipient.email) == ("Sam", "sam@acme.example")


@pytest.mark.rule("6.6", "6.10")
@pytest.mark.parametrize("mailbox", ["Support@BetterWorldTech.com", "escalations@betterworldtech.com"])
async def test_a_reply_to_one_of_our_own_mailboxes_is_never_sent(world: NotifierWorld, mailbox: str) -> None:
    async with world.notifier():
        await world.receive(request("rerouted", ticket(contact=Contact(name="Sam", email=mailbox))))
        await world.quiet()
    assert world.mails() == []


async def test_a_customers_failing_address_does_not_alert_the_people_on_call(world: NotifierWorld) -> None:
    async def undelivered() -> dict[str, int]:
        async with world.engine.connect() as connection:
            return await journal.count_undelivered(connection)

    world.sink.fail("refuse", code=550, recipient="sam@acme.example")
    async with world.notifier():
        await world.receive(request("rerouted"))
        await world.quiet()
        assert (await world.states(), await undelivered()) == (["refused", "undeliverable"], {})
        world.sink.fail("refuse", code=550, recipient="dana@example.com")
        await world.receive(about_clock("warning", event_id=UUID(int=30)))
        await world.quiet()
    assert await undelivered() == {"refused": 1, "undeliverable": 1}


def warning_to_assignee(assignee: Assignee | None, **fields: Any) -> Notify:
    return about_clock(
        "warning",
        ticket=ticket(assignee=assignee),
        event_id=UUID(int=20),
        role="assignee",
        role_title="Assignee",
        **fields,
    )


@pytest.mark.rule("3.5")
async def test_the_assignee_of_the_ticket_is_mailed(world: NotifierWorld) -> None:
    async with world.notifier():
        await world.receive(warning_to_assignee(Assignee(name="Ana Lima", email="Ana@msp.example")))
        await world.quiet()
    [mail] = world.mails()
    assert (mail["To"], mail["Tocsin-Kind"]) == ("Ana Lima <Ana@msp.example>", "warning")
    [event] = await world.events()
    recipient = event.recipient
    assert (recipient.role, recipient.rule, recipient.person) == (
        "assignee",
        "assignee of the ticket",
        "ana@msp.example",
    )


@pytest.mark.rule("3.5", "5.23")
async def test_an_assignee_who_also_holds_the_role_gets_one_mail(world: NotifierWorld) -> None:
    both = (warning_to_assignee(Assignee(name="Dana", email="DANA@example.com")), about_clock("warning"))
    async with world.notifier():
        await world.receive(*both)
        await world.quiet()
    assert await world.states() == ["sent", "cancelled"]
    assert {event.recipient.person for event in await world.events()} == {"dana"}


async def test_an_assignee_without_an_address_is_an_undeliverable_mail(world: NotifierWorld) -> None:
    async with world.notifier():
        await world.receive(warning_to_assignee(Assignee(name="Ana")))
        await world.quiet()
    [delivery] = await world.deliveries()
    assert (delivery.state, delivery.reply) == ("undeliverable", "the assignee has no e-mail address")
