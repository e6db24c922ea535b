"""Who is notified, and what happens when a fact arrives late and a breach turns out not to have been one."""

from datetime import timedelta

import pytest
from support.inbox import tiers
from support.scenario import Scenario
from tocsin.instants import render_instant

OTHER_CUSTOMER = {"id": "globex", "name": "Globex"}


@pytest.mark.rule("4.17", "4.18", "5.24")
async def test_a_resolution_reported_after_tier_2_stands_everyone_down(scenario: Scenario) -> None:
    ticket = await scenario.open_ticket(severity=1)
    await scenario.post_event(ticket, "responded")
    await scenario.advance_stepwise_past(scenario.after(hours=25))
    escalations = await scenario.mails(ticket, "escalation")
    assert tiers(escalations) == [1, 2]
    await scenario.post_event(ticket, "resolved", at=scenario.after(hours=23))
    await scenario.wait_until_idle()
    stand_downs = await scenario.mails(ticket, "stand_down")
    assert sorted(mail.to for mail in stand_downs) == sorted(mail.to for mail in escalations)
    timeline = await scenario.clocks(ticket)
    assert timeline["clocks"][1]["outcome"] == "met"
    assert timeline["clocks"][1]["voided"] is True
    assert timeline["ladder"] == []
    assert (await scenario.escalation(ticket))["end_reason"] == "voided"
    assert {delivery["state"] for delivery in await scenario.deliveries(ticket)} == {"sent"}


@pytest.mark.rule("4.17", "4.19")
async def test_a_pause_reported_late_voids_a_breach_and_the_moved_deadline_starts_a_new_run(
    scenario: Scenario,
) -> None:
    ticket = await scenario.open_ticket(severity=1)
    await scenario.post_event(ticket, "responded")
    deadline = scenario.after(hours=24)
    await scenario.advance_stepwise_past(deadline)
    assert tiers(await scenario.mails(ticket, "escalation")) == [1]
    await scenario.advance_to(deadline + timedelta(minutes=5))
    await scenario.post_event(ticket, "paused", at=deadline - timedelta(minutes=30))
    await scenario.post_event(ticket, "resumed", at=deadline - timedelta(minutes=15))
    await scenario.wait_until_idle()
    assert len(await scenario.mails(ticket, "stand_down")) == 1
    assert (await scenario.clocks(ticket))["ladder"] == []
    moved_deadline = deadline + timedelta(minutes=15)
    await scenario.advance_stepwise_past(moved_deadline)
    first, second = await scenario.mails(ticket, "escalation")
    assert (first.run, second.run) == (1, 2)
    assert second.scheduled_at == render_instant(moved_deadline)
    assert [step["at"] for step in (await scenario.clocks(ticket))["ladder"]] == [second.scheduled_at]
    escalation = await scenario.escalation(ticket)
    assert (escalation["run"], [step["at"] for step in escalation["told"]]) == (2, [second.scheduled_at])


@pytest.mark.rule("5.13", "5.14")
async def test_someone_escalates_before_and_after_a_breach(scenario: Scenario) -> None:
    before = await scenario.open_ticket(severity=1)
    after = await scenario.open_ticket(severity=1)
    await scenario.post_event(before, "responded")
    await scenario.post_event(after, "responded")
    await scenario.advance_stepwise_past(scenario.after(hours=23))
    await scenario.advance_to(scenario.after(hours=23, minutes=30))
    await scenario.post_event(before, "escalated", reason="the customer calls every five minutes")
    await scenario.advance_stepwise_past(scenario.after(hours=24))
    await scenario.advance_to(scenario.after(hours=24, minutes=20))
    await scenario.post_event(after, "escalated")
    await scenario.advance_stepwise_past(scenario.after(hours=25, minutes=20))
    await scenario.assert_consistent(before, after)
    reasons = [mail.reason for mail in await scenario.mails(after, "escalation")]
    assert reasons == ["resolution_breached", "explicit", "resolution_breached"]
    assert {mail.reason for mail in await scenario.mails(before, "escalation")} == {"explicit"}


@pytest.mark.rule("5.19")
async def test_a_vacant_tier_is_skipped_and_recorded_as_skipped(scenario: Scenario) -> None:
    ticket = await scenario.open_ticket(severity=1)
    await scenario.advance_stepwise_past(scenario.after(hours=25))
    scenario.directory.vacate("senior_it_operations_manager")
    scenario.directory.vacate("it_operations_director")
    await scenario.advance_stepwise_past(scenario.after(hours=26))
    assert tiers(await scenario.mails(ticket, "escalation")) == [1, 4]
    escalation = await scenario.escalation(ticket)
    assert [(step["tier"], step["skipped"]) for step in escalation["told"]] == [(1, []), (4, [2, 3])]
    await scenario.advance_stepwise_past(scenario.after(hours=29))
    assert tiers(await scenario.mails(ticket, "escalation")) == [1, 4, 5, 6]
    escalation = await scenario.escalation(ticket)
    assert (escalation["state"], escalation["exhausted"]) == ("exhausted", "vacant")
    mailed = [(mail.scheduled_at, mail.reason) for mail in await scenario.mails(ticket, "escalation")]
    assert mailed == [(step["at"], step["reason"]) for step in (await scenario.clocks(ticket))["ladder"][:4]]


@pytest.mark.rule("5.17")
async def test_a_customer_with_its_own_account_manager_and_one_with_the_default(scenario: Scenario) -> None:
    globex_manager = scenario.directory.appoint("account_manager", "ines.moreau", customer="globex")
    acme = await scenario.open_ticket(severity=1)
    globex = await scenario.open_ticket(severity=1, customer=OTHER_CUSTOMER)
    await scenario.advance_stepwise_past(scenario.after(hours=28))
    await scenario.assert_consistent(acme, globex)
    acme_mails, globex_mails = [await scenario.mails(ticket, "escalation") for ticket in (acme, globex)]
    assert [mail.to for mail in acme_mails[:3]] == [mail.to for mail in globex_mails[:3]]
    assert (acme_mails[3].to, globex_mails[3].to) == (scenario.directory.email("noor.haddad"), globex_manager)
    rules = [(await scenario.deliveries(ticket))[-1]["rule"] for ticket in (acme, globex)]
    assert rules == ["default", "customer globex"]


@pytest.mark.rule("5.3", "6.1")
async def test_a_mail_without_an_answer_breaches_the_answer_clock_and_starts_no_escalation(scenario: Scenario) -> None:
    unanswered = await scenario.open_ticket(severity=4, channel="email")
    answered = await scenario.open_ticket(severity=4, channel="email")
    deadline = scenario.after(hours=24)
    await scenario.advance_stepwise_past(deadline - timedelta(microseconds=2))
    await scenario.advance_to(deadline)
    await scenario.post_event(answered, "responded")
    await scenario.advance_stepwise_past(deadline)
    (missed,) = await scenario.mails(unanswered, "answer_missed")
    assert (missed.scheduled_at, missed.headers["Tocsin-Clock"]) == (render_instant(deadline), "answer")
    assert await scenario.mails(answered, "answer_missed") == []
    assert await scenario.mails(unanswered, "escalation") == []
    timelines = await scenario.assert_consistent(unanswered, answered)
    outcomes = [clock["outcome"] for each in timelines for clock in each["clocks"] if clock["clock"] == "answer"]
    assert outcomes == ["breached", "met"]


@pytest.mark.rule("5.16")
async def test_a_mishandled_request_notifies_the_team_lead_at_once(scenario: Scenario) -> None:
    ticket = await scenario.open_ticket(
        severity=3, category="mishandled_request", via="escalations", sender_is_it_contact=True
    )
    await scenario.wait_until_idle()
    assert [mail.reason for mail in await scenario.mails(ticket, "escalation")] == ["explicit"]
    await scenario.assert_consistent(ticket)


@pytest.mark.rule("4.24")
async def test_imported_history_has_a_timeline_but_sends_no_mail(scenario: Scenario) -> None:
    opened_at = scenario.start - timedelta(days=400)
    request = scenario.ticket_request(severity=1, opened_at=render_instant(opened_at), history=True)
    events = [
        {"type": kind, "occurred_at": render_instant(opened_at + timedelta(hours=hours)), "actor": "ada"}
        for kind, hours in (("responded", 3), ("resolved", 40))
    ]
    response = await scenario.post("/v1/tickets/batch", {"tickets": [request | {"events": events}]})
    (result,) = response["results"]
    assert result["status"] == 201, result
    ticket = scenario.add_ticket(request, result["ticket"])
    ticket.facts += events
    await scenario.wait_until_idle()
    timeline = await scenario.clocks(ticket)
    assert [(clock["outcome"], clock["historic"]) for clock in timeline["clocks"]] == [("breached", True)] * 2
    assert len(timeline["ladder"]) == 6
    assert await scenario.deliveries(ticket) == []
    assert await scenario.mails(ticket) == []
