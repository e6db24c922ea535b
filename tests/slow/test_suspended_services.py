"""A service is suspended for a minute (SIGSTOP), as by a paused virtual machine, and then continues where it was."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial

import pytest
from support.movable_stack import MovableStack, start_movable_stack
from support.polling import eventually
from support.scenario import Scenario
from support.servers import SERVICES
from support.ticket_load import assert_nothing_lost_or_doubled, posting

pytestmark = [pytest.mark.xdist_group("suspended services"), pytest.mark.long]

RATE = 60
"""A business minute a second: a ticket is warned about after 45 s, its response is missed after 60 s."""


@pytest.fixture(scope="module")
def movable_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MovableStack]:
    """A stack with the shipped limit of silence: a suspended minute of intake does not reach it."""
    with start_movable_stack(tmp_path_factory.mktemp("suspended"), TOCSIN_SILENCE_SECONDS="90") as stack:
        yield stack


@pytest.mark.rule("5.23")
@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_is_suspended_alone_for_a_minute(scenario: Scenario, service: str) -> None:
    deadline = await _open_tickets_before_a_deadline(scenario)
    await scenario.run_clock(RATE)
    async with posting(scenario):
        with scenario.stack.suspended(service):
            await _minute_passes(scenario)
        assert scenario.now > deadline + timedelta(minutes=30)
        await scenario.stack.wait_until_ready()
    await assert_nothing_lost_or_doubled(scenario)


@pytest.mark.rule("5.23")
async def test_replicas_take_over_from_suspended_services(scenario: Scenario) -> None:
    replica_of_intake, *_ = await scenario.stack.add_replicas(*SERVICES)
    await _open_tickets_before_a_deadline(scenario)
    scenario.post_to(replica_of_intake)
    await scenario.run_clock(RATE)
    async with posting(scenario):
        with scenario.stack.suspended(*SERVICES):
            await eventually(partial(_is_escalated, scenario), "the replicas notify the first tier")
            await _minute_passes(scenario)
        await scenario.stack.wait_until_ready()
    await assert_nothing_lost_or_doubled(scenario)


async def _open_tickets_before_a_deadline(scenario: Scenario) -> datetime:
    """Opens tickets whose resolution is due at the returned instant, and others that are warned about it, missed or
    not yet warned by then; resolves some of them in time. Business time stands 15 minutes before that instant.
    """
    due_tomorrow = await scenario.open_tickets(30, "responded")
    deadline = scenario.after(hours=24)
    for minutes in (70, 50, 30):
        await scenario.advance_to(deadline - timedelta(minutes=minutes))
        await scenario.open_tickets(5)
    await scenario.advance_to(deadline - timedelta(minutes=15))
    await scenario.concurrently(scenario.post_event(ticket, "resolved") for ticket in due_tomorrow[:20])
    return deadline


async def _minute_passes(scenario: Scenario) -> None:
    """The duration of the fault: an hour of business time. The clients post tickets meanwhile."""
    end = scenario.now + timedelta(hours=1)
    await eventually(lambda: scenario.now >= end, "an hour of business time passes", 90, every=0.5)


async def _is_escalated(scenario: Scenario) -> bool:
    mails = await scenario.mails_by_ticket()
    return any(mail.kind == "escalation" for of_ticket in mails.values() for mail in of_ticket)
