"""A database is restored from an earlier copy: its service catches up, and no one is notified twice."""

import pytest
from support.inbox import tiers
from support.scenario import Scenario
from tocsin.runtime.kafka.client import DEADLINES_TOPIC, TICKETS_TOPIC


@pytest.mark.parametrize("service", ["sla-timer", "escalator"])
async def test_a_restored_database_continues_from_the_offsets_in_it(scenario: Scenario, service: str) -> None:
    known = await scenario.open_ticket(severity=1)
    await scenario.wait_until_idle()
    await scenario.stack.copy_database(service)
    new = await scenario.open_ticket(severity=1)
    await scenario.post_event(known, "responded")
    await scenario.advance_stepwise_past(scenario.after(hours=25))
    before = await scenario.mails_by_ticket()
    await scenario.stack.stop(service)
    await scenario.stack.restore_database(service)
    await scenario.stack.start(service)
    await scenario.wait_until_idle()
    assert await scenario.mails_by_ticket() == before
    await scenario.assert_consistent(known, new)
    await scenario.advance_stepwise_past(scenario.after(hours=26))
    assert tiers(await scenario.mails(known, "escalation")) == [1, 2, 3]
    assert tiers(await scenario.mails(new, "escalation")) == [1, 2]
    await scenario.assert_consistent(known, new)


@pytest.mark.parametrize(
    ("service", "topic", "source", "resource"),
    [("sla-timer", TICKETS_TOPIC, "intake", "clocks"), ("escalator", DEADLINES_TOPIC, "sla-timer", "escalation")],
)
async def test_republish_replaces_records_that_the_topic_no_longer_holds(
    scenario: Scenario, service: str, topic: str, source: str, resource: str
) -> None:
    known = await scenario.open_ticket(severity=1)
    await scenario.wait_until_idle()
    await scenario.stack.copy_database(service)
    since = scenario.now
    new = await scenario.open_ticket(severity=1)
    await scenario.advance_stepwise_past(scenario.after(hours=2))
    await scenario.concurrently(scenario.post_event(ticket, "escalated") for ticket in (known, new))
    await scenario.wait_until_idle()
    before = await scenario.mails_by_ticket()
    await scenario.stack.stop(service)
    await scenario.stack.restore_database(service)
    await scenario.stack.truncate_topic(topic)
    await scenario.stack.start(service)
    await scenario.wait_until_idle()
    assert not await scenario.exists(service, f"/v1/tickets/{new.id}/{resource}")
    await scenario.stack.republish(source, since)
    await scenario.wait_until_idle()
    assert await scenario.mails_by_ticket() == before
    await scenario.assert_consistent(known, new)
    await scenario.advance_stepwise_past(scenario.after(hours=3, seconds=1))
    for ticket in (known, new):
        assert tiers(await scenario.mails(ticket, "escalation")) == [1, 2]
    await scenario.assert_consistent(known, new)
