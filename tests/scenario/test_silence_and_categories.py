"""Silence, automatic receipts, work that starts at a stated instant, and projects, through all services."""

from datetime import datetime
from urllib.parse import urlencode

import pytest
from support.consistency import Json
from support.inbox import tiers
from support.scenario import Scenario
from support.stories import clock
from tocsin.instants import render_instant


async def outcomes(scenario: Scenario, customer: str, until: datetime) -> dict[str, tuple[int, int]]:
    """(met, breached) by clock in the compliance report for this scenario."""
    query = {"from": render_instant(scenario.start), "to": render_instant(until), "group_by": "customer"}
    report = await scenario.get("sla-timer", f"/v1/compliance?{urlencode(query)}")
    return {one["clock"]: (one["met"], one["breached"]) for one in report["items"] if one["customer"] == customer}


def customer(name: str) -> Json:
    return {"customer": {"id": name, "name": name}}


@pytest.mark.rule("3.12", "3.13", "6.3")
async def test_a_silent_ticket_that_climbs_and_is_resolved_counts_as_breached(scenario: Scenario) -> None:
    ticket = await scenario.open_ticket(severity=1, **customer("silent"))
    await scenario.advance_stepwise_past(scenario.after(hours=27))
    assert tiers(await scenario.mails(ticket, "escalation")) == [1, 2, 3]
    assert await outcomes(scenario, "silent", scenario.after(hours=30)) == {"response": (0, 1)}
    await scenario.advance_to(scenario.after(hours=27, minutes=30))
    await scenario.post_event(ticket, "resolved")
    await scenario.advance_past(scenario.after(hours=29))
    (timeline,) = await scenario.assert_consistent(ticket)
    resolution = clock(timeline, "resolution")
    assert (resolution["outcome"], resolution["breached_at"]) == (
        "breached",
        render_instant(scenario.after(hours=27, minutes=30)),
    )
    assert await outcomes(scenario, "silent", scenario.after(hours=30)) == {"response": (0, 1), "resolution": (0, 1)}
    assert tiers(await scenario.mails(ticket, "escalation")) == [1, 2, 3]
    assert len(await scenario.mails(ticket, "stand_down")) == 3


@pytest.mark.rule("3.16", "3.17")
async def test_an_onboarding_for_next_month_is_due_when_it_starts_and_climbs_no_earlier(scenario: Scenario) -> None:
    starts_at = scenario.after(days=30)
    ticket = await scenario.open_ticket(
        severity=4, category="onboarding", starts_at=render_instant(starts_at), **customer("joiners")
    )
    await scenario.post_event(ticket, "responded")
    await scenario.advance_stepwise_past(scenario.after(days=28))
    assert await scenario.mails(ticket) == []  # by target it would have been due after 7 business days
    await scenario.advance_stepwise_past(scenario.after(days=29))
    assert [mail.kind for mail in await scenario.mails(ticket)] == ["warning"]
    await scenario.advance_stepwise_past(starts_at)
    (timeline,) = await scenario.assert_consistent(ticket)
    resolution = clock(timeline, "resolution")
    assert (resolution["warn_at"], resolution["due_at"]) == (
        render_instant(scenario.after(days=29)),
        render_instant(starts_at),
    )
    assert resolution["breached_at"] == render_instant(starts_at)
    assert tiers(await scenario.mails(ticket, "escalation")) == [1]


@pytest.mark.rule("3.16", "3.18")
async def test_a_project_has_no_resolution_clock_and_climbs_only_when_somebody_asks(scenario: Scenario) -> None:
    ticket = await scenario.open_ticket(severity=1, category="project", **customer("builders"))
    await scenario.advance_stepwise_past(scenario.after(days=3))
    (timeline,) = await scenario.assert_consistent(ticket)
    assert [one["clock"] for one in timeline["clocks"]] == ["response"]
    assert await scenario.mails(ticket, "escalation") == []
    await scenario.post_event(ticket, "escalated", reason="The board meets today")
    await scenario.advance_stepwise_past(scenario.after(days=3, hours=1, minutes=30))
    assert tiers(await scenario.mails(ticket, "escalation")) == [1, 2]
    await scenario.post_event(ticket, "resolved")
    await scenario.advance_past(scenario.after(days=3, hours=2))
    await scenario.assert_consistent(ticket)
    assert await outcomes(scenario, "builders", scenario.after(days=4)) == {"response": (0, 1)}


@pytest.mark.rule("3.6")
async def test_an_automatic_receipt_does_not_meet_the_response_clock(scenario: Scenario) -> None:
    ticket = await scenario.open_ticket(severity=1)
    receipt = {"type": "responded", "actor": "autoresponder"}
    await scenario.post(f"/v1/tickets/{ticket.id}/events", receipt)
    await scenario.advance_past(scenario.after(hours=1))
    timeline = await scenario.get("sla-timer", f"/v1/tickets/{ticket.id}/clocks")
    assert clock(timeline, "response")["outcome"] == "breached"
    assert len(await scenario.mails(ticket, "response_missed")) == 1
