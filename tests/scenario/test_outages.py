"""A part of the system is down: no notification is lost or repeated, and no one is paged before all facts are in."""

from datetime import timedelta

import pytest
from support.inbox import tiers
from support.polling import eventually
from support.scenario import Scenario


@pytest.mark.rule("4.23", "5.15")
async def test_sla_timer_is_down_while_three_tiers_fall_due_and_sends_each_once(scenario: Scenario) -> None:
    ticket = await scenario.open_ticket(severity=1)
    await scenario.post_event(ticket, "responded")
    breach = scenario.after(hours=24)
    await scenario.advance_stepwise_past(breach - timedelta(minutes=5))
    await scenario.stack.stop("sla-timer")
    await scenario.jump_to(breach + timedelta(hours=2, minutes=30))
    await scenario.stack.start("sla-timer")
    await scenario.wait_until_idle()
    escalations = [each for each in await scenario.deliveries(ticket) if each["kind"] == "escalation"]
    assert [(each["tier"], each["late"]) for each in escalations] == [(1, True), (2, True), (3, True)]
    assert sorted(tiers(await scenario.mails(ticket, "escalation"))) == [1, 2, 3]
    await scenario.advance_stepwise_past(breach + timedelta(hours=3))
    mails = await scenario.mails(ticket, "escalation")
    assert [(mail.tier, mail.is_late) for mail in mails[3:]] == [(4, False)]
    await scenario.assert_consistent(ticket)


@pytest.mark.rule("4.21")
async def test_kafka_is_down_for_two_hours_while_300_tickets_are_resolved_and_no_one_is_paged_for_them(
    scenario: Scenario,
) -> None:
    tickets = await scenario.open_tickets(310, "responded")
    resolved, unresolved = tickets[:300], tickets[300:]
    deadline = scenario.after(hours=24)
    await scenario.advance_to(deadline - timedelta(hours=1))
    await scenario.stack.kill("kafka")
    await scenario.jump_to(deadline - timedelta(minutes=1))
    await scenario.concurrently(scenario.post_event(ticket, "resolved") for ticket in resolved)
    await scenario.jump_to(deadline + timedelta(minutes=59))
    await scenario.stack.start("kafka")
    await scenario.wait_until_idle()
    mails = await scenario.mails_by_ticket()
    paged = {ticket.id for ticket in tickets if any(mail.kind == "escalation" for mail in mails[ticket.id])}
    assert paged == {ticket.id for ticket in unresolved}
    await scenario.assert_consistent(*tickets[::10], *unresolved)


@pytest.mark.rule("4.22")
async def test_intake_is_down_and_a_breach_is_sent_as_unconfirmed(scenario: Scenario) -> None:
    unresolved, resolved_in_time = await scenario.open_tickets(2, "responded")
    await scenario.advance_stepwise_past(scenario.after(hours=23))
    await scenario.stack.stop("intake")
    await scenario.jump_to(scenario.after(hours=24, minutes=1))

    async def both_escalated() -> bool:
        mails = await scenario.mails_by_ticket()
        return all(any(mail.kind == "escalation" for mail in mails[each.id]) for each in (unresolved, resolved_in_time))

    await eventually(both_escalated, "the team lead is notified although intake is down")
    (mail,) = await scenario.mails(unresolved, "escalation")
    assert "unconfirmed" in mail.text.lower()
    await scenario.stack.start("intake")
    await scenario.post_event(resolved_in_time, "resolved", at=scenario.after(hours=23, minutes=30))
    await scenario.wait_until_idle()
    assert tiers(await scenario.mails(unresolved, "escalation")) == [1]
    await scenario.assert_consistent(unresolved)
    assert len(await scenario.mails(resolved_in_time, "stand_down")) == 1
    assert (await scenario.clocks(resolved_in_time))["clocks"][1]["outcome"] == "met"
