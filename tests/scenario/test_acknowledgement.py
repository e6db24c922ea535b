"""Someone on call follows the link in a mail: the next tier waits, and escalation continues afterwards."""

import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import httpx
import pytest
from support.inbox import ReceivedMail, tiers
from support.scenario import Scenario
from tocsin.instants import display_instant, render_instant

NEW_YORK = ZoneInfo("America/New_York")
LINK = re.compile(r"http://127\.0\.0\.1:\d+/ack/[\w.-]+")


def link_in(mail: ReceivedMail) -> str:
    (link,) = set(LINK.findall(mail.text))
    return str(link)


def shown(instant: str) -> str:
    return display_instant(datetime.fromisoformat(instant), NEW_YORK)


@pytest.mark.rule("5.7", "5.28", "5.29", "5.30")
async def test_the_link_in_a_mail_delays_the_next_tier(scenario: Scenario) -> None:
    ticket = await scenario.open_ticket(severity=1)
    breach = scenario.after(hours=25)  # no response within 1 h, then 24 h
    await scenario.advance_past(breach + timedelta(minutes=50))
    (first,) = await scenario.mails(ticket, "escalation")
    async with httpx.AsyncClient() as phone:
        for _ in range(2):  # a mail scanner, then a person
            page = await phone.get(link_in(first))
            assert page.status_code == 200
            assert "<button>Acknowledge</button>" in page.text
        responses = [await phone.post(link_in(first), headers={"Accept": "application/json"}) for _ in range(2)]
    assert [response.json()["state"] for response in responses] == ["acknowledged", "acknowledged"]
    acknowledged_at = responses[0].json()["acknowledged_at"]
    ticket.facts.append({"type": "acknowledged", "occurred_at": acknowledged_at})
    await scenario.advance_past(breach + timedelta(hours=1))  # tier 2's time, had no one acknowledged
    assert tiers(await scenario.mails(ticket, "escalation")) == [1]
    held_until = datetime.fromisoformat(acknowledged_at) + timedelta(hours=1)
    await scenario.advance_past(held_until)
    _, second = await scenario.mails(ticket, "escalation")
    assert second.tier == 2
    assert f"Held:        acknowledged by Maya Lindqvist at {shown(acknowledged_at)}, " in second.text
    assert f"held until {shown(render_instant(held_until))}\n" in second.text
    assert "on call then: Ruth Adeyemi, +1 212 555 0103\n" in second.text
    async with httpx.AsyncClient() as phone:
        second_page = (await phone.get(link_in(second))).text
    assert "tier 1, Service Desk Team Lead: Maya Lindqvist, at " in second_page
    assert f"by maya.lindqvist at {shown(acknowledged_at)}" in second_page
    (escalation,) = (await scenario.get("escalator", f"/v1/escalations?ticket_id={ticket.id}"))["items"]
    assert escalation["acknowledgements"] == [
        {"at": acknowledged_at, "by": "maya.lindqvist", "held_until": render_instant(held_until)}
    ]
    await scenario.post_event(ticket, "resolved")
    await scenario.wait_until_idle()
    async with httpx.AsyncClient() as phone:
        page = await phone.get(link_in(first))
    assert (page.status_code, "Nothing to acknowledge" in page.text) == (409, True)
    await scenario.assert_consistent(ticket)


@pytest.mark.rule("5.30")
async def test_the_mail_of_an_explicit_escalation_says_who_requested_it_and_why(scenario: Scenario) -> None:
    ticket = await scenario.open_ticket(severity=2)
    await scenario.post_event(ticket, "escalated", reason="The customer called the board.")
    await scenario.advance_past(scenario.now + timedelta(hours=2))
    mails = await scenario.mails(ticket, "escalation")
    assert len(mails) == 2, "the step that the escalation took, and the next one of its ladder"
    assert all("Requested:   by ada: The customer called the board.\n" in mail.text for mail in mails)
    await scenario.assert_consistent(ticket)
