"""Requests to Escalations@: the right ones reach the Service Delivery Team, the others are rerouted politely."""

import pytest
from support.scenario import Scenario

ONBOARDING = {
    "category": "onboarding",
    "via": "escalations",
    "sender_is_it_contact": True,
    "channel": "email",
    "description": "Jane Miller starts as an accountant.\nShe needs a laptop.",
}


@pytest.mark.rule("6.7")
async def test_a_request_to_escalations_is_mailed_to_the_service_delivery_team_at_once(scenario: Scenario) -> None:
    ticket = await scenario.open_ticket(severity=4, **ONBOARDING)
    await scenario.wait_until_idle()
    (mail,) = await scenario.mails(ticket)
    assert (mail.kind, mail.to) == ("escalation_request", "maya.lindqvist@example.com")
    assert "Description: Jane Miller starts as an accountant.\n             She needs a laptop.\n" in mail.text
    assert "Remarks:     start missing: ask the customer when the work is to start\n" in mail.text
    await scenario.assert_consistent(ticket)


@pytest.mark.rule("6.6", "6.7")
async def test_a_rerouted_sender_is_told_once_and_history_tells_nobody(scenario: Scenario) -> None:
    stranger = ONBOARDING | {"sender_is_it_contact": False}
    ticket = await scenario.open_ticket(severity=4, **stranger)
    requests = [
        scenario.ticket_request(4, **fields, opened_at="2026-01-05T12:00:00Z") for fields in (stranger, ONBOARDING)
    ]
    batch = {"tickets": [request | {"history": True} for request in requests]}
    results = (await scenario.post("/v1/tickets/batch", batch))["results"]
    history = [
        scenario.add_ticket(request, result["ticket"]) for request, result in zip(requests, results, strict=True)
    ]
    await scenario.post_event(ticket, "responded")
    await scenario.wait_until_idle()
    (mail,) = await scenario.mails(ticket)
    assert (mail.kind, mail.to, mail.headers["Auto-Submitted"]) == ("rerouted", "ada@acme.example", "auto-replied")
    assert mail.text.startswith("Your request is with our support team\n\nDear Ada Byron,\n")
    assert [await scenario.mails(other) for other in history] == [[], []]
    await scenario.assert_consistent(ticket)
