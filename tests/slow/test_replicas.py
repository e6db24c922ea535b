"""Several replicas of each service: they share the work, and one that lost its lease changes nothing any more."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import partial

import pytest
from support.consistency import PostedTicket
from support.movable_stack import MovableStack, start_movable_stack
from support.polling import eventually
from support.scenario import Scenario
from support.servers import SERVICES
from support.ticket_load import assert_nothing_lost_or_doubled, posting

pytestmark = [pytest.mark.xdist_group("replicas"), pytest.mark.long]

LEASE_SECONDS = 5
SLOW_SECONDS = 15.0
"""How long the mail server takes: longer than the lease of an attempt, shorter than its timeout."""
WORK = {
    "intake": "sla_tickets_ingested_total",
    "sla-timer": "sla_partitions_held",
    "escalator": "sla_partitions_held",
    "notifier": "sla_partitions_held",
}
"""The metric that shows that a replica works."""
GAVE_UP = ("delivery_withdrawn_before_data", "attempt_outlived_its_claim")


@pytest.fixture(scope="module")
def movable_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MovableStack]:
    with start_movable_stack(tmp_path_factory.mktemp("replicas"), TOCSIN_LEASE_SECONDS=str(LEASE_SECONDS)) as stack:
        yield stack


@pytest.mark.rule("5.23")
async def test_three_replicas_of_each_service_share_the_work_and_are_killed_one_by_one(scenario: Scenario) -> None:
    replicas = {service: [service] for service in SERVICES}
    for _ in range(2):
        for service, added in zip(SERVICES, await scenario.stack.add_replicas(*SERVICES), strict=True):
            replicas[service].append(added)
    due_tomorrow = await scenario.open_tickets(60, "responded")
    deadline = scenario.after(hours=24)
    await scenario.advance_to(deadline - timedelta(minutes=10))
    await scenario.concurrently(scenario.post_event(ticket, "resolved") for ticket in due_tomorrow[:30])
    scenario.post_to(*replicas["intake"])
    await scenario.run_clock(rate=60)
    async with posting(scenario, clients=6):
        for service, names in replicas.items():
            await eventually(partial(_share_the_work, scenario, service, names), f"all replicas of {service} work")
        for parts in zip(*replicas.values(), strict=True):
            for name in parts:
                await scenario.stack.crash(name)
                await eventually(partial(scenario.stack.runs, name), f"{name} is restarted")
        await scenario.stack.wait_until_ready()
        await eventually(lambda: scenario.now > deadline, "business time passes the deadline")
    await assert_nothing_lost_or_doubled(scenario)


async def test_a_notifier_that_lost_its_lease_before_data_sends_nothing(scenario: Scenario) -> None:
    ticket = await scenario.open_ticket()
    await scenario.make_mail_server_fail("slow_banner", seconds=SLOW_SECONDS)
    await scenario.stack.crash("notifier")  # a connection that it kept would get no banner
    await scenario.stack.wait_until_ready()
    await scenario.jump_to(scenario.after(minutes=45, microseconds=1))
    await eventually(partial(_is_delivery, scenario, ticket, "claimed"), "the attempt waits for the mail server")
    with scenario.stack.suspended("notifier"):
        await scenario.make_mail_server_fail("none")
        await scenario.stack.add_replicas("notifier")
        await eventually(partial(_has_mails, scenario, ticket, 1), "the replica sends the mail")
    await scenario.stack.wait_until_ready()
    await eventually(lambda: _gave_up(scenario, ticket), "the first process gives up")
    await scenario.advance_past(scenario.now)
    (mail,) = await scenario.mails(ticket)
    (delivery,) = await scenario.deliveries(ticket)
    assert (delivery["state"], delivery["ambiguous"], delivery["message_id"]) == ("sent", False, mail.message_id)
    await scenario.assert_consistent(ticket)


async def test_a_notifier_that_lost_its_lease_in_data_leaves_the_result_to_the_other(scenario: Scenario) -> None:
    ticket = await scenario.open_ticket()
    await scenario.make_mail_server_fail("delay", seconds=SLOW_SECONDS)
    await scenario.jump_to(scenario.after(minutes=45, microseconds=1))
    await eventually(partial(_is_delivery, scenario, ticket, "in_data"), "the attempt waits for the reply")
    await eventually(partial(_has_mails, scenario, ticket, 1), "the mail server has the message")
    with scenario.stack.suspended("notifier"):
        await scenario.make_mail_server_fail("none")
        await scenario.stack.add_replicas("notifier")
        await eventually(partial(_has_mails, scenario, ticket, 2), "the replica repeats the mail")
    await scenario.stack.wait_until_ready()
    await eventually(lambda: _gave_up(scenario, ticket), "the first process gives up")
    await scenario.advance_past(scenario.now)
    first, second = await scenario.mails(ticket)
    (delivery,) = await scenario.deliveries(ticket)
    assert first.message_id == second.message_id == delivery["message_id"]
    assert (delivery["state"], delivery["ambiguous"]) == ("sent", True)
    await scenario.assert_consistent(ticket, mails=await scenario.mails_without_known_repetitions())


async def _share_the_work(scenario: Scenario, service: str, replicas: Sequence[str]) -> bool:
    return all([await scenario.metric_sum(replica, WORK[service]) > 0 for replica in replicas])


async def _is_delivery(scenario: Scenario, ticket: PostedTicket, state: str) -> bool:
    return [each["state"] for each in await scenario.deliveries(ticket)] == [state]


async def _has_mails(scenario: Scenario, ticket: PostedTicket, count: int) -> bool:
    return len(await scenario.mails(ticket)) >= count


def _gave_up(scenario: Scenario, ticket: PostedTicket) -> bool:
    """Whether the first process found that it lost the delivery of this ticket."""
    lines = scenario.stack.log("notifier").splitlines()
    return any(ticket.id in line and any(event in line for event in GAVE_UP) for line in lines)
