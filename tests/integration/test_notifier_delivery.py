"""Deliveries on real PostgreSQL and a mail server that fails on request: retried, in order, and never sent twice."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from itertools import groupby
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from notifier.domain.delivery import Delivery, DeliveryState, JournalEntry
from notifier.handlers.claims import Claim, ClaimTerms, claim_mails
from notifier.store import journal, queue
from notifier.store.attempts import enter_data, finish, release
from support.notifier_events import NOON, TIERS, about_clock, escalation, stand_down, ticket
from support.notifier_world import IMPATIENT, NotifierWorld, make_world
from support.polling import eventually
from support.servers import MakeDatabase, SharedSink
from tocsin.directory import load_directory
from tocsin.events import EndReason, Notify, Withdraw
from tocsin.runtime.kafka.relay import Relay

NOW = NOON + timedelta(hours=1, seconds=1)


@pytest.fixture
async def world(make_database: MakeDatabase, smtp_sink: SharedSink, tmp_path: Path) -> AsyncIterator[NotifierWorld]:
    async with make_world(make_database("notifier"), smtp_sink, tmp_path, NOW) as made:
        yield made


def step(number: int, tier: int, **fields: Any) -> Notify:
    """The nth step of the ladder, for the role of that tier."""
    to = TIERS[tier]
    return escalation(event_id=UUID(int=number), step=number, tier=to, role=to.role, role_title=to.title, **fields)


async def claim(world: NotifierWorld, limit: int, lease: timedelta = timedelta(seconds=30)) -> list[Claim]:
    directory = load_directory(world.directory.read_text(), "directory.yaml")
    async with world.engine.begin() as connection:
        terms = ClaimTerms(lease, lambda _: 5)
        mails, _ = await claim_mails(connection, world.clock(), directory, terms, limit=limit, severity=4)
    return [claimed for mail in mails for claimed in mail.claims]


class Peers:
    """A mail server's handler that records the connection of each mail."""

    def __init__(self) -> None:
        self.met: list[object] = []

    async def handle_DATA(self, _server: SMTP, session: Session, _envelope: Envelope) -> str:
        self.met.append(session.peer)
        return "250 OK"


def withdrawn(*notifies: Notify, reason: EndReason = "resolved") -> Withdraw:
    ids = tuple(notify.event_id for notify in notifies)
    return Withdraw(
        event_id=uuid4(), ticket=ticket(), cycle=1, run=1, severity=1, at=NOW, notifications=ids, reason=reason
    )


async def test_a_notification_becomes_one_mail_and_one_event(world: NotifierWorld) -> None:
    async with world.notifier():
        await world.receive(step(1, 1), step(1, 1))
        await world.reaches("sent")
        await world.receive(step(1, 1))
        await world.quiet()
    [mail] = world.mails()
    assert (mail["rcpt"], mail["Tocsin-Tier"], mail["Tocsin-Step"]) == ("dana@example.com", "1", "1")
    [event] = await world.events()
    assert (event.state, event.attempts, event.late, event.recipient.person) == ("sent", 1, False, "dana")
    assert event.message_id == mail["Message-ID"]
    assert await world.journal() == ["queued", "claimed", "in_data", "sent"]


async def test_an_escalation_lists_who_was_notified_before(world: NotifierWorld) -> None:
    first = step(1, 1)
    before = ({"tier": TIERS[1], "at": first.at},)
    async with world.notifier():
        await world.receive(first, step(2, 2, told_before=before))
        await world.reaches("sent", "sent")
        await world.receive(step(3, 2, told_before=before))
        await world.quiet()
    text = world.sink.messages()[-1]["text"]
    assert "tier 1, Service Desk Team Lead: Dana, mailed 2026-06-08 13:00" in text


async def test_a_missed_clock_lists_who_was_warned(world: NotifierWorld) -> None:
    async with world.notifier():
        await world.receive(about_clock("warning"), about_clock("warning", event_id=UUID(int=4), clock="resolution"))
        await world.reaches("sent", "sent")
        await world.receive(about_clock("response_missed", event_id=UUID(int=5)))
        await world.quiet()
    text = world.sink.messages()[-1]["text"]
    assert text.count("Dana, mailed") == 1
    assert "Notified:    warning, Service Desk Team Lead: Dana, mailed 2026-06-08 13:00" in text


@pytest.mark.rule("4.23", "5.21")
async def test_the_customers_own_holder_and_the_last_holder_of_a_vacant_role_are_mailed(world: NotifierWorld) -> None:
    own = ticket(ticket_id=UUID(int=8), customer={"id": "globex", "name": "Globex"})
    left = escalation(event_id=UUID(int=2), role="account_manager", at=NOON)
    world.now = NOON + timedelta(hours=2)
    async with world.notifier():
        await world.receive(escalation(own), left)
        await world.quiet()
    assert {mail["rcpt"] for mail in world.mails()} == {"lee@example.com"}
    assert [delivery.rule for delivery in await world.deliveries()] == ["customer globex", "default"]
    assert [mail["Tocsin-Late"] for mail in world.mails()] == ["yes", "yes"]


@pytest.mark.rule("4.23")
@pytest.mark.parametrize(("seconds", "late"), [(30, None), (61, "yes")])
async def test_a_mail_is_late_more_than_60_seconds_after_its_scheduled_instant(
    world: NotifierWorld, seconds: int, late: str | None
) -> None:
    world.now = NOON + timedelta(seconds=seconds)
    async with world.notifier():
        await world.receive(escalation(at=NOON))
        await world.quiet()
    assert [mail.get("Tocsin-Late") for mail in world.mails()] == [late]


async def test_a_role_without_holder_is_undeliverable(world: NotifierWorld) -> None:
    async with world.notifier():
        await world.receive(escalation(role="chief_executive_officer"))
        await world.reaches("undeliverable")
    assert [(event.state, event.recipient.email) for event in await world.events()] == [("undeliverable", None)]
    assert world.mails() == []


async def test_an_event_of_a_claim_waits_for_no_poll_of_the_relay(
    world: NotifierWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken = asyncio.Event()
    monkeypatch.setattr(Relay, "wake", lambda _: woken.set())
    async with world.notifier():
        await world.receive(escalation(role="nobody_has_this_role"))
        await world.reaches("undeliverable")
        await asyncio.wait_for(woken.wait(), 5)


async def test_a_person_in_two_roles_gets_one_mail(world: NotifierWorld) -> None:
    other = about_clock("warning", event_id=UUID(int=2), role="it_operations_director")
    async with world.notifier():
        await world.receive(about_clock("warning"), other)
        await world.reaches("sent", "cancelled")
    assert len(world.mails()) == 1


async def test_a_450_is_retried(world: NotifierWorld) -> None:
    world.sink.fail("refuse", code=450)
    async with world.notifier():
        await world.receive(step(1, 1))
        await eventually(lambda: _attempts(world, 2), world.states)
        world.sink.fail("none")
        await world.reaches("sent")
    assert len(world.mails()) == 1
    *deferred, sent = await world.events()
    assert {event.state for event in deferred} == {"deferred"}
    assert sent.state == "sent"
    assert deferred[0].reply == "450 4.2.0 refused on request"


async def test_a_550_refuses_one_recipient_only(world: NotifierWorld) -> None:
    world.sink.fail("refuse", code=550, recipient="dana@example.com")
    async with world.notifier():
        await world.receive(step(1, 1), step(2, 2))
        await world.reaches("refused", "sent", "undeliverable")
    assert [mail["rcpt"] for mail in world.mails()] == ["kim@example.com"]
    assert sorted(event.state for event in await world.events()) == ["refused", "sent", "undeliverable"]


@pytest.mark.rule("5.23")
@pytest.mark.parametrize("mode", ["hang_after_dot", "reset_after_dot"])
async def test_a_missing_reply_after_the_dot_is_recorded_and_the_mail_repeated_with_the_same_message_id(
    world: NotifierWorld, mode: str
) -> None:
    world.settings = {**world.settings, **IMPATIENT}
    world.sink.fail(mode)
    async with world.notifier():
        await world.receive(step(1, 1))
        await eventually(lambda: _mailed(world, 1), world.states)
        world.sink.fail("none")
        await world.reaches("sent")
    mails = world.mails()
    assert len(mails) >= 2
    assert len({mail["Message-ID"] for mail in mails}) == 1
    assert (await world.journal()).count("ambiguous") == len(mails) - 1
    assert [event.ambiguous for event in await world.events()] == [True] * len(mails)


@pytest.mark.rule("5.25")
async def test_mails_of_a_ticket_to_a_person_wait_for_a_retry(world: NotifierWorld) -> None:
    world.sink.fail("refuse", code=450, recipient="dana@example.com")
    mine = [step(number, 1) for number in (1, 3, 5)]
    other = step(4, 2)
    async with world.notifier():
        await world.receive(mine[0], mine[1], other, mine[2])
        await eventually(lambda: _attempts(world, 2), world.states)
        await eventually(lambda: _third_is_sent(world), world.states)
        world.sink.fail("none")
        await world.quiet()
    assert [mail["Tocsin-Step"] for mail in world.mails()] == ["4", "1", "3", "5"]


async def test_two_replicas_send_each_mail_once_and_in_order(world: NotifierWorld) -> None:
    tickets = [ticket(ticket_id=UUID(int=number)) for number in range(100, 130)]
    notifies = [
        escalation(of, event_id=uuid4(), step=number, tier=TIERS[1], run=1) for of in tickets for number in (1, 2, 3)
    ]
    async with world.notifier(), world.notifier():
        for start in range(0, len(notifies), 10):
            await world.receive(*notifies[start : start + 10])
        await world.quiet()
    steps: dict[str, list[str]] = {}
    for mail in world.mails():
        steps.setdefault(mail["Tocsin-Ticket"], []).append(mail["Tocsin-Step"])
    assert len(steps) == 30
    assert set(map(tuple, steps.values())) == {("1", "2", "3")}


async def test_severity_one_and_higher_tiers_go_first(world: NotifierWorld) -> None:
    low = [escalation(ticket(ticket_id=uuid4()), event_id=uuid4(), severity=4) for _ in range(20)]
    high = [escalation(ticket(ticket_id=uuid4()), event_id=uuid4(), tier=TIERS[tier]) for tier in (1, 2)]
    await world.receive(*low, *high)
    claimed = await claim(world, 3)
    assert [(claim.delivery.severity, claim.delivery.tier) for claim in claimed] == [(1, 2), (1, 1), (4, 1)]


async def test_many_mails_of_one_ticket_delay_no_other_ticket(world: NotifierWorld) -> None:
    await world.receive(*(step(number, 1) for number in range(1, 31)))
    await world.receive(escalation(ticket(ticket_id=uuid4()), event_id=uuid4(), severity=4))
    first = await claim(world, 2)
    second = await claim(world, 2)
    assert [claim.delivery.severity for claim in first + second] == [1, 4]


@pytest.mark.parametrize("claimed", [False, True])
async def test_a_mail_withdrawn_before_data_is_cancelled(world: NotifierWorld, claimed: bool) -> None:
    await world.receive(step(1, 1))
    claims = await claim(world, 1) if claimed else []
    await world.receive(withdrawn(step(1, 1)))
    for lost in claims:
        await _is_fenced(world, lost)
    async with world.notifier():
        await world.quiet()
    assert await world.states() == ["cancelled"]
    assert [(event.state, event.reply) for event in await world.events()] == [("cancelled", "resolved")]
    assert world.mails() == []


async def test_a_stand_down_in_the_same_batch_cancels_the_mail(world: NotifierWorld) -> None:
    async with world.notifier():
        await world.receive(step(1, 1), stand_down(notifications=(UUID(int=1),)))
        await world.quiet()
    assert await world.states() == ["cancelled"]
    assert world.mails() == []


async def test_a_notify_that_arrives_after_its_withdrawal_is_cancelled(world: NotifierWorld) -> None:
    async with world.notifier():
        await world.receive(withdrawn(step(1, 1)), step(1, 1))
        await world.quiet()
    assert await world.states() == ["cancelled"]
    assert world.mails() == []


@pytest.mark.rule("5.24")
async def test_a_stand_down_mails_exactly_the_people_who_were_mailed(world: NotifierWorld) -> None:
    end = stand_down(notifications=(UUID(int=1), UUID(int=2), UUID(int=3)))
    world.sink.fail("refuse", code=550, recipient="kim@example.com")
    async with world.notifier():
        await world.receive(step(1, 1), step(2, 2), step(3, 1))
        await world.reaches("sent", "refused", "sent", "undeliverable")
        world.sink.fail("none")
        await world.receive(end, end)
        await world.receive(end)
        await world.quiet()
    downs = [mail for mail in world.sink.messages() if dict(mail["headers"])["Tocsin-Kind"] == "stand_down"]
    assert [mail["rcpt_to"] for mail in downs] == [["dana@example.com"]]
    assert dict(downs[0]["headers"])["Tocsin-Run"] == "1"
    assert "The ticket was resolved at" in downs[0]["text"]
    assert downs[0]["text"].count("tier 1, Service Desk Team Lead: Dana") == 2


async def test_a_stand_down_waits_for_the_attempt_in_flight(world: NotifierWorld) -> None:
    world.sink.fail("delay", seconds=0.4)
    async with world.notifier():
        await world.receive(step(1, 1))
        await eventually(lambda: _is(world, "in_data"), world.states)
        await world.receive(stand_down())
        await world.reaches("sent", "sent")
    assert [mail["Tocsin-Kind"] for mail in world.mails()] == ["escalation", "stand_down"]


async def test_an_ambiguous_mail_counts_as_sent_and_is_not_repeated_after_the_end(world: NotifierWorld) -> None:
    world.settings = {**world.settings, **IMPATIENT}
    world.sink.fail("hang_after_dot")
    async with world.notifier():
        await world.receive(step(1, 1))
        await eventually(lambda: _is(world, "in_data"), world.states)
        await world.receive(stand_down())
        await eventually(lambda: _mailed(world, 1), world.states)
        world.sink.fail("none")
        await world.quiet()
    assert [mail["Tocsin-Kind"] for mail in world.mails()] == ["escalation", "stand_down"]
    assert await world.states() == ["cancelled", "sent"]


async def test_a_mail_whose_worker_died_in_data_counts_as_sent_after_the_end(world: NotifierWorld) -> None:
    await world.receive(step(1, 1))
    [died] = await claim(world, 1, timedelta(0))
    assert await _enters(world, died)
    await world.receive(stand_down())
    async with world.notifier():
        await world.quiet()
    assert [mail["Tocsin-Kind"] for mail in world.mails()] == ["stand_down"]
    assert [(delivery.state, delivery.ambiguous) for delivery in await world.deliveries()] == [
        ("cancelled", True),
        ("sent", False),
    ]


async def test_an_unreachable_server_refuses_no_mail(world: NotifierWorld, unused_tcp_port: int) -> None:
    reachable = world.sink.address
    world.settings = {**world.settings, "smtp": f"127.0.0.1:{unused_tcp_port}"}
    notifies = [escalation(ticket(ticket_id=uuid4()), event_id=uuid4()) for _ in range(30)]
    async with world.notifier():
        await world.receive(*notifies)
        await eventually(lambda: _attempts(world, 1), world.states)
        assert set(await world.states()) <= {"queued", "claimed", "deferred"}
        assert sum(delivery.attempts for delivery in await world.deliveries()) < 30  # it did not try each of them
    world.settings = {**world.settings, "smtp": reachable}
    async with world.notifier():
        await world.quiet()
    assert set(await world.states()) == {"sent"}
    assert len(world.mails()) == 30


async def test_a_worker_that_lost_its_claim_sends_nothing(world: NotifierWorld) -> None:
    await world.receive(step(1, 1))
    [stale], [fresh] = await claim(world, 1, timedelta(0)), await claim(world, 1, timedelta(0))
    await _is_fenced(world, stale)
    assert await _enters(world, fresh)
    await _is_fenced(world, stale)
    async with world.notifier():
        await world.reaches("sent")
    await _is_fenced(world, stale)
    assert len(world.mails()) == 1


async def test_a_claim_that_is_released_is_no_attempt(world: NotifierWorld) -> None:
    await world.receive(step(1, 1))
    for token in (1, 2):
        [given_up] = await claim(world, 1)
        assert (given_up.delivery.token, given_up.delivery.attempts) == (token, 1)
        async with world.engine.begin() as connection:
            await release(connection, [given_up.delivery])
        assert [(row.state, row.attempts) for row in await world.deliveries()] == [("queued", 0)]
        await _is_fenced(world, given_up)


async def test_a_mail_that_cannot_enter_data_as_a_whole_is_no_attempt(world: NotifierWorld) -> None:
    await world.receive(escalation(event_id=UUID(int=1)), escalation(ticket(ticket_id=uuid4()), event_id=UUID(int=2)))
    held, lost = (each.delivery for each in await claim(world, 2))
    async with world.engine.begin() as connection:
        assert await enter_data(connection, [[held, replace(lost, token=0)]], timedelta(0)) == [False]
    rows = {row.id: (row.state, row.attempts) for row in await world.deliveries()}
    assert rows == {held.id: ("queued", 0), lost.id: ("claimed", 1)}


async def test_a_lease_is_renewed_while_the_server_takes_its_time(world: NotifierWorld) -> None:
    world.settings = {**world.settings, "smtp_data_timeout": 60}
    world.sink.fail("hang_after_dot")
    async with world.notifier():
        await world.receive(step(1, 1))
        await world.reaches("in_data")
        [begun] = await world.deliveries()
        await eventually(lambda: _is_renewed(world, begun), world.deliveries)
        assert await world.journal() == ["queued", "claimed", "in_data"]
        world.sink.fail("refuse_connection")  # ends the attempt that hangs
        world.sink.fail("none")
        await world.quiet()


async def test_a_connection_serves_a_small_batch_of_mails(world: NotifierWorld, unused_tcp_port: int) -> None:
    server = Controller(peers := Peers(), hostname="127.0.0.1", port=unused_tcp_port)
    address = {"smtp": f"127.0.0.1:{unused_tcp_port}", "smtp_batch": 3}
    world.settings = {**world.settings, **address, "smtp_concurrency": 2, "poll_interval": 60}
    server.start()
    try:
        async with world.notifier():
            await world.receive(
                *(escalation(ticket(ticket_id=uuid4()), event_id=uuid4(), severity=3) for _ in range(7))
            )
            await world.quiet()
    finally:
        server.stop()
    assert [len(list(mails)) for _, mails in groupby(peers.met)] == [3, 3, 1]
    assert len(set(peers.met)) == 3


async def test_delivery_events_can_be_republished_with_the_same_ids(world: NotifierWorld) -> None:
    async with world.notifier():
        await world.receive(step(1, 1), step(2, 2))
        await world.quiet()
    published = [event.event_id for event in await world.events()]
    again = [event.event_id async for page in journal.events_since(world.engine, NOON) for event in page]
    assert sorted(again) == sorted(published)
    assert [page async for page in journal.events_since(world.engine, NOW + timedelta(hours=1))] == []


async def test_no_mail_waits_for_a_poll(world: NotifierWorld) -> None:
    """tests/bench/notifier.py measures how fast that is; here the machine may be busy."""
    world.settings = {**world.settings, "poll_interval": 60}
    async with world.notifier():
        for _ in range(5):
            await world.receive(*(escalation(ticket(ticket_id=uuid4()), event_id=uuid4()) for _ in range(20)))
            await world.quiet()
        await world.receive(step(1, 1), step(2, 1), step(3, 1), stand_down(notifications=(UUID(int=3),)))
        await world.quiet()
    assert [mail["Tocsin-Step"] for mail in world.mails()[-2:]] == ["1", "2"]


async def _enters(world: NotifierWorld, claim: Claim) -> bool:
    async with world.engine.begin() as connection:
        claimed = replace(claim.delivery, message_id="<entering@example.org>")
        [entered] = await enter_data(connection, [[claimed]], timedelta(0))
    return entered


async def _is_fenced(world: NotifierWorld, claim: Claim) -> None:
    """The holder of this claim cannot send, save a result or renew the lease."""
    before = await world.deliveries()
    assert not await _enters(world, claim)
    async with world.engine.begin() as connection:
        sent = replace(claim.delivery, state=DeliveryState.SENT, ready_at=None)
        assert await finish(connection, [sent], [JournalEntry.of(sent)]) == (set(), False)
        await queue.renew_leases(connection, [claim.delivery], timedelta(hours=1))
    assert await world.deliveries() == before


async def _is_renewed(world: NotifierWorld, begun: Delivery) -> bool:
    [delivery] = await world.deliveries()
    assert delivery.ready_at is not None
    assert begun.ready_at is not None
    return delivery.ready_at > begun.ready_at


async def _third_is_sent(world: NotifierWorld) -> bool:
    return (await world.states())[2] == "sent"


async def _attempts(world: NotifierWorld, count: int) -> bool:
    return any(delivery.attempts >= count for delivery in await world.deliveries())


async def _mailed(world: NotifierWorld, count: int) -> bool:
    return len(await asyncio.to_thread(world.mails)) >= count


async def _is(world: NotifierWorld, state: str) -> bool:
    return state in await world.states()
