"""Mails to Escalations@, from the mailbox to the people who are mailed."""

import pytest
from support.scenario import Scenario

TO = "Escalations@betterworldtech.com"
DESK = "maya.lindqvist@example.com"


def mail(subject: str, sender: str = "Ida <ida@acme.example>", text: str = "Please help.", **headers: str) -> bytes:
    lines = [f"From: {sender}", f"To: {TO}", f"Subject: {subject}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", text, ""]).encode()


@pytest.mark.rule("6.7", "6.9")
@pytest.mark.parametrize("subject", ["We have malware", "Onboarding of Jane", "Our contract"])
async def test_a_request_of_the_it_contact_reaches_the_service_delivery_team_and_nobody_of_the_ladder(
    scenario: Scenario, subject: str
) -> None:
    ticket = await scenario.ticket_of_mail(mail(subject))
    await scenario.advance_past(scenario.after(hours=2))
    (found,) = await scenario.mails(ticket)
    assert (found.kind, found.to) == ("escalation_request", DESK)
    assert (await scenario.get("escalator", f"/v1/escalations?ticket_id={ticket.id}"))["items"] == []


@pytest.mark.rule("6.9")
async def test_a_complaint_of_the_it_contact_starts_the_ladder(scenario: Scenario) -> None:
    ticket = await scenario.ticket_of_mail(mail("Complaint: still waiting for Jane's laptop"))
    await scenario.wait_until_idle()
    kinds = {found.kind: found for found in await scenario.mails(ticket)}
    assert kinds.keys() == {"escalation_request", "escalation"}
    assert (kinds["escalation"].tier, kinds["escalation"].reason) == (1, "explicit")


@pytest.mark.rule("6.8")
async def test_a_reply_of_the_it_contact_escalates_and_the_mail_says_who_asked_and_why(scenario: Scenario) -> None:
    message_id = f"<{scenario.start.timestamp()}@acme.example>"
    ticket = await scenario.ticket_of_mail(mail("Printer", Message_ID=message_id))
    await scenario.advance_past(scenario.after(minutes=10))
    words = "Nobody has called since Monday.\r\n\r\nOn Mon, 8 Jun 2026, Ruth wrote:\r\n> We will call you."
    answer = await scenario.deliver_mail(mail("Re: Printer", text=words, In_Reply_To=message_id))
    assert answer["detail"].endswith(" escalated")
    await scenario.wait_until_idle()
    (found,) = await scenario.mails(ticket, "escalation")
    assert "ida@acme.example" in found.text
    assert "Nobody has called since Monday." in found.text
    assert "We will call you." not in found.text.split("Nobody has called since Monday.")[1][:200]


@pytest.mark.rule("6.5", "6.6")
async def test_anybody_elses_mail_is_rerouted_and_its_sender_told_but_a_machine_is_not(scenario: Scenario) -> None:
    ticket = await scenario.ticket_of_mail(mail("We have malware", sender="Ada <ada@acme.example>"))
    away = await scenario.deliver_mail(mail("Away", sender="ada@acme.example", Auto_Submitted="auto-replied"))
    assert (away["state"], away["reason"]) == ("ignored", "auto_submitted")
    await scenario.wait_until_idle()
    (found,) = await scenario.mails(ticket)
    assert (found.kind, found.to) == ("rerouted", "ada@acme.example")
