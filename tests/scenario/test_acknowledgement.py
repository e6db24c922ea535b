"""Someone on call follows the link in a mail: the next tier waits, and escalation continues afterwards."""

import re
from datetime import datetime, timedelta

import httpx
import pytest
from support.inbox import ReceivedMail, tiers
from support.scenario import Scenario

LINK = re.compile(r"http://127\.0\.0\.1:\d+/ack/[\w.-]+")


def link_in(mail: ReceivedMail) -> str:
    (link,) = set(LINK.findall(mail.text))
    return str(link)


@pytest.mark.rule("5.7", "5.28")
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
    await scenario.advance_past(datetime.fromisoformat(acknowledged_at) + timedelta(hours=1))
    assert tiers(await scenario.mails(ticket, "escalation")) == [1, 2]
    await scenario.post_event(ticket, "resolved")
    await scenario.wait_until_idle()
    async with httpx.AsyncClient() as phone:
        page = await phone.get(link_in(first))
    assert (page.status_code, "Nothing to acknowledge" in page.text) == (409, True)
    await scenario.assert_consistent(ticket)
