"""Versions of the policy in the database: stored once, never changed, and used to evaluate tickets anew."""

from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import pytest
from sla_timer.errors import PolicyConflictError
from sla_timer.handlers.facts import receive_facts
from sla_timer.store.tables import CLOCKS, POLICIES, TICKETS
from sqlalchemy import select
from support.fake_timer import moment, numbered_fact, summaries
from support.servers import MakeDatabase
from support.stories import DEFAULT_POLICY, at, shipped_policy
from support.timer_world import TimerWorld, batch, events, ticket, timer_world
from tocsin.policy import Policy, load_policy

OPENED = numbered_fact(1, "opened", "06-08 12:00", severity=1)
RESPONDED = numbered_fact(2, "responded", "06-08 12:00")
RESOLVED = numbered_fact(3, "resolved", "06-09 02:00")


@pytest.fixture
async def world(make_database: MakeDatabase, tmp_path: Path) -> AsyncIterator[TimerWorld]:
    async with timer_world(make_database("sla-timer"), tmp_path) as made:
        yield made


def version(name: str, hours: int, in_force: str = "06-09 01:00") -> Policy:
    """Severity 1 is to be resolved in that many hours."""
    text = DEFAULT_POLICY.read_text().replace('version: "1"', f'version: "{name}"')
    text = text.replace("2000-01-01T00:00:00Z", at(in_force)).replace("1: 24h", f"1: {hours}h")
    return load_policy(text, "policy.yaml")


async def published(world: TimerWorld, name: str) -> list[tuple[str, str]]:
    return summaries(await world.published(ticket(name, [OPENED]).ticket_id))


@pytest.mark.rule("4.16")
async def test_a_version_is_stored_once_and_never_changes(world: TimerWorld) -> None:
    await world.store_policy(shipped_policy())
    await world.store_policy(version("2", 12))
    assert [row.version for row in await world.rows(select(POLICIES.c.version).order_by("version"))] == ["1", "2"]
    with pytest.raises(PolicyConflictError, match="version '2' is already stored with other content"):
        await world.store_policy(version("2", 13))
    with pytest.raises(PolicyConflictError):
        await world.store_policy(version("1", 12))


@pytest.mark.rule("4.16")
async def test_open_tickets_are_evaluated_anew_with_an_added_version(world: TimerWorld) -> None:
    for name in ("SR-1", "SR-2"):
        await world.receive(*events(name, [OPENED, RESPONDED]))
    await world.advance(moment("06-09 02:00"))
    await world.store_policy(version("2", 12))
    await world.service.policy_rollout.run()
    for name in ("SR-1", "SR-2"):
        assert (await published(world, name))[1:] == [
            ("breached resolution", "06-09 01:00"),
            ("step_due 1 of run 1", "06-09 01:00"),
            ("step_due 2 of run 1", "06-09 02:00"),
        ]
    before = len(await world.outbox())
    await world.service.policy_rollout.run()
    assert len(await world.outbox()) == before


async def test_a_version_of_the_future_changes_the_agenda_and_publishes_nothing_yet(world: TimerWorld) -> None:
    await world.receive(*events("SR-1", [OPENED, RESPONDED]))
    await world.set_watermark(moment("06-08 13:00"))
    await world.store_policy(version("2", 12))
    await world.service.policy_rollout.run()
    assert await published(world, "SR-1") == [("met response", "06-08 12:00")]
    await world.advance(moment("06-09 01:00"))
    assert ("breached resolution", "06-09 01:00") in await published(world, "SR-1")


@pytest.mark.rule("4.14")
async def test_the_stored_clocks_follow_a_version_when_it_comes_into_force(world: TimerWorld) -> None:
    text = DEFAULT_POLICY.read_text().replace('version: "1"', 'version: "2"')
    text = text.replace("2000-01-01T00:00:00Z", at("06-09 01:00")).replace("project: none", "incident: none")
    await world.receive(*events("SR-1", [OPENED, RESPONDED]))
    await world.set_watermark(moment("06-08 13:00"))
    await world.store_policy(load_policy(text, "policy.yaml"))
    await world.service.policy_rollout.run()
    assert await open_clocks(world) == ["resolution"]
    await world.advance(moment("06-09 01:00"))
    await world.service.policy_rollout.run()
    assert await open_clocks(world) == []
    evaluated = await world.rows(select(TICKETS.c.policies_in_force))
    assert evaluated == [(2,)]


async def open_clocks(world: TimerWorld) -> list[str]:
    return [row.clock for row in await world.rows(select(CLOCKS.c.clock).where(CLOCKS.c.open))]


async def test_an_agenda_of_older_versions_waits_if_a_newer_one_is_in_force(world: TimerWorld) -> None:
    """Until the tickets are evaluated with the new version, the sweep must not publish events of the old one."""
    await world.receive(*events("SR-1", [OPENED, RESPONDED]))
    await world.advance(moment("06-09 02:00"))
    await world.store_policy(version("2", 48))
    await world.advance(moment("06-09 12:00"))
    assert all("breached" not in text for text, _ in await published(world, "SR-1"))
    await world.service.policy_rollout.run()
    await world.advance(moment("06-10 12:00"))
    assert ("breached resolution", "06-10 12:00") in await published(world, "SR-1")


async def test_a_version_that_is_not_in_force_yet_delays_nothing(world: TimerWorld) -> None:
    await world.receive(*events("SR-1", [OPENED, RESPONDED]))
    await world.store_policy(version("2", 48, in_force="07-01 00:00"))
    await world.advance(moment("06-09 12:00"))
    assert ("breached resolution", "06-09 12:00") in await published(world, "SR-1")


async def test_a_replica_loads_an_added_version_before_it_evaluates(world: TimerWorld) -> None:
    other = world.another_process()
    async with other.reader.connect() as connection:
        await other.policies.refresh(connection)
    await world.receive(*events("SR-1", [OPENED, RESPONDED]))
    await world.store_policy(version("2", 12))
    await world.advance(moment("06-09 02:00"))
    await world.service.policy_rollout.run()
    before = await published(world, "SR-1")
    async with world.writer.begin() as connection:
        late = events("SR-1", [OPENED, RESPONDED, numbered_fact(3, "acknowledged", "06-09 02:10")])[-1]
        await receive_facts(other, connection, batch([late]))
    assert (await published(world, "SR-1"))[: len(before)] == before
    assert not any("voided" in text for text, _ in await published(world, "SR-1"))


@pytest.mark.rule("4.14")
async def test_a_ticket_that_ended_before_a_version_was_in_force_keeps_its_own(world: TimerWorld) -> None:
    await world.receive(*events("SR-1", [OPENED, RESPONDED, RESOLVED]))
    await world.store_policy(version("2", 12, in_force="06-09 03:00"))
    await world.set_watermark(moment("06-10 00:00"))
    await world.service.policy_rollout.run()
    assert [text for text, _ in await published(world, "SR-1")] == ["met response", "met resolution"]


@pytest.mark.rule("4.16")
async def test_a_ticket_that_ended_under_a_version_is_evaluated_by_it_even_if_stored_later(world: TimerWorld) -> None:
    await world.receive(*events("SR-1", [OPENED, RESPONDED, RESOLVED]))
    await world.store_policy(version("2", 12))
    await world.set_watermark(moment("06-10 00:00"))
    await world.service.policy_rollout.run()
    texts = [text for text, _ in await published(world, "SR-1")]
    assert texts[2:] == [
        "voided met resolution",
        "breached resolution",
        "step_due 1 of run 1",
        "ended run 1: resolved",
    ]
    assert await world.rows(select(TICKETS.c.ticket_id).where(TICKETS.c.policy_versions < 2)) == []
    response = await world.get(f"/v1/tickets/{ticket('SR-1', [OPENED]).ticket_id}/clocks")
    assert response["clocks"][1]["outcome"] == "breached"
    assert response["clocks"][1]["voided"]
    assert datetime.fromisoformat(response["clocks"][1]["breached_at"]) == moment("06-09 01:00")
