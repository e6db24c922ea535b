"""The notifier's metrics say what its API says."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from notifier.store import queue
from support.metrics import counter_value
from support.notifier_api import ApiClients, api_clients
from support.notifier_events import NOON, about_clock, escalation, stand_down, ticket
from support.notifier_world import IMPATIENT, NotifierWorld, make_world
from support.polling import eventually
from support.servers import MakeDatabase, SharedSink

NOW = NOON + timedelta(hours=3)
RESULTS = ("sent", "deferred", "refused", "bounced", "cancelled", "undeliverable", "ambiguous")


@pytest.fixture
async def world(make_database: MakeDatabase, smtp_sink: SharedSink, tmp_path: Path) -> AsyncIterator[NotifierWorld]:
    async with make_world(make_database("notifier"), smtp_sink, tmp_path, NOW) as made:
        yield made


@pytest.fixture
async def api(world: NotifierWorld, tmp_path: Path) -> AsyncIterator[ApiClients]:
    async with api_clients(world, tmp_path) as made:
        yield made


def emails_counted() -> Counter[str]:
    return Counter({result: int(counter_value("sla_emails_total", result=result)) for result in RESULTS})


async def journal_entries(api: ApiClients) -> Counter[str]:
    """The entries of all deliveries that are results, as the API shows them."""
    ids = await api.list_ids(limit=500)
    found = [await api.get(f"/v1/deliveries/{id_}") for id_ in ids]
    entries = Counter(entry["entry"] for delivery in found for entry in delivery["journal"])
    return Counter({result: entries[result] for result in RESULTS})


async def test_emails_are_counted_as_the_journal_records_them(world: NotifierWorld, api: ApiClients) -> None:
    """Also the attempt that was interrupted: both say ambiguous and deferred, and sent once."""
    world.settings = {**world.settings, **IMPATIENT}
    before = emails_counted()
    gone = escalation(ticket(ticket_id=uuid4()), event_id=uuid4())
    async with world.notifier():
        await world.receive(
            escalation(ticket(ticket_id=uuid4()), event_id=uuid4(), role="chief_executive_officer"),
            gone,
            stand_down(gone.ticket, notifications=(gone.event_id,)),
        )
        await world.quiet()
        world.sink.fail("hang_after_dot")
        await world.receive(escalation(ticket(ticket_id=uuid4()), event_id=uuid4()))
        await eventually(lambda: _has_entry(world, "ambiguous"), world.journal)
        world.sink.fail("refuse", code=550)
        await world.receive(escalation(ticket(ticket_id=uuid4()), event_id=uuid4()))
        await eventually(lambda: _has_entry(world, "refused"), world.journal)
        world.sink.fail("none")
        await world.quiet()
        (*_, sent) = [row for row in await world.deliveries() if row.state in ("sent", "refused")]
    counted = emails_counted()
    counted.subtract(before)
    recorded = await journal_entries(api)
    assert counted == recorded
    assert recorded["ambiguous"] >= 1
    assert recorded["undeliverable"] >= 1
    assert recorded["cancelled"] == 1
    assert sent.email is not None


async def _has_entry(world: NotifierWorld, entry: str) -> bool:
    return entry in await world.journal()


async def test_the_queue_is_what_the_api_lists(world: NotifierWorld, api: ApiClients) -> None:
    warnings = [
        about_clock("warning", ticket=ticket(ticket_id=uuid4()), event_id=uuid4(), severity=4, at=NOW) for _ in range(8)
    ]
    async with world.notifier():
        await world.receive(*warnings)
        await eventually(lambda: _has_entry(world, "held"), world.journal)
        await eventually(lambda: _is_settled(world), world.states)
    await world.receive(escalation())
    async with world.engine.connect() as connection:
        size = await queue.measure(connection)
    assert size.counts == {"held": 3, "queued": 1}
    for state, count in size.counts.items():
        assert len(await api.list_ids(state=state)) == count
    assert size.oldest >= size.overdue > 0


async def _is_settled(world: NotifierWorld) -> bool:
    return sorted(await world.states()) == ["held"] * 3 + ["sent"] * 5


async def test_nothing_is_overdue_while_a_mail_waits_for_its_retry(world: NotifierWorld) -> None:
    world.settings = {**world.settings, "retry_base": 30}
    world.sink.fail("refuse", code=450)
    async with world.notifier():
        await world.receive(escalation())
        await world.reaches("deferred")
        async with world.engine.connect() as connection:
            size = await queue.measure(connection)
    assert (size.counts, size.overdue) == ({"deferred": 1}, 0)
    assert size.oldest > 0


@pytest.mark.parametrize(
    ("scheduled", "published", "expected"),
    [
        (timedelta(hours=2), timedelta(0), timedelta(0)),  # a PSA tool posted two hours late
        (timedelta(hours=2), timedelta(hours=1), timedelta(hours=1)),  # and the notifier was down for an hour
        (timedelta(minutes=10), timedelta(hours=1), timedelta(minutes=10)),
    ],
)
async def test_the_time_to_a_mail_counts_from_the_later_of_deadline_and_publication(
    world: NotifierWorld, scheduled: timedelta, published: timedelta, expected: timedelta
) -> None:
    before = counter_value("sla_breach_to_email_seconds_sum"), counter_value("sla_breach_to_email_seconds_count")
    world.published_at = datetime.now(UTC) - published
    async with world.notifier():
        await world.receive(escalation(at=NOW - scheduled))
        await world.quiet()
    seconds = counter_value("sla_breach_to_email_seconds_sum") - before[0]
    assert counter_value("sla_breach_to_email_seconds_count") == before[1] + 1
    assert expected <= timedelta(seconds=seconds) < expected + timedelta(minutes=1)
