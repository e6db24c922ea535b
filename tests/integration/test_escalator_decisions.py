"""What the escalator keeps in a real PostgreSQL: each decision once, in whatever batches it is told."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from pathlib import Path

import pytest
from escalator import store
from escalator.domain.decisions import address
from escalator.domain.tiers import Case
from escalator.domain.vacancies import vacancies
from escalator.handlers import Handlers
from escalator.store.tables import decisions, notifications
from prometheus_client import REGISTRY
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine
from support.deadline_events import HOUR, START, Telling, ticket
from support.servers import MakeDatabase
from tocsin.events import DeadlineEvent, EscalationEvent, Watermark, event_id
from tocsin.runtime.database.engine import engine
from tocsin.runtime.errors import PoisonMessageError
from tocsin.runtime.kafka.client import DEADLINES
from tocsin.runtime.kafka.consumer import Received
from tocsin.runtime.process.clock import BusinessClock
from tocsin.sources.directory_file import DirectoryFile

MOON = Telling(ticket("SR-1"))
SUN = Telling(ticket("SR-2", customer="globex"))
MISSED = MOON.breached("response")
STORY: list[DeadlineEvent] = [
    MOON.warned("resolution"),
    MISSED,
    SUN.step(1, reason="no_response"),
    MOON.voided(MISSED),
    MOON.step(1),
    SUN.held(0.5, until=24),
    MOON.step(2),
    MOON.step_voided(2),
    MOON.ended(1.5, "workaround"),
    MOON.step(3),
    MOON.ended(4),
    SUN.step(2, hours=24),
    MOON.step(4, hours=30, cycle=2, kept=True),
    *(MOON.step(n, hours=26 + n, cycle=2, kept=True) for n in (5, 6)),
    MOON.exhausted(33, cycle=2, kept=True),
    MOON.ended(34, "cancelled", cycle=2, kept=True),
]


@pytest.fixture
async def writer(make_database: MakeDatabase) -> AsyncIterator[AsyncEngine]:
    made = engine(make_database("escalator"), "escalator-writer")
    yield made
    await made.dispose()


@pytest.fixture
def handlers(tmp_path: Path) -> Handlers:
    path = tmp_path / "directory.yaml"
    path.write_text(DIRECTORY)
    return Handlers(BusinessClock(START, START, 0.0), DirectoryFile(path))


DIRECTORY = """
people:
  maya: { name: Maya Lindqvist, email: maya@example.com }
roles:
  service_desk_team_lead: [{ person: maya }]
  it_operations_director: [{ person: maya }]
  account_manager: [{ person: maya }]
  chief_executive_officer: [{ person: maya }]
"""


async def tell(writer: AsyncEngine, handlers: Handlers, events: Sequence[DeadlineEvent]) -> None:
    async with writer.begin() as connection:
        await handlers.deadlines_told(connection, [Received(event, DEADLINES, 0, n) for n, event in enumerate(events)])


async def cases(writer: AsyncEngine) -> dict[str, Case]:
    async with writer.begin() as connection:
        found = await store.load(connection, {MOON.ticket.ticket_id, SUN.ticket.ticket_id})
    return {"moon": found[MOON.ticket.ticket_id], "sun": found[SUN.ticket.ticket_id]}


async def decided(writer: AsyncEngine, since: datetime = START) -> list[EscalationEvent]:
    pages = [page async for page in store.stored_decisions(writer, since)]
    return [event for page in pages for event in page if isinstance(event, EscalationEvent)]


def by_the_pure_function(handlers: Handlers) -> tuple[dict[str, Case], list[EscalationEvent]]:
    found, published = {"moon": Case(), "sun": Case()}, list[EscalationEvent]()
    for event in STORY:
        name = "moon" if event.ticket == MOON.ticket else "sun"
        vacant = vacancies(handlers.directory.current(), event.ticket.customer.id)
        found[name], new = address(event, found[name], vacant)
        published += new
    return found, published


@pytest.mark.parametrize("size", [1, 2, 5, len(STORY)])
async def test_what_is_kept_is_what_the_pure_function_says(writer: AsyncEngine, handlers: Handlers, size: int) -> None:
    for start in range(0, len(STORY), size):
        await tell(writer, handlers, STORY[start : start + size])
    expected, published = by_the_pure_function(handlers)
    assert await cases(writer) == expected
    assert await decided(writer) == published
    assert len(published) > len(STORY) / 2


async def test_the_same_events_again_change_nothing(writer: AsyncEngine, handlers: Handlers) -> None:
    await tell(writer, handlers, [*STORY[:3], *STORY[:3], *STORY[3:]])
    before = await cases(writer), await decided(writer)
    async with writer.begin() as connection:
        queued, _ = await store.outbox.pending(connection)
    await tell(writer, handlers, STORY)
    for event in STORY:
        await tell(writer, handlers, [event])
    assert (await cases(writer), await decided(writer)) == before
    async with writer.begin() as connection:
        assert (await store.outbox.pending(connection))[0] == queued == len(before[1])


async def test_what_is_rolled_back_is_neither_kept_nor_counted(writer: AsyncEngine, handlers: Handlers) -> None:
    def counted() -> float:
        labels = {"tier": "1", "reason": "no_response"}
        return REGISTRY.get_sample_value("sla_escalations_total", labels) or 0.0

    before = counted()
    async with writer.connect() as connection:
        await handlers.deadlines_told(connection, [Received(STORY[2], DEADLINES, 0, 0)])
        await connection.rollback()
    assert counted() == before
    assert await decided(writer) == []
    await tell(writer, handlers, [STORY[2]])
    assert counted() == before + 1


async def test_decisions_are_stored_to_be_published_again_from_an_instant_on(
    writer: AsyncEngine, tmp_path: Path, handlers: Handlers
) -> None:
    later = Handlers(BusinessClock(START + HOUR, START, 0.0), handlers.directory)
    await tell(writer, handlers, STORY[:5])
    await tell(writer, later, STORY[5:])
    everything = await decided(writer)
    since = await decided(writer, START + HOUR)
    assert 0 < len(since) < len(everything)
    assert since == everything[-len(since) :]
    async with writer.connect() as connection:
        ids = set((await connection.execute(select(decisions.c.id))).scalars())
        open_ones = (await connection.execute(select(func.count()).where(notifications.c.open))).scalar_one()
    assert ids == {event_id(event) for event in everything}
    assert open_ones == 2  # the tiers of the ticket that is still open


async def test_an_event_of_another_topic_is_poison(writer: AsyncEngine, handlers: Handlers) -> None:
    stray = Watermark(accepted_through=START)
    async with writer.begin() as connection:
        with pytest.raises(PoisonMessageError, match="progress"):
            await handlers.deadlines_told(connection, [Received(stray, DEADLINES, 0, 0)])
