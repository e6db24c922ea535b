"""Conversations by mail: who wrote, which ticket a mail belongs to, and mails with the same Message-ID."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.inbound_mails import INTEGRATIONS, MAILS, SECRET, deliver, facts, mail, ticket_of, tickets
from support.intake_world import IntakeWorld, event, ticket, world
from support.servers import MakeDatabase

WITH_DEFAULT = INTEGRATIONS.replace("    customers:", "    customer: { id: house, name: Strangers }\n    customers:", 1)
SUPPORT = "support@betterworldtech.com"
GROUP = {"List_ID": "<support.betterworldtech.com>", "Precedence": "list"}
SAM = "Sam Orr <sam@betterworldtech.com>"


@pytest.fixture
async def intake(
    make_database: MakeDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[IntakeWorld]:
    monkeypatch.setenv("TOCSIN_HOOK_EMAIL", SECRET)
    (tmp_path / "integrations.yaml").write_text(WITH_DEFAULT)
    async with world(make_database("intake"), tmp_path) as made:
        yield made


async def pause(intake: IntakeWorld, key: str) -> None:
    await intake.post(f"/v1/tickets/{key}/events", event("paused"), 201)


@pytest.mark.rule("6.18", "6.24")
async def test_a_customer_who_writes_through_our_group_is_the_customer(intake: IntakeWorld) -> None:
    key = ticket_of(await deliver(intake, mail(Message_ID="<phones.1@acme.example>")), "opened")
    assert ticket_of(await deliver(intake, MAILS["google_group"]), "noted") == key
    assert await facts(intake, key) == ["opened"]
    await pause(intake, key)
    again = MAILS["google_group"].replace(b"Message-ID: <", b"Message-ID: <again.").replace(b"Still", b"Once more:")
    assert ticket_of(await deliver(intake, again), "happened") == key
    resumed = (await intake.get(f"/v1/tickets/{key}"))["facts"][-1]
    assert (resumed["type"], resumed["actor"]) == ("resumed", "ada@acme.example")
    ours = mail(
        f"'Sam Orr' via Support <{SUPPORT}>",
        "ada@acme.example",
        **GROUP,
        X_Original_From=SAM,
        In_Reply_To="<phones.1@acme.example>",
        Message_ID="<ours@betterworldtech.com>",
    )
    await deliver(intake, ours)
    assert await facts(intake, key) == ["opened", "paused", "resumed", "responded"]


@pytest.mark.rule("6.24")
async def test_a_hidden_author_is_found_only_by_the_name_of_the_contact(intake: IntakeWorld) -> None:
    first = await deliver(intake, mail("Eve Stone <eve@home.example>", Message_ID="<eve.1@home.example>"))
    key = ticket_of(first, "opened")
    await pause(intake, key)

    def hidden(name: str, **headers: str) -> bytes:
        return mail(f"'{name}' via Support <{SUPPORT}>", f"{SUPPORT}, zoe@home.example", **GROUP, **headers)

    zoe = hidden("Zoe Hart", In_Reply_To="<eve.1@home.example>", Message_ID="<zoe@home.example>")
    assert ticket_of(await deliver(intake, zoe), "noted") == key
    eve = hidden("Stone Eve", In_Reply_To="<eve.1@home.example>", Message_ID="<eve.2@home.example>")
    assert ticket_of(await deliver(intake, eve), "happened") == key
    assert await facts(intake, key) == ["opened", "paused", "resumed"]
    other = ticket_of(await deliver(intake, hidden("Zoe Hart", Message_ID="<zoe.2@home.example>")), "opened")
    found = await intake.get(f"/v1/tickets/{other}")
    assert (found["customer"]["id"], found["contact"]["name"]) == ("house", "Zoe Hart")
    assert {"contact_unusable", "default_customer"} <= set(found["flags"])
    intake.integrations.write_text(INTEGRATIONS)
    unmapped = await deliver(intake, hidden("Zoe Hart", Message_ID="<zoe.3@home.example>"))
    assert (unmapped["reason"], "X-Original-From" in unmapped["detail"]) == ("missing_customer", True)


@pytest.mark.rule("6.16", "6.17", "6.18", "6.25", "6.26")
async def test_the_contact_of_an_unlisted_domain_is_the_customer_in_her_own_thread(intake: IntakeWorld) -> None:
    eve = "Eve Stone <eve@freemail.example>"
    # Message-IDs with and without brackets are the same.
    key = ticket_of(await deliver(intake, mail(eve, Message_ID="f05a.1@freemail.example")), "opened")

    def ours(number: int, to: str) -> bytes:
        ids = {"In_Reply_To": "<f05a.1@freemail.example>", "Message_ID": f"<ours{number}@betterworldtech.com>"}
        return mail(SAM, f"{to}, {SUPPORT}", **ids)

    assert ticket_of(await deliver(intake, ours(1, "friend@freemail.example")), "noted") == key
    assert ticket_of(await deliver(intake, ours(2, eve)), "happened") == key
    await pause(intake, key)
    stranger = mail(
        "Bo <bo@freemail.example>", In_Reply_To="<ours2@betterworldtech.com>", Message_ID="<bo@freemail.example>"
    )
    assert ticket_of(await deliver(intake, stranger), "opened") != key
    answer = mail(eve, In_Reply_To="ours2@betterworldtech.com", Message_ID="<f05a.2@freemail.example>")
    assert ticket_of(await deliver(intake, answer), "happened") == key
    await intake.post(f"/v1/tickets/{key}/events", event("resolved"), 201)
    thanks = mail(eve, References="<f05a.1@freemail.example>", Message_ID="<f05a.3@freemail.example>")
    assert ticket_of(await deliver(intake, thanks), "happened") == key
    assert await facts(intake, key) == ["opened", "responded", "paused", "resumed", "resolved", "reopened"]


@pytest.mark.rule("6.25")
async def test_the_contact_of_a_ticket_of_any_tool_answers_by_its_id_in_the_subject(intake: IntakeWorld) -> None:
    posted = ticket("4711", source="phone", contact={"name": "Eve", "email": "Eve@Freemail.example"})
    key = (await intake.post("/v1/tickets", posted, 201))["ticket_id"]
    subject = "Re: [Ticket #4711] Log in"
    ours = mail(SAM, "bo@freemail.example, eve@freemail.example", Subject=subject, Message_ID="<o@betterworldtech.com>")
    assert ticket_of(await deliver(intake, ours), "happened") == key
    await pause(intake, key)
    for sender in ("bo@freemail.example", "ada@acme.example"):
        other = mail(sender, Subject=subject, Message_ID=f"<{sender}>")
        assert ticket_of(await deliver(intake, other), "opened") != key
    assert ticket_of(await deliver(intake, mail("eve@freemail.example", Subject=subject)), "happened") == key
    assert await facts(intake, key) == ["opened", "responded", "paused", "resumed"]


@pytest.mark.rule("6.26")
async def test_a_message_id_that_is_used_again_is_another_mail(intake: IntakeWorld) -> None:
    def alarm(text: str, sender: str = "printer@acme.example", **headers: str) -> bytes:
        return mail(sender, Subject="Alarm", Message_ID="<alarm@acme.example>", **headers) + text.encode()

    first = ticket_of(await deliver(intake, alarm("Toner")), "opened")
    raced = [alarm("Paper", Delivered_To=f"box{number}@betterworldtech.com") for number in range(4)]
    answers = await asyncio.gather(*(deliver(intake, raw) for raw in raced))
    (second,) = {answer["detail"].split()[1] for answer in answers}
    third = ticket_of(await deliver(intake, alarm("Toner", "scanner@acme.example")), "opened")
    assert len({first, second, third}) == 3
    names = {(await intake.get(f"/v1/tickets/{key}"))["external_id"] for key in (first, second, third)}
    assert len(names) == 3
    group = f"'Printer' via Support <{SUPPORT}>"
    through_list = alarm("Paper\r\n____\r\nSupport mailing list", group, **GROUP, Reply_To="printer@acme.example")
    assert ticket_of(await deliver(intake, through_list), "duplicate") == second
    assert ticket_of(await deliver(intake, alarm("Paper\r\n-- \r\nScanned.")), "duplicate") == second
    assert ticket_of(await deliver(intake, alarm("Toner", group, **GROUP)), "duplicate") in (first, third)
    reply = {"In_Reply_To": "<alarm@acme.example>", "Message_ID": "<ours@betterworldtech.com>"}
    assert ticket_of(await deliver(intake, mail(SAM, "printer@acme.example", **reply)), "happened") == second
    assert len(await tickets(intake)) == 3
    # The last mail with that id is a stranger's, but our reply goes to the customer.
    ticket_of(await deliver(intake, alarm("Toner", "eve@elsewhere.example")), "opened")
    reply["Message_ID"] = "<again@betterworldtech.com>"
    assert ticket_of(await deliver(intake, mail(SAM, "printer@acme.example", **reply)), "noted") == second
