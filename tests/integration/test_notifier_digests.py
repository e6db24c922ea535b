"""A storm of mails about clocks: a few single mails, the rest in digests, each delivery with its own record."""

from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from notifier.domain.delivery import Delivery
from notifier.handlers.claims import ClaimTerms, claim_mails
from notifier.store.attempts import enter_data
from notifier.store.tables import DELIVERIES
from sqlalchemy import update
from support.metrics import counter_value
from support.notifier_api import api_clients
from support.notifier_events import NOON, TIERS, about_clock, escalation, stand_down, ticket
from support.notifier_world import IMPATIENT, NotifierWorld, make_world
from support.polling import eventually
from support.servers import MakeDatabase, SharedSink
from tocsin.directory import load_directory
from tocsin.events import Notify, StandDown, Withdraw

NOW = NOON + timedelta(hours=1, seconds=1)
SINGLES = 5
RETURNED = b"<5f1e6c1e-8a0e-5b58-9a53-0d1c7a3e2b11@example.org>"
"""The Message-ID in the recorded reports."""
MANAGER = {"tier": TIERS[2], "role": TIERS[2].role, "role_title": TIERS[2].title}


@pytest.fixture
async def world(make_database: MakeDatabase, smtp_sink: SharedSink, tmp_path: Path) -> AsyncIterator[NotifierWorld]:
    async with make_world(make_database("notifier"), smtp_sink, tmp_path, NOW) as made:
        yield made


def warnings(count: int, **fields: Any) -> list[Notify]:
    """Warnings of severity 3 for Dana, each of another ticket."""
    own = {"severity": 3, "at": NOW, "due_at": NOW + timedelta(hours=3)} | fields
    tickets = [ticket(ticket_id=uuid4(), external_id=f"SR-{number}") for number in range(1, count + 1)]
    return [about_clock("warning", ticket=of, event_id=uuid4(), **own) for of in tickets]


def withdraw(*notifies: Notify) -> list[Withdraw]:
    return [
        Withdraw(
            event_id=uuid4(),
            ticket=notify.ticket,
            cycle=1,
            severity=3,
            at=NOW,
            notifications=(notify.event_id,),
            reason="resolved",
        )
        for notify in notifies
    ]


def digests(world: NotifierWorld) -> list[dict[str, Any]]:
    """The digests that arrived, oldest first, as the sink received them."""
    return [mail for mail in world.sink.messages() if dict(mail["headers"])["Tocsin-Kind"] == "digest"]


def tickets_of(mail: dict[str, Any]) -> list[str]:
    return [value for name, value in mail["headers"] if name == "Tocsin-Ticket"]


def ids(notifies: Iterable[Notify]) -> set[str]:
    return {str(notify.ticket_id) for notify in notifies}


async def counts(world: NotifierWorld) -> dict[str, int]:
    states = await world.states()
    return {state: states.count(state) for state in set(states)}


async def settles(world: NotifierWorld, **expected: int) -> None:
    """Wait until so many deliveries have each state."""

    async def settled() -> bool:
        return await counts(world) == expected

    await eventually(settled, lambda: counts(world), 30)


async def end_hold(world: NotifierWorld) -> None:
    """As if the time for which mails are held had passed."""
    async with world.engine.begin() as connection:
        now = datetime.now(UTC)
        await connection.execute(update(DELIVERIES).where(DELIVERIES.c.state == "held").values(ready_at=now))
    world.wake()


async def held_storm(world: NotifierWorld, count: int, **fields: Any) -> list[Notify]:
    """Warnings of which the first leave as single mails, and the others are held."""
    sent = warnings(count, **fields)
    await world.receive(*sent)
    await settles(world, sent=SINGLES, held=count - SINGLES)
    return sent[SINGLES:]


async def of_notification(world: NotifierWorld, notify: Notify | StandDown) -> Delivery:
    [found] = [row for row in await world.deliveries() if row.notification_id == notify.event_id]
    return found


@pytest.mark.rule("5.31")
async def test_a_storm_is_a_few_single_mails_and_a_digest(world: NotifierWorld) -> None:
    storm = warnings(100)
    urgent = about_clock("warning", ticket=ticket(ticket_id=uuid4()), event_id=uuid4(), severity=1, at=NOW)
    before = counter_value("sla_mail_digests_total"), counter_value("sla_mail_digest_items_total")
    async with world.notifier():
        await world.receive(*storm[:60], urgent, *storm[60:])
        await settles(world, sent=SINGLES + 1, held=100 - SINGLES)
        singles = world.mails()
        assert str(urgent.ticket_id) in {mail["Tocsin-Ticket"] for mail in singles}
        await end_hold(world)
        await world.quiet()
    [digest] = digests(world)
    named = [mail["Tocsin-Ticket"] for mail in singles] + tickets_of(digest)
    assert sorted(named) == sorted(ids([*storm, urgent]))
    assert dict(digest["headers"])["Subject"] == "95 tickets: next deadline 2026-06-08 16:00:01 UTC (12:00 EDT)"
    rows = await world.deliveries()
    assert {row.state for row in rows} == {"sent"}
    joined = [row for row in rows if row.in_digest]
    assert (len(joined), {row.kind for row in joined}) == (95, {"warning"})
    assert {row.message_id for row in joined} == {dict(digest["headers"])["Message-ID"]}
    events = [event for event in await world.events() if event.in_digest]
    assert {event.delivery_id for event in events} == {row.id for row in joined}
    assert (await world.journal()).count("held") == 95
    after = counter_value("sla_mail_digests_total"), counter_value("sla_mail_digest_items_total")
    assert after == (before[0] + 1, before[1] + 95)


@pytest.mark.rule("5.31")
async def test_a_digest_lists_each_ticket_with_its_deadline_and_link(world: NotifierWorld) -> None:
    world.settings = {
        **world.settings,
        "ticket_urls": '{"connectwise": "https://psa.example.com/{external_id}"}',
        "mail_zone": "Europe/Rome",
    }
    async with world.notifier():
        await held_storm(world, SINGLES + 2)
        missed = about_clock("response_missed", ticket=ticket(ticket_id=uuid4(), external_id="X-1"), event_id=uuid4())
        await world.receive(missed.model_copy(update={"severity": 4, "at": NOW, "due_at": NOON}))
        await settles(world, sent=SINGLES, held=3)
        await end_hold(world)
        await world.quiet()
    [digest] = digests(world)
    assert digest["text"].splitlines()[:3] == [
        "3 tickets of severity 3 or 4",
        "",
        "Next deadline 2026-06-08 16:00:01 UTC (18:00 CEST), in 2 h 59 min.",
    ]
    assert (
        "\nX-1: Mail is down\n"
        "    Acme, severity 4 (Low)\n"
        "    Response missed (target: 24 hours)\n"
        "    Deadline 2026-06-08 12:00 UTC (14:00 CEST), 1 h ago\n"
        "    https://psa.example.com/X-1\n"
    ) in digest["text"]
    places = [digest["text"].index(name) for name in ("X-1:", "SR-6:", "SR-7:")]
    assert places == sorted(places)


@pytest.mark.rule("5.31")
async def test_replicas_count_the_single_mails_together(world: NotifierWorld) -> None:
    async with world.notifier(), world.notifier():
        storm = warnings(40)
        for start in range(0, 40, 8):
            await world.receive(*storm[start : start + 8])
        await settles(world, sent=SINGLES, held=35)
        await end_hold(world)
        await world.quiet()
    assert [mail["Tocsin-Kind"] for mail in world.mails()].count("warning") == SINGLES
    assert sorted(ticket for mail in digests(world) for ticket in tickets_of(mail)) == sorted(
        str(row.ticket_id) for row in await world.deliveries() if row.in_digest
    )


@pytest.mark.rule("5.31")
async def test_single_mails_are_counted_over_a_minute_of_real_time(world: NotifierWorld) -> None:
    async with world.notifier():
        await world.receive(*warnings(SINGLES))
        await world.quiet()
        async with world.engine.begin() as connection:
            moved = DELIVERIES.c.sent_real_at - timedelta(minutes=1)
            await connection.execute(update(DELIVERIES).values(sent_real_at=moved))
        await world.receive(*warnings(SINGLES + 1))
        await settles(world, sent=2 * SINGLES, held=1)


@pytest.mark.rule("5.31")
async def test_the_policy_says_how_many_and_each_person_is_counted_apart(world: NotifierWorld, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    shipped = (Path(__file__).parents[2] / "deploy/policy/policy.yaml").read_text()
    policy.write_text(shipped.replace("single_per_minute: 5", "single_per_minute: 2"))
    world.settings = {**world.settings, "policy": policy}
    async with world.notifier():
        await world.receive(*warnings(3), *warnings(3, role=MANAGER["role"]))
        await settles(world, sent=4, held=2)
    held = [row for row in await world.deliveries() if row.state == "held"]
    assert {row.email for row in held} == {"dana@example.com", "kim@example.com"}


@pytest.mark.rule("5.31")
async def test_escalations_and_severities_1_and_2_are_never_held(world: NotifierWorld) -> None:
    escalations = [escalation(ticket(ticket_id=uuid4()), event_id=uuid4(), severity=3) for _ in range(8)]
    async with world.notifier():
        await world.receive(*warnings(8, severity=2), *escalations)
        await world.quiet()
    assert len(world.mails()) == 16


async def test_a_lone_held_mail_is_a_single_mail_when_there_is_room(world: NotifierWorld) -> None:
    async with world.notifier():
        await held_storm(world, SINGLES + 1)
        async with world.engine.begin() as connection:
            moved = DELIVERIES.c.sent_real_at - timedelta(minutes=1)
            await connection.execute(update(DELIVERIES).values(sent_real_at=moved))
        await end_hold(world)
        await world.quiet()
    assert digests(world) == []
    assert not any(row.in_digest for row in await world.deliveries())


@pytest.mark.rule("5.24", "5.31")
async def test_a_mail_withdrawn_before_the_digest_leaves_is_left_out(world: NotifierWorld) -> None:
    async with world.notifier():
        held = await held_storm(world, SINGLES + 4)
        await world.receive(*withdraw(held[1]))
        await end_hold(world)
        await world.quiet()
    [digest] = digests(world)
    assert sorted(tickets_of(digest)) == sorted(ids([held[0], *held[2:]]))
    cancelled = await of_notification(world, held[1])
    assert (cancelled.state, cancelled.reply, cancelled.in_digest) == ("cancelled", "resolved", False)


@pytest.mark.rule("5.31")
async def test_a_mail_withdrawn_after_the_claim_is_left_out(world: NotifierWorld) -> None:
    async with world.notifier():
        held = await held_storm(world, SINGLES + 4)
    await end_hold(world)
    directory = load_directory(world.directory.read_text(), "directory.yaml")
    terms = ClaimTerms(timedelta(seconds=30), lambda _: SINGLES)
    async with world.engine.begin() as connection:
        [mail], _ = await claim_mails(connection, world.clock(), directory, terms, limit=1, severity=4)
    assert len(mail.claims) == 4
    await world.receive(*withdraw(held[0]))
    async with world.engine.begin() as connection:
        assert await enter_data(connection, [mail.deliveries], terms.lease) == [False]
    assert await counts(world) == {"sent": SINGLES, "cancelled": 1, "queued": 3}
    async with world.notifier():
        await settles(world, sent=SINGLES, cancelled=1, held=3)
        await end_hold(world)
        await world.quiet()
    [digest] = digests(world)
    assert sorted(tickets_of(digest)) == sorted(ids(held[1:]))


@pytest.mark.rule("5.25", "5.31")
async def test_a_more_urgent_mail_of_the_ticket_lets_the_digest_leave_at_once(world: NotifierWorld) -> None:
    async with world.notifier():
        held = await held_storm(world, SINGLES + 3)
        step = escalation(held[1].ticket, event_id=uuid4(), at=NOW, **MANAGER)
        await world.receive(step)
        await world.quiet()
    *_, digest, last = world.mails()
    assert (digest["Tocsin-Kind"], last["Tocsin-Kind"], last["rcpt"]) == ("digest", "escalation", "kim@example.com")
    assert sorted(tickets_of(digests(world)[0])) == sorted(ids(held))


@pytest.mark.rule("5.25", "5.31")
async def test_a_mail_that_a_more_urgent_one_follows_is_not_held(world: NotifierWorld) -> None:
    follower = warnings(1)[0]
    step = escalation(follower.ticket, event_id=uuid4(), at=NOW, **MANAGER)
    async with world.notifier():
        await held_storm(world, SINGLES + 3)
        await world.receive(follower, step)
        await settles(world, sent=SINGLES + 2, held=3)
    *_, first, second = world.mails()
    assert (first["Tocsin-Ticket"], first["Tocsin-Kind"]) == (str(follower.ticket_id), "digest")
    assert (second["Tocsin-Ticket"], second["Tocsin-Kind"]) == (str(follower.ticket_id), "escalation")


@pytest.mark.rule("5.25", "5.31")
async def test_the_warning_and_the_miss_of_a_clock_leave_in_one_digest_that_lists_it_once(world: NotifierWorld) -> None:
    async with world.notifier():
        held = await held_storm(world, SINGLES + 2)
        first = held[0]
        missed = about_clock("response_missed", ticket=first.ticket, event_id=uuid4(), severity=3, due_at=first.due_at)
        await world.receive(missed)
        await settles(world, sent=SINGLES, held=3)
        await end_hold(world)
        await world.quiet()
    [digest] = digests(world)
    assert sorted(tickets_of(digest)) == sorted(ids(held))
    assert digest["text"].count("SR-6: Mail is down") == 1
    assert digest["text"].index("SR-6: Mail is down") < digest["text"].index("Response missed")


@pytest.mark.rule("5.23", "5.31")
async def test_a_person_in_two_roles_is_listed_once(world: NotifierWorld) -> None:
    async with world.notifier():
        held = await held_storm(world, SINGLES + 2)
        await world.receive(held[0].model_copy(update={"event_id": uuid4(), "role": "it_operations_director"}))
        await end_hold(world)
        await world.quiet()
    [digest] = digests(world)
    assert digest["text"].count("SR-6: Mail is down") == 1
    assert await counts(world) == {"sent": SINGLES + 2, "cancelled": 1}


@pytest.mark.rule("5.23", "5.31")
async def test_an_ambiguous_digest_is_repeated_with_the_same_message_id_and_tickets(world: NotifierWorld) -> None:
    world.settings = {**world.settings, **IMPATIENT, "retry_base": 2}
    async with world.notifier():
        held = await held_storm(world, SINGLES + 4)
        world.sink.fail("hang_after_dot")
        await end_hold(world)
        await settles(world, sent=SINGLES, deferred=4)
        world.sink.fail("none")
        await world.receive(*withdraw(held[2]), *(further := warnings(3)))
        await settles(world, sent=SINGLES + 3, cancelled=1, held=3)
    first, again = digests(world)
    assert dict(first["headers"])["Message-ID"] == dict(again["headers"])["Message-ID"]
    assert tickets_of(first) != []
    assert sorted(tickets_of(first)) == sorted(tickets_of(again)) == sorted(ids(held))
    assert again["text"].count("The first copy of this digest listed this ticket") == 1
    assert not ids(further) & set(tickets_of(again))
    rows = [await of_notification(world, notify) for notify in held]
    assert [(row.state, row.ambiguous, row.in_digest) for row in rows] == [
        ("cancelled" if notify is held[2] else "sent", True, True) for notify in held
    ]


@pytest.mark.rule("5.24", "5.31")
async def test_a_clock_voided_after_the_digest_is_stood_down(world: NotifierWorld) -> None:
    async with world.notifier():
        held = await held_storm(world, SINGLES + 2)
        await end_hold(world)
        await world.quiet()
        end = stand_down(
            held[0].ticket,
            event_id=uuid4(),
            run=None,
            severity=3,
            clock="response",
            reason="voided",
            notifications=(held[0].event_id,),
        )
        await world.receive(end)
        await world.quiet()
    last = world.mails()[-1]
    assert (last["Tocsin-Kind"], last["Tocsin-Ticket"]) == ("stand_down", str(held[0].ticket_id))
    assert "<digest." not in last["References"]


@pytest.mark.rule("5.27", "5.31")
async def test_a_refused_digest_goes_to_the_next_address_and_is_joined_there(world: NotifierWorld) -> None:
    people = world.directory.read_text().replace(
        "email: dana@example.com", "email: dana@example.com, fallbacks: [dana@home.example]"
    )
    world.directory.write_text(people)
    async with world.notifier():
        held = await held_storm(world, 2 * SINGLES + 3)
        world.sink.fail("refuse", code=550, recipient="dana@example.com")
        await end_hold(world)
        await settles(world, sent=2 * SINGLES, refused=SINGLES + 3, held=3)
        await end_hold(world)
        await world.quiet()
    [digest] = digests(world)
    assert (digest["rcpt_to"], len(tickets_of(digest))) == (["dana@home.example"], 3)
    at_home = [mail for mail in world.sink.messages() if mail["rcpt_to"] == ["dana@home.example"]]
    assert sorted(ticket for mail in at_home for ticket in tickets_of(mail)) == sorted(ids(held))
    refused = [row for row in await world.deliveries() if row.state == "refused"]
    assert {row.in_digest for row in refused} == {True}


@pytest.mark.rule("5.31")
async def test_a_deferred_digest_is_formed_anew(world: NotifierWorld) -> None:
    """No server may have accepted it, so its mails choose their recipient and their digest again."""
    async with world.notifier():
        held = await held_storm(world, SINGLES + 4)
        world.sink.fail("refuse", code=450)
        await end_hold(world)
        await settles(world, sent=SINGLES, deferred=4)
        world.sink.fail("none")
        await settles(world, sent=SINGLES, held=4)
        await end_hold(world)
        await world.quiet()
    [digest] = digests(world)
    assert sorted(tickets_of(digest)) == sorted(ids(held))


@pytest.mark.rule("5.27", "5.31")
async def test_a_bounced_digest_concerns_all_its_deliveries(world: NotifierWorld, tmp_path: Path) -> None:
    recorded = (Path(__file__).parents[1] / "recorded/bounces/postfix_failed.eml").read_bytes()
    async with api_clients(world, tmp_path) as api, world.notifier():
        held = await held_storm(world, SINGLES + 3)
        await end_hold(world)
        await world.quiet()
        message_id = str((await of_notification(world, held[0])).message_id)
        report = recorded.replace(RETURNED, message_id.encode())
        answer = await api.post("/v1/bounces", 200, key="writing", content=report)
        assert [result["result"] for result in answer["recipients"]] == ["bounced"] * 3
        again = await api.post("/v1/bounces", 200, key="writing", content=report)
        assert [result["result"] for result in again["recipients"]] == ["known"] * 3
        bounced = [await api.get(f"/v1/deliveries/{result['delivery_id']}") for result in answer["recipients"]]
    assert {(row["state"], row["in_digest"], row["message_id"]) for row in bounced} == {("bounced", True, message_id)}
    assert await counts(world) == {"sent": SINGLES, "bounced": 3, "undeliverable": 3}


@pytest.mark.rule("5.26", "5.31")
async def test_an_item_is_redelivered_as_a_single_mail(world: NotifierWorld, tmp_path: Path) -> None:
    async with api_clients(world, tmp_path) as api, world.notifier():
        held = await held_storm(world, SINGLES + 2)
        await end_hold(world)
        await world.quiet()
        first = await of_notification(world, held[1])
        await api.post(f"/v1/deliveries/{first.id}/redeliver", 201)
        await world.quiet()
    last = world.mails()[-1]
    assert (last["Tocsin-Kind"], last["Tocsin-Redelivery"]) == ("warning", "1")
    assert last["Tocsin-Ticket"] == str(held[1].ticket_id)


@pytest.mark.rule("4.23", "5.31")
async def test_each_item_is_late_or_not_on_its_own(world: NotifierWorld) -> None:
    async with world.notifier():
        await world.receive(*warnings(SINGLES))
        await settles(world, sent=SINGLES)
        await world.receive(*warnings(1, at=NOW - timedelta(minutes=5)), *warnings(1))
        await settles(world, sent=SINGLES, held=2)
        await end_hold(world)
        await world.quiet()
    assert [row.late for row in await world.deliveries() if row.in_digest] == [True, False]
    [digest] = digests(world)
    assert dict(digest["headers"])["Tocsin-Late"] == "yes"
    assert digest["text"].count("late: scheduled for 2026-06-08 12:55:01 UTC") == 1


@pytest.mark.rule("5.23", "5.31")
async def test_an_interrupted_digest_is_repeated_whole(world: NotifierWorld) -> None:
    """Its worker died in DATA. The first ticket that is examined finds all the others."""
    async with world.notifier():
        held = await held_storm(world, SINGLES + 3)
    async with world.engine.begin() as connection:
        died = {"state": "in_data", "digest_id": UUID(int=5), "attempts": 1, "ready_at": datetime.now(UTC)}
        await connection.execute(update(DELIVERIES).where(DELIVERIES.c.state == "held").values(died))
    terms = ClaimTerms(timedelta(seconds=30), lambda _: SINGLES)
    directory = load_directory(world.directory.read_text(), "directory.yaml")
    async with world.engine.begin() as connection:
        [mail], _ = await claim_mails(connection, world.clock(), directory, terms, limit=1, severity=4)
    assert (mail.digest_id, len(mail.claims)) == (UUID(int=5), 3)
    assert {claim.notification.event_id for claim in mail.claims} == {notify.event_id for notify in held}


async def test_a_digest_whose_worker_died_before_data_is_formed_anew(world: NotifierWorld) -> None:
    """Its leases expire; nothing was sent."""
    async with world.notifier():
        held = await held_storm(world, SINGLES + 3)
    async with world.engine.begin() as connection:
        died = {"state": "claimed", "digest_id": UUID(int=5), "attempts": 1, "ready_at": datetime.now(UTC)}
        await connection.execute(update(DELIVERIES).where(DELIVERIES.c.state == "held").values(died))
    async with world.notifier():
        await settles(world, sent=SINGLES, held=3)
        await end_hold(world)
        await world.quiet()
    [digest] = digests(world)
    assert sorted(tickets_of(digest)) == sorted(ids(held))
    assert str(UUID(int=5)) not in dict(digest["headers"])["Message-ID"]
