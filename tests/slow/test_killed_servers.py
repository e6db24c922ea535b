"""Kafka and PostgreSQL are killed at the same moment: what was accepted is kept, and no one is paged falsely."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from support.movable_stack import MovableStack, start_movable_stack
from support.polling import eventually
from support.scenario import Scenario
from support.ticket_load import assert_nothing_lost_or_doubled, posting

pytestmark = [pytest.mark.xdist_group("replicas"), pytest.mark.long]


@pytest.fixture(scope="module")
def movable_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MovableStack]:
    with start_movable_stack(tmp_path_factory.mktemp("killed"), durable=True) as stack:
        yield stack


@pytest.mark.rule("4.21", "5.23")
async def test_kafka_and_postgres_are_killed_together_under_load(scenario: Scenario) -> None:
    due_tomorrow = await scenario.open_tickets(60, "responded")
    deadline = scenario.after(hours=24)
    await scenario.advance_to(deadline - timedelta(minutes=20))
    await scenario.run_clock(rate=60)
    async with posting(scenario):
        await scenario.concurrently(scenario.post_event(ticket, "resolved") for ticket in due_tomorrow[:40])
        await scenario.stack.kill("kafka", "postgres")
        await eventually(lambda: scenario.now > deadline, "business time passes the deadline")
        await scenario.stack.start("kafka", "postgres")
        await scenario.stack.wait_until_ready()
    await assert_nothing_lost_or_doubled(scenario)
