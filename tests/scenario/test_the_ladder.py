"""One ticket from opening to closing, and one mail for each deadline: who is notified, when, and who is not."""

from datetime import timedelta

import pytest
from support.inbox import tiers
from support.scenario import Scenario
from tocsin.instants import render_instant


@pytest.mark.rule("3.9", "5.1", "5.4", "5.11")
async def test_without_a_response_a_ticket_escalates_tier_by_tier_to_the_ceo(scenario: Scenario) -> None:
    ticket = await scenario.open_ticket(severity=1)
    await scenario.advance_stepwise_past(scenario.after(hours=32))
    escalations = await scenario.mails(ticket, "escalation")
    assert tiers(escalations) == [1, 2, 3, 4, 5, 6]
    assert len({mail.to for mail in escalations}) == 6
    (timeline,) = await scenario.assert_consistent(ticket)
    assert timeline["exhausted_at"] == render_instant(scenario.after(hours=31))
    assert (await scenario.escalation(ticket))["state"] == "exhausted"
    assert not any(mail.is_late for mail in await scenario.mails(ticket))


@pytest.mark.rule("5.22", "5.24")
async def test_when_nobody_is_left_everyone_who_was_mailed_is_told_once_and_stood_down_once(scenario: Scenario) -> None:
    ticket = await scenario.open_ticket(severity=1)
    await scenario.advance_stepwise_past(scenario.after(hours=32))
    mailed = sorted(mail.to for mail in await scenario.mails(ticket, "escalation"))
    exhausted = await scenario.mails(ticket, "exhausted")
    assert sorted(mail.to for mail in exhausted) == mailed
    assert len(mailed) == 6
    assert {mail.scheduled_at for mail in exhausted} == {render_instant(scenario.after(hours=31))}
    assert all("All tiers have been notified, and the ticket is still open." in mail.text for mail in exhausted)
    await scenario.wait_for_metric("escalator", 'sla_open_ladders{severity="1",tier="exhausted"}', 1.0)
    await scenario.post_event(ticket, "resolved")
    await scenario.wait_until_idle()
    assert sorted(mail.to for mail in await scenario.mails(ticket, "stand_down")) == mailed
    assert len(await scenario.mails(ticket, "exhausted")) == 6
    found = await scenario.escalation(ticket)
    assert (found["state"], found["exhausted"]) == ("ended", "ladder")
    await scenario.wait_for_metric("escalator", 'sla_open_ladders{severity="1",tier="exhausted"}', 0.0)
    await scenario.assert_consistent(ticket)


@pytest.mark.rule("4.13", "5.12", "5.22")
async def test_a_reopened_ticket_whose_ladder_is_exhausted_shows_so_until_it_closes_again(scenario: Scenario) -> None:
    exhausted = 'sla_open_ladders{severity="1",tier="exhausted"}'
    ticket = await scenario.open_ticket(severity=1)
    await scenario.advance_stepwise_past(scenario.after(hours=32))
    await scenario.wait_for_metric("escalator", exhausted, 1.0)
    await scenario.post_event(ticket, "resolved")
    await scenario.wait_for_metric("escalator", exhausted, 0.0)
    await scenario.wait_until_idle()
    mails = len(await scenario.mails(ticket))
    await scenario.advance_to(scenario.after(hours=40))
    await scenario.post_event(ticket, "reopened")
    await scenario.wait_for_metric("escalator", exhausted, 1.0)
    found = await scenario.escalation(ticket)
    assert (found["cycle"], found["state"], found["kept"], found["tier"]) == (2, "exhausted", True, 6)
    assert (found["exhausted_at"], found["next"]) == (render_instant(scenario.after(hours=31)), None)
    await scenario.post_event(ticket, "resolved")
    await scenario.wait_for_metric("escalator", exhausted, 0.0)
    assert (await scenario.escalation(ticket))["state"] == "ended"
    await scenario.wait_until_idle()
    assert len(await scenario.mails(ticket)) == mails
    await scenario.assert_consistent(ticket)


@pytest.mark.rule("5.3")
async def test_a_late_response_and_a_resolution_in_time(scenario: Scenario) -> None:
    ticket = await scenario.open_ticket(severity=1)
    await scenario.advance_stepwise_past(scenario.after(hours=2))
    assert [mail.kind for mail in await scenario.mails(ticket)] == ["warning", "response_missed"]
    await scenario.post_event(ticket, "responded")
    await scenario.advance_to(scenario.after(hours=20))
    await scenario.post_event(ticket, "resolved")
    await scenario.advance_past(scenario.after(hours=40))
    (timeline,) = await scenario.assert_consistent(ticket)
    outcomes = [(clock["clock"], clock["outcome"]) for clock in timeline["clocks"]]
    assert outcomes == [("response", "breached"), ("resolution", "met")]
    assert await scenario.mails(ticket, "escalation") == []


@pytest.mark.rule("4.2")
async def test_a_pause_over_the_weekend_does_not_extend_a_business_hours_deadline(scenario: Scenario) -> None:
    ticket = await scenario.open_ticket(severity=3)
    await scenario.advance_to(scenario.after(hours=2))
    await scenario.post_event(ticket, "responded")
    await scenario.advance_to(scenario.after(days=4, hours=9))
    await scenario.post_event(ticket, "paused")
    await scenario.advance_to(scenario.after(days=7))
    await scenario.post_event(ticket, "resumed")
    deadline = scenario.after(days=7, hours=2)
    await scenario.advance_past(deadline)
    (timeline,) = await scenario.assert_consistent(ticket)
    resolution = timeline["clocks"][1]
    assert (resolution["breached_at"], resolution["net_seconds"]) == (render_instant(deadline), 45 * 3600)
    assert [mail.scheduled_at for mail in await scenario.mails(ticket, "escalation")] == [render_instant(deadline)]


@pytest.mark.rule("4.6")
async def test_raising_the_severity_after_the_shorter_deadline_breaches_at_once(scenario: Scenario) -> None:
    ticket = await scenario.open_ticket(severity=3)
    await scenario.post_event(ticket, "responded")
    await scenario.advance_to(scenario.after(days=2))
    await scenario.post_event(ticket, "severity_changed", severity=1)
    await scenario.advance_past(scenario.after(days=2))
    (timeline,) = await scenario.assert_consistent(ticket)
    assert timeline["clocks"][1]["breached_at"] == render_instant(scenario.after(days=2))
    assert tiers(await scenario.mails(ticket, "escalation")) == [1]


@pytest.mark.rule("4.7")
async def test_lowering_the_severity_at_tier_2_holds_tier_3_until_the_longer_deadline(scenario: Scenario) -> None:
    ticket = await scenario.open_ticket(severity=1)
    await scenario.post_event(ticket, "responded")
    await scenario.advance_past(scenario.after(hours=24))
    await scenario.advance_past(scenario.after(hours=25))
    await scenario.post_event(ticket, "severity_changed", severity=2)
    await scenario.advance_past(scenario.after(hours=35, minutes=59))
    assert tiers(await scenario.mails(ticket, "escalation")) == [1, 2]
    assert (await scenario.escalation(ticket))["state"] == "held"
    await scenario.advance_past(scenario.after(hours=36))
    await scenario.advance_past(scenario.after(hours=38))
    assert tiers(await scenario.mails(ticket, "escalation")) == [1, 2, 3, 4]
    await scenario.assert_consistent(ticket)


@pytest.mark.rule("5.7")
async def test_an_acknowledgement_delays_the_next_tier(scenario: Scenario) -> None:
    ticket = await scenario.open_ticket(severity=1)
    await scenario.post_event(ticket, "responded")
    await scenario.advance_past(scenario.after(hours=24))
    await scenario.advance_past(scenario.after(hours=25))
    await scenario.advance_to(scenario.after(hours=25, minutes=10))
    await scenario.post_event(ticket, "acknowledged")
    await scenario.advance_past(scenario.after(hours=26, minutes=9, seconds=59))
    assert tiers(await scenario.mails(ticket, "escalation")) == [1, 2]
    await scenario.advance_past(scenario.after(hours=26, minutes=10))
    assert tiers(await scenario.mails(ticket, "escalation")) == [1, 2, 3]
    await scenario.assert_consistent(ticket)


@pytest.mark.rule("3.3")
async def test_resolved_one_microsecond_before_at_and_after_the_deadline(scenario: Scenario) -> None:
    tickets = [await scenario.open_ticket(severity=1) for _ in range(3)]
    for ticket in tickets:
        await scenario.post_event(ticket, "responded")
    deadline = scenario.after(hours=24)
    await scenario.advance_to(deadline)
    before, at, after = tickets
    await scenario.post_event(before, "resolved", at=deadline - timedelta(microseconds=1))
    await scenario.post_event(at, "resolved", at=deadline)
    await scenario.advance_to(deadline + timedelta(microseconds=1))
    await scenario.post_event(after, "resolved", at=deadline + timedelta(microseconds=1))
    await scenario.advance_past(scenario.after(hours=30))
    outcomes = [timeline["clocks"][1]["outcome"] for timeline in await scenario.assert_consistent(*tickets)]
    assert outcomes == ["met", "met", "breached"]
    assert [len(await scenario.mails(ticket, "escalation")) for ticket in tickets] == [0, 0, 1]
    assert [len(await scenario.mails(ticket, "stand_down")) for ticket in tickets] == [0, 0, 1]


@pytest.mark.rule("4.13")
async def test_reopening_after_a_breach_continues_at_the_next_tier(scenario: Scenario) -> None:
    ticket = await scenario.open_ticket(severity=1)
    await scenario.post_event(ticket, "responded")
    await scenario.advance_past(scenario.after(hours=24))
    await scenario.post_event(ticket, "resolved")
    await scenario.advance_to(scenario.after(hours=48))
    await scenario.post_event(ticket, "reopened")
    await scenario.advance_past(scenario.after(hours=48, minutes=59))
    assert tiers(await scenario.mails(ticket, "escalation")) == [1]
    await scenario.advance_past(scenario.after(hours=49))
    assert tiers(await scenario.mails(ticket, "escalation")) == [1, 2]
    assert len(await scenario.mails(ticket, "stand_down")) == 1
    await scenario.assert_consistent(ticket)


@pytest.mark.rule("3.15")
async def test_a_cancelled_ticket_sends_no_mail(scenario: Scenario) -> None:
    ticket = await scenario.open_ticket(severity=1)
    await scenario.advance_to(scenario.after(minutes=30))
    await scenario.post_event(ticket, "cancelled")
    await scenario.advance_past(scenario.after(hours=40))
    (timeline,) = await scenario.assert_consistent(ticket)
    assert {clock["outcome"] for clock in timeline["clocks"]} == {"cancelled"}
    assert await scenario.mails(ticket) == []
