"""Many warnings at once, and an automatic receipt, through all services."""

from collections import Counter

import pytest
from support.scenario import Scenario
from support.stories import clock

STORM = {"customer": {"id": "storm", "name": "Storm"}}
TICKETS = 40
SINGLES = 5


@pytest.mark.rule("5.31")
async def test_a_storm_of_warnings_is_a_few_mails_that_name_each_ticket_once(scenario: Scenario) -> None:
    requests = [scenario.ticket_request(severity=3, **STORM) for _ in range(TICKETS)]
    results = (await scenario.post("/v1/tickets/batch", {"tickets": requests}))["results"]
    tickets = [scenario.add_ticket(each, result["ticket"]) for each, result in zip(requests, results, strict=True)]
    await scenario.advance_past(scenario.after(hours=6))
    urgent = await scenario.open_ticket(severity=1, **STORM)
    await scenario.advance_past(scenario.after(hours=6, minutes=50))

    mails = await scenario.mails_by_ticket()
    kinds = Counter(mail.kind for ticket in tickets for mail in mails[ticket.id])
    assert kinds["warning"] <= SINGLES, "further mails to this person may have been sent in the last minute"
    assert kinds["warning"] + kinds["digest"] == TICKETS
    assert [mail.kind for mail in mails[urgent.id]] == ["warning"]
    for ticket in tickets:
        (delivery,) = await scenario.deliveries(ticket)
        (mail,) = mails[ticket.id]
        assert (delivery["kind"], delivery["state"]) == ("warning", "sent")
        assert delivery["in_digest"] == (mail.kind == "digest")


@pytest.mark.rule("3.6")
async def test_an_automatic_receipt_does_not_meet_the_response_clock(scenario: Scenario) -> None:
    ticket = await scenario.open_ticket(severity=1, **STORM)
    receipt = {"type": "responded", "actor": "autoresponder"}
    await scenario.post(f"/v1/tickets/{ticket.id}/events", receipt)
    await scenario.advance_past(scenario.after(hours=1))
    timeline = await scenario.get("sla-timer", f"/v1/tickets/{ticket.id}/clocks")
    assert clock(timeline, "response")["outcome"] == "breached"
    assert len(await scenario.mails(ticket, "response_missed")) == 1
