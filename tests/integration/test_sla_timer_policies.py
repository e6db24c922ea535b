"""Versions of the policy in the database: stored once, never changed, and judged by (RULES 4)."""

from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import pytest
from sla_timer.domain.policy_history import PolicyBook
from sla_timer.handlers.handlers import Handlers
from sla_timer.store.policies import PolicyChangedError
from sla_timer.store.tables import POLICIES, TICKETS
from sqlalchemy import select
from support.fake_timer import briefly, moment, said
from support.servers import MakeDatabase
from support.stories import DEFAULT_POLICY, at, shipped_policy
from support.timer_world import CLOCK, Timer, batch, events, ticket, timer
from tocsin.policy import Policy, load_policy

OPENED = said(1, "opened", "06-08 12:00", severity=1)
ANSWERED = said(2, "responded", "06-08 12:00")
RESOLVED = said(3, "resolved", "06-09 02:00")


@pytest.fixture
async def one(make_database: MakeDatabase, tmp_path: Path) -> AsyncIterator[Timer]:
    async with timer(make_database("sla-timer"), tmp_path) as made:
        yield made


def version(name: str, hours: int, in_force: str = "06-09 01:00") -> Policy:
    """Severity 1 is to be resolved in that many hours."""
    text = DEFAULT_POLICY.read_text().replace('version: "1"', f'version: "{name}"')
    text = text.replace("2000-01-01T00:00:00Z", at(in_force)).replace("1: 24h", f"1: {hours}h")
    return load_policy(text, "policy.yaml")


async def told(one: Timer, name: str) -> list[tuple[str, str]]:
    return briefly(await one.told(ticket(name, [OPENED]).ticket_id))


async def test_a_version_is_stored_once_and_may_never_say_something_else(one: Timer) -> None:
    await one.stores(shipped_policy())
    await one.stores(version("2", 12))
    assert [row.version for row in await one.rows(select(POLICIES.c.version).order_by("version"))] == ["1", "2"]
    with pytest.raises(PolicyChangedError, match="version '2' is stored already and says something else"):
        await one.stores(version("2", 13))
    with pytest.raises(PolicyChangedError):
        await one.stores(version("1", 12))


async def test_open_tickets_are_judged_anew_by_a_version_that_comes(one: Timer) -> None:
    for name in ("SR-1", "SR-2"):
        await one.receives(*events(name, [OPENED, ANSWERED]))
    await one.reaches(moment("06-09 02:00"))
    await one.stores(version("2", 12))
    await one.handlers.renew_policies()
    for name in ("SR-1", "SR-2"):
        assert (await told(one, name))[1:] == [
            ("breached resolution", "06-09 01:00"),
            ("step_due 1 of run 1", "06-09 01:00"),
            ("step_due 2 of run 1", "06-09 02:00"),
        ]
    before = len(await one.queued())
    await one.handlers.renew_policies()
    assert len(await one.queued()) == before


async def test_a_version_of_the_future_moves_the_agenda_and_tells_nothing_yet(one: Timer) -> None:
    await one.receives(*events("SR-1", [OPENED, ANSWERED]))
    await one.progresses(moment("06-08 13:00"))
    await one.stores(version("2", 12))
    await one.handlers.renew_policies()
    assert await told(one, "SR-1") == [("met response", "06-08 12:00")]
    await one.reaches(moment("06-09 01:00"))
    assert ("breached resolution", "06-09 01:00") in await told(one, "SR-1")


async def test_what_was_planned_by_older_versions_waits_where_a_newer_is_in_force(one: Timer) -> None:
    """Between the storing of a version and the new judgement the sweep must not tell what is no longer true."""
    await one.receives(*events("SR-1", [OPENED, ANSWERED]))
    await one.reaches(moment("06-09 02:00"))
    await one.stores(version("2", 48))
    await one.reaches(moment("06-09 12:00"))
    assert all("breached" not in text for text, _ in await told(one, "SR-1"))
    await one.handlers.renew_policies()
    await one.reaches(moment("06-10 12:00"))
    assert ("breached resolution", "06-10 12:00") in await told(one, "SR-1")


async def test_a_version_not_in_force_yet_delays_nothing(one: Timer) -> None:
    await one.receives(*events("SR-1", [OPENED, ANSWERED]))
    await one.stores(version("2", 48, in_force="07-01 00:00"))
    await one.reaches(moment("06-09 12:00"))
    assert ("breached resolution", "06-09 12:00") in await told(one, "SR-1")


async def test_a_replica_that_has_not_heard_of_a_version_hears_of_it_before_it_judges(one: Timer) -> None:
    book = PolicyBook()
    book.renew([shipped_policy()])
    other = Handlers(one.writer, book, CLOCK)
    await one.receives(*events("SR-1", [OPENED, ANSWERED]))
    await one.stores(version("2", 12))
    await one.reaches(moment("06-09 02:00"))
    await one.handlers.renew_policies()
    before = await told(one, "SR-1")
    async with one.writer.begin() as connection:
        late = events("SR-1", [OPENED, ANSWERED, said(3, "acknowledged", "06-09 02:10")])[-1]
        await other.facts_received(connection, batch([late]))
    assert (await told(one, "SR-1"))[: len(before)] == before
    assert not any("voided" in text for text, _ in await told(one, "SR-1"))


async def test_what_ended_before_a_version_was_in_force_keeps_its_own(one: Timer) -> None:
    await one.receives(*events("SR-1", [OPENED, ANSWERED, RESOLVED]))
    await one.stores(version("2", 12, in_force="06-09 03:00"))
    await one.progresses(moment("06-10 00:00"))
    await one.handlers.renew_policies()
    assert [text for text, _ in await told(one, "SR-1")] == ["met response", "met resolution"]


async def test_what_ended_after_a_version_was_in_force_is_judged_by_it_though_it_was_stored_later(one: Timer) -> None:
    await one.receives(*events("SR-1", [OPENED, ANSWERED, RESOLVED]))
    await one.stores(version("2", 12))
    await one.progresses(moment("06-10 00:00"))
    await one.handlers.renew_policies()
    texts = [text for text, _ in await told(one, "SR-1")]
    assert texts[2:] == [
        "voided met resolution",
        "breached resolution",
        "step_due 1 of run 1",
        "ended run 1: resolved",
    ]
    stale = await one.rows(select(TICKETS.c.ticket_id).where(TICKETS.c.policies < 2))
    assert stale == []
    answer = await one.get(f"/v1/tickets/{ticket('SR-1', [OPENED]).ticket_id}/clocks")
    assert answer["clocks"][1]["outcome"] == "breached"
    assert answer["clocks"][1]["voided"]
    assert datetime.fromisoformat(answer["clocks"][1]["breached_at"]) == moment("06-09 01:00")
