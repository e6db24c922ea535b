"""Mails to the two mailboxes over HTTP and by command: new tickets, replies, and mails without effect."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from intake.commands.app import app
from intake.domain.mail import MAX_MAIL_BYTES, IgnoredReason
from intake.store import tables
from sqlalchemy import func, select
from support.inbound_mails import INTEGRATIONS, MAILS, SECRET, SHIPPED_RULES, deliver, facts, mail, ticket_of, tickets
from support.intake_world import ROOT, IntakeWorld, command_environment, event, ticket, world
from support.search_budget import tries
from support.servers import MakeDatabase
from support.webhook_client import make_due
from tocsin.events import TicketOpened
from typer.testing import CliRunner


@pytest.fixture
async def intake(
    make_database: MakeDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[IntakeWorld]:
    monkeypatch.setenv("TOCSIN_HOOK_EMAIL", SECRET)
    (tmp_path / "integrations.yaml").write_text(INTEGRATIONS + SHIPPED_RULES)
    async with world(make_database("intake"), tmp_path) as made:
        yield made


async def test_a_mail_opens_a_ticket(intake: IntakeWorld) -> None:
    key = ticket_of(await deliver(intake, MAILS["outlook"]), "opened")
    found = await intake.get(f"/v1/tickets/{key}")
    assert (found["summary"], found["channel"], found["source"]) == ("Mail is down for everybody", "email", "email")
    assert found["contact"] == {"name": "Byron, Ada", "email": "ada.byron@acme.example", "phone": None}
    assert found["customer"] == {"id": "acme", "name": "Acme"}
    assert (found["severity"], found["flags"]) == (3, ["default_severity", "default_services"])
    assert found["opened_at"] >= "2026-06-08T12:00:00"  # the receipt, not its Date
    assert "Attached: image001.png" in found["description"]
    assert found["facts"][0]["actor"] == "ada.byron@acme.example"


@pytest.mark.rule("3.6", "6.18")
async def test_our_reply_is_the_response_although_an_automatic_receipt_was_posted(intake: IntakeWorld) -> None:
    key = ticket_of(await deliver(intake, mail(Message_ID="<1@acme.example>")), "opened")
    await intake.post(f"/v1/tickets/{key}/events", event("responded", actor="Workflow"), 201)
    reply = mail("Maya <maya@betterworldtech.com>", "ada@acme.example", In_Reply_To="<1@acme.example>")
    await deliver(intake, reply)
    await deliver(intake, reply.replace(b"It is broken.", b"Once more."))
    assert await facts(intake, key) == ["opened", "responded", "responded"]


@pytest.mark.rule("6.14")
async def test_a_copy_of_a_mail_counts_once(intake: IntakeWorld) -> None:
    first = ticket_of(await deliver(intake, MAILS["outlook"]), "opened")
    assert (await deliver(intake, MAILS["outlook"]))["state"] == "duplicate"
    copy = b"Delivered-To: escalations@betterworldtech.com\r\n" + MAILS["outlook"]
    assert ticket_of(await deliver(intake, copy), "duplicate") == first
    raced = [mail(Message_ID="<race@acme.example>", Delivered_To=f"box{n}@betterworldtech.com") for n in range(6)]
    answers = await asyncio.gather(*(deliver(intake, raw) for raw in raced))
    assert len({answer["detail"].split()[1] for answer in answers}) == 1
    assert len(await tickets(intake)) == 2


async def test_all_mails_of_a_conversation_belong_to_its_ticket(intake: IntakeWorld) -> None:
    key = ticket_of(await deliver(intake, MAILS["outlook"]), "opened")
    first = "<AM0PR01MB1234A1B2C3D4E5F6@AM0PR01MB1234.eurprd01.prod.exchangelabs.com>"
    ours = mail(
        "Ruth <ruth@betterworldtech.com>",
        "ada.byron@acme.example",
        Cc="support@betterworldtech.com",
        In_Reply_To=first,
        Message_ID="<20260608131500.4711@desk.betterworldtech.com>",
    )
    assert ticket_of(await deliver(intake, ours), "happened") == key
    await intake.post(f"/v1/tickets/{key}/events", event("paused"), 201)
    # Its In-Reply-To names our reply.
    assert ticket_of(await deliver(intake, MAILS["gmail_reply"]), "happened") == key
    assert await facts(intake, key) == ["opened", "responded", "paused", "resumed"]
    await intake.post(f"/v1/tickets/{key}/events", event("resolved"), 201)
    again = mail(In_Reply_To="<CAJx9gPd7kQ=ZrT3@mail.gmail.com>", Message_ID="<again@acme.example>")
    assert ticket_of(await deliver(intake, again), "happened") == key
    thanks = mail(In_Reply_To="<again@acme.example>", Message_ID="<thanks@acme.example>")
    assert ticket_of(await deliver(intake, thanks), "noted") == key
    assert (await facts(intake, key))[-2:] == ["resolved", "reopened"]
    assert len(await tickets(intake)) == 1


@pytest.mark.rule("6.19")
async def test_a_mail_that_arrives_after_a_reply_to_it_joins_the_ticket(intake: IntakeWorld) -> None:
    answer = mail(In_Reply_To="<b@acme.example>", References="<a@acme.example> <b@acme.example>", Message_ID="<c@acme>")
    key = ticket_of(await deliver(intake, answer), "opened")
    opened_at = (await intake.get(f"/v1/tickets/{key}"))["opened_at"]
    ours = mail(
        "ruth@betterworldtech.com", "ada@acme.example", References="<a@acme.example>", Message_ID="<b@acme.example>"
    )
    assert (
        ticket_of(await deliver(intake, ours), "noted") == key
    )  # it was written before the mail that opened the ticket
    assert ticket_of(await deliver(intake, mail(Message_ID="<a@acme.example>")), "noted") == key
    assert ticket_of(await deliver(intake, mail(In_Reply_To="<a@acme.example>", Message_ID="<d@acme>")), "noted") == key
    assert await facts(intake, key) == ["opened"]
    assert (await intake.get(f"/v1/tickets/{key}"))["opened_at"] == opened_at
    stranger = mail("eve@elsewhere.example", In_Reply_To="<q@acme.example>", Message_ID="<eve@elsewhere.example>")
    house = ticket_of(await deliver(intake, stranger, tenant="other"), "opened")
    theirs = mail(Message_ID="<q@acme.example>")
    assert ticket_of(await deliver(intake, theirs, tenant="other"), "opened") != house


async def test_concurrent_mails_of_one_conversation_open_one_ticket(intake: IntakeWorld) -> None:
    raws = [
        raw
        for n in range(5)
        for raw in (
            mail(Message_ID=f"<q{n}@acme.example>"),
            mail(In_Reply_To=f"<q{n}@acme.example>", Message_ID=f"<a{n}@acme.example>"),
        )
    ]
    await asyncio.gather(*(deliver(intake, raw) for raw in raws))
    assert len(await tickets(intake)) == 5


@pytest.mark.rule("6.19")
async def test_our_reply_waits_for_the_original_mail(intake: IntakeWorld) -> None:
    def ours(number: int) -> bytes:
        question, answer = f"<q{number}@acme.example>", f"<a{number}@betterworldtech.com>"
        return mail("ruth@betterworldtech.com", "ada@acme.example", In_Reply_To=question, Message_ID=answer)

    async def again() -> None:
        await make_due(intake)
        await intake.webhook_worker.retry()

    assert (await deliver(intake, ours(1), 202))["state"] == "waiting"
    assert await tickets(intake) == []
    key = ticket_of(await deliver(intake, mail(Message_ID="<q1@acme.example>")), "opened")
    await again()
    assert await facts(intake, key) == ["opened", "responded"]

    await deliver(intake, ours(2), 202)
    for _ in range(10):
        await again()
    (listed,) = (await intake.get("/v1/hooks/unmapped"))["items"]
    assert (listed["provider"], listed["reason"]) == ("email", "missing_opening")
    key = ticket_of(await deliver(intake, mail(Message_ID="<q2@acme.example>")), "opened")
    assert ticket_of(await intake.post(f"/v1/hooks/unmapped/{listed['id']}/replay", None, 200), "happened") == key
    forwarded = mail("ruth@betterworldtech.com", References="<q3@acme.example>", Message_ID="<f@betterworldtech.com>")
    assert (await deliver(intake, forwarded))["reason"] == "missing_customer"  # a request


async def test_an_id_in_the_subject_leads_to_a_ticket_of_the_same_customer_only(intake: IntakeWorld) -> None:
    psa = await intake.post("/v1/tickets", ticket("SR-1042"), 201)
    await intake.post(f"/v1/tickets/{psa['ticket_id']}/events", event("paused"), 201)
    assert ticket_of(await deliver(intake, MAILS["html_only"]), "happened") == psa["ticket_id"]
    assert await facts(intake, psa["ticket_id"]) == ["opened", "paused", "resumed"]
    stranger = mail("eve@elsewhere.example", Subject="Re: [SR-1042] close it")
    unmapped = await deliver(intake, stranger)
    assert (unmapped["state"], unmapped["reason"]) == ("unmapped", "missing_customer")
    theirs = mail("eve@elsewhere.example", Subject="Re: [SR-1042] close it", Message_ID="<eve@elsewhere.example>")
    ticket_of(await deliver(intake, theirs, tenant="other"), "opened")
    assert len(await facts(intake, psa["ticket_id"])) == 3


@pytest.mark.rule("6.5")
async def test_a_mail_to_escalations_of_anyone_else_is_rerouted_with_a_flag(intake: IntakeWorld) -> None:
    to = "Escalations@betterworldtech.com"
    contact = ticket_of(await deliver(intake, mail("it@acme.example", to, Subject="Our contract")), "opened")
    found = await intake.get(f"/v1/tickets/{contact}")
    assert (found["category"], found["routed_to"]) == ("user_request", "escalations")
    assert "rerouted" not in found["flags"]
    user = ticket_of(await deliver(intake, MAILS["apple"]), "opened")
    found = await intake.get(f"/v1/tickets/{user}")
    assert (found["via"], found["routed_to"], found["category"]) == ("escalations", "support", "onboarding")
    assert "rerouted" in found["flags"]


@pytest.mark.rule("6.9")
@pytest.mark.parametrize(
    ("subject", "category", "expected"),
    [
        ("We have malware", "security", ["opened"]),
        ("Onboarding of Jane", "onboarding", ["opened"]),
        ("Complaint: nobody calls back", "mishandled_request", ["opened", "escalated"]),
    ],
)
async def test_only_a_complaint_of_the_it_contact_starts_the_ladder(
    intake: IntakeWorld, subject: str, category: str, expected: list[str]
) -> None:
    to = "Escalations@betterworldtech.com"
    key = ticket_of(await deliver(intake, mail("it@acme.example", to, Subject=subject)), "opened")
    found = await intake.get(f"/v1/tickets/{key}")
    assert (found["category"], found["routed_to"]) == (category, "escalations")
    assert ("start_missing" in found["flags"]) == (category == "onboarding")
    assert await facts(intake, key) == expected
    opened = (await intake.queued())[0]
    assert isinstance(opened, TicketOpened)
    assert (opened.ticket.routed_to, opened.ticket.category) == ("escalations", category)


@pytest.mark.rule("6.6")
async def test_the_event_of_a_rerouted_mail_names_a_sender_that_can_be_mailed(intake: IntakeWorld) -> None:
    to = "Escalations@betterworldtech.com"
    await deliver(intake, mail("Ada <ada@acme.example>", to, Subject="Printer"))
    await deliver(intake, mail("ada@acme.example", to, Subject="Away", Auto_Submitted="auto-replied"))
    opened = [event.ticket for event in await intake.queued() if isinstance(event, TicketOpened)]
    (first,) = opened
    assert (first.channel, first.contact.email, first.routed_to) == ("email", "ada@acme.example", "support")
    assert "rerouted" in first.flags
    assert not {"contact_unusable", "default_contact"} & set(first.flags)


@pytest.mark.rule("1.8")
async def test_a_senders_address_that_is_not_usable_is_kept_and_flagged(intake: IntakeWorld) -> None:
    key = ticket_of(await deliver(intake, mail("root@localhost", Subject="Disk"), tenant="other"), "opened")
    found = await intake.get(f"/v1/tickets/{key}", key="other")
    assert (found["contact"]["email"], "contact_unusable" in found["flags"]) == ("root@localhost", True)


@pytest.mark.rule("6.8")
async def test_the_it_contacts_reply_escalates_with_its_beginning_as_the_reason(intake: IntakeWorld) -> None:
    key = ticket_of(await deliver(intake, mail(Message_ID="<q@acme.example>")), "opened")
    reply = mail("it@acme.example", "Escalations@betterworldtech.com", In_Reply_To="<q@acme.example>")
    ticket_of(await deliver(intake, reply + b"\r\nNobody called.\r\n\r\n> Hello\r\n"), "happened")
    escalated = (await intake.get(f"/v1/tickets/{key}"))["facts"][-1]
    assert (escalated["type"], escalated["actor"]) == ("escalated", "it@acme.example")
    assert escalated["reason"] == "It is broken. Nobody called."


async def test_ignored_mails_are_listed_and_counted_by_reason(intake: IntakeWorld) -> None:
    reasons = [str(reason) for reason in IgnoredReason]
    before = {reason: await intake.scrape("sla_mails_ignored_total", reason=reason) for reason in reasons}
    assert None not in before.values()
    for name, headers in {
        "auto_submitted": {"Auto_Submitted": "auto-replied"},
        "precedence": {"Precedence": "bulk", "Subject": "Disk full"},
    }.items():
        answer = await deliver(intake, mail(Message_ID=f"<{name}@acme.example>", **headers))
        assert (answer["state"], answer["reason"]) == ("ignored", name)
        assert await intake.scrape("sla_mails_ignored_total", reason=name) == (before[name] or 0) + 1
    listed = (await intake.get("/v1/hooks/ignored"))["items"]
    assert [(item["provider"], item["reason"]) for item in listed] == [
        ("email", "auto_submitted"),
        ("email", "precedence"),
    ]
    assert listed[0]["detail"].startswith("automatic: Auto-Submitted: auto-replied")
    assert (await intake.get("/v1/hooks/ignored", key="other"))["items"] == []


ALERT = {"Auto_Submitted": "auto-generated", "Precedence": "bulk", "Subject": "Disk full on srv-1"}


def allow_alerts(intake: IntakeWorld) -> None:
    allowed = "    allow_automatic: [Alerts@RMM.example]\n    customer: { id: rmm, name: Monitoring }\n  other:"
    intake.integrations.write_text(INTEGRATIONS.replace("  other:", allowed) + SHIPPED_RULES)


@pytest.mark.rule("6.27")
async def test_an_ignored_mail_says_what_to_do_and_opens_a_ticket_once_its_sender_is_allowed(
    intake: IntakeWorld,
) -> None:
    answer = await deliver(intake, mail("RMM <alerts@rmm.example>", Message_ID="<d@rmm.example>", **ALERT))
    await deliver(intake, mail(Message_ID="<away@acme.example>", X_Autoreply="yes"))
    (listed,) = (await intake.get("/v1/hooks/ignored", reason="auto_submitted"))["items"]
    assert "add the sender to `allow_automatic` under `email`, then replay the delivery." in listed["detail"]
    assert listed["detail"].endswith("From alerts@rmm.example: Disk full on srv-1")
    path = f"/v1/hooks/unmapped/{listed['id']}/replay"
    assert (await intake.post(path, None, 200))["reason"] == "auto_submitted"
    allow_alerts(intake)
    key = ticket_of(await intake.post(path, None, 200), "opened")
    found = await intake.get(f"/v1/tickets/{key}")
    assert (found["summary"], found["opened_at"]) == ("Disk full on srv-1", listed["received_at"])
    assert "contact_unusable" in found["flags"]  # nobody mails the machine
    assert len((await intake.get("/v1/hooks/ignored"))["items"]) == 1
    assert answer["delivery_id"] == listed["id"]


@pytest.mark.rule("6.27")
async def test_an_allowed_machine_opens_a_limited_number_of_tickets_in_an_hour(
    intake: IntakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("intake.handlers.mail.MAX_MACHINE_TICKETS", 2)
    allow_alerts(intake)
    for number in range(2):
        ticket_of(await deliver(intake, mail("alerts@rmm.example", Message_ID=f"<{number}@rmm>", **ALERT)), "opened")
    answer = await deliver(intake, mail("alerts@rmm.example", Message_ID="<3@rmm>", **ALERT))
    assert (answer["state"], answer["reason"]) == ("unmapped", "too_many")
    ticket_of(await deliver(intake, mail("alerts@rmm.example", Message_ID="<4@rmm>")), "opened")  # not automatic


@pytest.mark.rule("6.28")
async def test_an_ignored_sender_who_opened_tickets_before_is_counted(intake: IntakeWorld) -> None:
    name = "sla_mails_ignored_of_known_senders_total"
    before = await intake.scrape(name) or 0
    ticket_of(await deliver(intake, mail("alerts@acme.example", Message_ID="<1@acme.example>")), "opened")
    answer = await deliver(intake, mail("alerts@acme.example", Message_ID="<2@acme.example>", **ALERT))
    assert "Earlier mails of this sender opened tickets." in answer["detail"]
    await deliver(intake, mail("bo@acme.example", Message_ID="<3@acme.example>", **ALERT))
    await deliver(intake, mail("alerts@acme.example", Message_ID="<4@acme.example>", X_Autoreply="yes"))
    await intake.post(f"/v1/hooks/unmapped/{answer['delivery_id']}/replay", None, 200)
    assert await intake.scrape(name) == before + 1


async def test_a_ticket_of_a_mail_is_counted_with_its_defaults(intake: IntakeWorld) -> None:
    async def counted() -> tuple[float, float]:
        posted = await intake.scrape("sla_tickets_ingested_total", result="created", severity="3", source="email")
        defaults = await intake.scrape("sla_default_fields_total", field="severity", source="email")
        return posted or 0, defaults or 0

    before = await counted()
    await deliver(intake, mail(Message_ID="<m@acme.example>"))
    await deliver(intake, mail(Message_ID="<m@acme.example>"))
    assert await counted() == (before[0] + 1, before[1] + 1)


async def test_a_reply_to_escalations_escalates_only_for_the_it_contact(intake: IntakeWorld) -> None:
    to = "Escalations@betterworldtech.com"
    key = ticket_of(await deliver(intake, mail(Message_ID="<q@acme.example>")), "opened")
    user = mail("bo@acme.example", to, In_Reply_To="<q@acme.example>", Message_ID="<bo@acme.example>")
    answer = await deliver(intake, user)
    assert ticket_of(answer, "noted") == key
    assert "rerouted to Support@" in answer["detail"]
    contact = mail("it@acme.example", to, In_Reply_To="<q@acme.example>", Message_ID="<it@acme.example>")
    answer = await deliver(intake, contact)
    assert ticket_of(answer, "happened") == key
    assert "rerouted" not in answer["detail"]
    assert await facts(intake, key) == ["opened", "escalated"]


@pytest.mark.rule("6.15")
@pytest.mark.parametrize("name", ["auto_reply", "dsn", "meeting_reply"])
async def test_an_automatic_mail_is_stored_and_ignored(intake: IntakeWorld, name: str) -> None:
    await intake.post("/v1/tickets", ticket("SR-1042"), 201)
    answer = await deliver(intake, MAILS[name])
    assert answer["state"] == "ignored"
    assert answer["detail"].startswith("automatic")
    assert len(await tickets(intake)) == 1


async def test_a_mail_of_an_unknown_sender_is_unmapped_and_can_be_replayed(intake: IntakeWorld) -> None:
    answer = await deliver(intake, mail("bo@new.example", Message_ID="<bo@new.example>"))
    assert answer["state"] == "unmapped"
    (listed,) = (await intake.get("/v1/hooks/unmapped"))["items"]
    assert (listed["provider"], listed["reason"]) == ("email", "missing_customer")
    known = INTEGRATIONS.replace("domains: [acme.example]", "domains: [acme.example, new.example]")
    intake.integrations.write_text(known)
    replayed = await intake.post(f"/v1/hooks/unmapped/{listed['id']}/replay", None, 200)
    key = ticket_of(replayed, "opened")
    assert (await intake.get(f"/v1/tickets/{key}"))["opened_at"] == listed["received_at"]


async def test_a_mail_without_a_valid_secret_is_rejected(intake: IntakeWorld) -> None:
    client = intake.clients["nobody"]
    raw, rfc822 = mail(), {"Content-Type": "message/rfc822"}
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {SECRET}"}):
        refused = await client.post("/v1/hooks/email/default", content=raw, headers=headers | rfc822)
        assert refused.status_code == 401
        assert SECRET not in refused.text
    nobody = await client.post(
        "/v1/hooks/email/nobody", content=raw, headers={"Authorization": f"Bearer {SECRET}"} | rfc822
    )
    assert nobody.status_code == 404
    assert await tickets(intake) == []


@pytest.mark.parametrize("body", ["<a b='", "\u2003"])
async def test_intake_answers_other_requests_while_it_reads_crafted_mails(intake: IntakeWorld, body: str) -> None:
    # The standard library's parsers need hours for one of them, block the process, and cannot be cancelled.
    octets = (body * 1_000_000).encode()
    bombs = [
        b"From: ada@acme.example\r\nContent-Type: text/html\r\nMessage-ID: <%d@acme.example>\r\n\r\n%s" % (n, octets)
        for n in range(3)
    ]

    async def others() -> None:
        while not taking.done():
            await tickets(intake)

    async with asyncio.timeout(60):
        taking = asyncio.gather(*(deliver(intake, raw) for raw in bombs))
        await others()
        for answer in await taking:
            ticket_of(answer, "opened")
    assert len(await tickets(intake)) == 3


async def test_a_mail_beyond_the_limits_is_unmapped(intake: IntakeWorld) -> None:
    answer = await deliver(intake, b"From: ada@acme.example\r\n" + b"X: y\r\n" * 100_000 + b"\r\nHello.")
    assert (answer["state"], answer["reason"]) == ("unmapped", "unreadable")
    assert "headers" in answer["detail"]
    assert "POST /v1/tickets" in answer["detail"]
    assert len((await intake.get("/v1/hooks/unmapped"))["items"]) == 1


async def test_every_mail_ends_as_a_ticket_or_is_listed(intake: IntakeWorld) -> None:
    mails = {b"", b"\x00", *MAILS.values()}

    @given(st.data())
    @settings(max_examples=tries(30), suppress_health_check=list(HealthCheck))
    def mutated(data: st.DataObject) -> None:
        raw = bytearray(MAILS[data.draw(st.sampled_from(sorted(MAILS)))])
        for _ in range(data.draw(st.integers(0, 6))):
            place = data.draw(st.integers(0, len(raw)))
            raw[place : place + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=12))
        mails.add(bytes(raw))

    await asyncio.to_thread(mutated)
    answers = [await deliver(intake, raw) for raw in sorted(mails)]
    for state in ("ignored", "unmapped"):
        listed = (await intake.get(f"/v1/hooks/{state}", limit=500))["items"]
        assert {item["id"] for item in listed} == {int(a["delivery_id"]) for a in answers if a["state"] == state}
        assert all(item["reason"] and item["detail"] for item in listed)
    taken = {answer["detail"].split()[1] for answer in answers if answer["state"] == "taken"}
    assert taken == {item["ticket_id"] for item in (await intake.get("/v1/tickets", limit=500))["items"]}
    assert {answer["state"] for answer in answers} == {"taken", "ignored", "unmapped"}
    async with intake.writer.connect() as connection:
        query = select(func.count()).select_from(tables.WEBHOOK_DELIVERIES)
        assert (await connection.execute(query)).scalar_one() == len(mails)


def test_the_command_processes_a_mail_from_a_file_or_a_pipe(make_database: MakeDatabase, tmp_path: Path) -> None:
    (tmp_path / "integrations.yaml").write_text(INTEGRATIONS)
    environment = command_environment(make_database("intake"), tmp_path)

    def run(file: str | Path, raw: bytes = b"", **changed: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["mail", str(file)], env=environment | changed, input=raw)
        return result.exit_code, result.output

    status, output = run(ROOT / "tests/recorded/mails/outlook.eml")
    assert (status, '"state":"taken"' in output) == (0, True), output
    status, output = run("-", MAILS["apple"])
    assert (status, '"state":"taken"' in output) == (0, True), output
    too_large = b"Subject: x\r\n\r\n".ljust(MAX_MAIL_BYTES + 1, b"x")
    (tmp_path / "large.eml").write_bytes(too_large)
    for rejected in (run(tmp_path / "large.eml"), run("-", too_large)):
        assert rejected == (65, "The mail exceeds the limit of 10,000,000 bytes.\n")
    missing = tmp_path / "none.eml"
    assert run(missing) == (2, f"{missing}: No such file or directory\n")
    away = "postgresql+asyncpg://nobody@127.0.0.1:1/nothing"
    status, output = run("-", MAILS["apple"], TOCSIN_DATABASE_URL=away)
    assert (status, "The mail cannot be stored: " in output) == (75, True), output
