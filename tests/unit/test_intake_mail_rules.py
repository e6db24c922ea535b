"""The effect of a mail: its author and mailbox, and whether it opens a ticket or causes events on one."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from intake.domain.mail import InboundMail, read_mail
from intake.domain.mail.message import reference_of
from intake.domain.mail_author import TicketOwner
from intake.domain.mail_rules import (
    all_subject_ids,
    candidate_tickets,
    derive_events,
    draft_ticket,
    subject_ids,
)
from intake.domain.received_mail import ReceivedMail, classify_mail
from intake.domain.webhooks.config.email import SubjectRule
from intake.domain.webhooks.config.integrations import MailIntegration, load_integrations
from intake.domain.webhooks.config.people import KnownAssignee, KnownCustomer
from intake.errors import IntegrationsError
from support.notifier_events import escalation
from support.notifier_mails import compose, parse
from tocsin.events import Fact, FactType, ticket_id
from tocsin.sources.policy_file import read_policy

ROOT = Path(__file__).parents[2]
MAILBOXES = read_policy(ROOT / "deploy/policy/policy.yaml").mailboxes
NOW = datetime(2026, 6, 8, 12, tzinfo=UTC)
ESCALATIONS = "Escalations@BetterWorldTech.com"
SECTION = """
version: "1"
tenants: {}
it_contacts: { default: { acme: [it@acme.example, Ida Jones] } }
email:
  default:
    auth: { secrets: [{ secret_env: TOCSIN_HOOK_EMAIL }] }
    ours: [BetterWorldTech.com]
    severity: 3
    services: [Not said]
    sources: [connectwise]
    customers:
      - { id: acme, name: Acme, domains: [Acme.example], services: [Acme's desk] }
      - { id: one, name: Number One, addresses: [boss@freemail.example] }
    subjects:
      - { contains: ["[P1]"], severity: 1 }
      - { contains: [onboarding], category: onboarding }
"""


SHIPPED_RULES = load_integrations((ROOT / "deploy/policy/integrations.yaml").read_text(), "x").subject_rules


def integration(text: str = SECTION, **changed: Any) -> MailIntegration:
    """The section with the shipped subject rules."""
    found = load_integrations(text, "integrations.yaml").find_email("default")
    assert found is not None
    return replace(found, config=found.config.model_copy(update=changed), subject_rules=SHIPPED_RULES)


def mail(sender: str = "ada@acme.example", to: str = "support@betterworldtech.com", **headers: str) -> InboundMail:
    lines = [f"From: {sender}", f"To: {to}", *(f"{name.replace('_', '-')}: {text}" for name, text in headers.items())]
    return read_mail("\r\n".join([*lines, "", "It is broken."]).encode())


def received(message: InboundMail, at: datetime = NOW, **changed: Any) -> ReceivedMail:
    return classify_mail(message, at, integration(**changed), MAILBOXES)


def ticket(message: InboundMail, **changed: Any) -> dict[str, Any]:
    """The fields of the ticket that the mail opens."""
    found = draft_ticket(received(message, **changed))
    assert found is not None
    return found.model_dump()


def fact(number: int, kind: str, minutes: int, **fields: Any) -> Fact:
    at = NOW + timedelta(minutes=minutes)
    return Fact(number=number, event_id=str(number), type=FactType(kind), occurred_at=at, received_at=at, **fields)


def reply(message: InboundMail, *facts: Fact, customer: str = "acme", later: timedelta = timedelta(hours=1)) -> str:
    """The events of a reply to Ada's ticket of that customer; `new` if the mail opens another ticket."""
    owner = TicketOwner(customer, "Ada@acme.example", "Ada Byron")
    events = derive_events(received(message, NOW + later), owner, (fact(1, "opened", 0, severity=3), *facts))
    return "new" if events is None else ", ".join(event.type for event in events) or "noted"


def test_a_customer_is_recognised_by_address_or_domain() -> None:
    assert ticket(mail("Ada <ADA@Acme.Example>"))["customer"] == {"id": "acme", "name": "Acme"}
    assert ticket(mail("boss@freemail.example"))["customer"]["id"] == "one"
    assert draft_ticket(received(mail("x@freemail.example"))) is None


def test_a_ticket_has_the_fields_of_its_mail_and_flagged_defaults() -> None:
    body = ticket(mail("Ada <ada@acme.example>", Subject="Printer"))
    assert (body["summary"], body["description"]) == ("Printer", "It is broken.")
    assert (body["severity"], body["default_flags"]) == (3, ("default_severity",))
    assert body["contact"] == {"name": "Ada", "email": "ada@acme.example", "phone": None}
    assert (body["channel"], body["category"], body["via"]) == ("email", "incident", "support")
    assert body["affected_services"] == ("Acme's desk",)
    urgent = ticket(mail("boss@freemail.example", Subject="[p1] Printer"))
    assert (urgent["severity"], urgent["default_flags"]) == (1, ("default_services",))
    walk_in = ticket(mail("x@freemail.example"), customer=KnownCustomer(id="house", name="Walk-ins"))
    assert (walk_in["customer"]["id"], "default_customer" in walk_in["default_flags"]) == ("house", True)


@pytest.mark.rule("6.4")
@pytest.mark.rule("6.5")
def test_escalations_is_for_the_it_contact() -> None:
    contact = ticket(mail("it@acme.example", ESCALATIONS))
    expected = ("escalations", "user_request", True)
    assert (contact["via"], contact["category"], contact["sender_is_it_contact"]) == expected
    user = ticket(mail("ada@acme.example", ESCALATIONS))
    assert (user["via"], user["category"], user["sender_is_it_contact"]) == ("escalations", "incident", False)
    assert ticket(mail("it@acme.example", ESCALATIONS, Subject="Onboarding of Bo"))["category"] == "onboarding"


@pytest.mark.rule("6.23")
def test_only_the_address_of_a_mail_names_the_it_contact() -> None:
    forged = ticket(mail("Ida Jones <ida@acme.example>", ESCALATIONS))
    assert not forged["sender_is_it_contact"]


@pytest.mark.rule("6.23")
def test_an_it_contact_may_be_listed_with_its_customer() -> None:
    listed = SECTION.replace("domains: [Acme.example],", "domains: [Acme.example], it_contacts: [Ada@acme.example],")
    contacts = integration(listed).it_contacts
    assert contacts.include("acme", "ada@acme.example")
    assert contacts.include("acme", "it@acme.example"), "listed at the top of the file"
    assert not contacts.include("one", "ada@acme.example")


@pytest.mark.rule("6.9")
@pytest.mark.parametrize(
    ("subject", "category"),
    [
        ("We have malware", "security"),
        ("VIRUS on three laptops", "security"),
        ("Phishing mail sent to all", "security"),
        ("compromised account of Bo", "security"),
        ("So much spam since Monday", "security"),
        ("Ransomware!", "security"),
        ("Privilege escalation in the VPN client", "security"),
        ("CVE-2026-1234", "security"),
        ("Sicherheitslucke im Portal", "security"),
        ("Verdächtige E-Mails", "security"),
        ("Onboarding of Jane", "onboarding"),
        ("New hire: Jane Doe, 1 July", "onboarding"),
        ("Nouvel employe lundi", "onboarding"),
        ("Neue Mitarbeiterin ab Juli", "onboarding"),
        ("Offboarding of Bo", "offboarding"),
        ("Bo is leaving the company", "offboarding"),
        ("Upcoming project: new office in Graz", "project"),
        ("Projekt Phoenix", "project"),
        ("Complaint about ticket 4711", "mishandled_request"),
        ("Ticket 4711 was not handled", "mishandled_request"),
        ("We are unhappy with the onboarding of Jane", "mishandled_request"),
        ("STILL WAITING for an answer", "mishandled_request"),
        ("Please escalate 4711", "mishandled_request"),
        ("SLA breached on 4711", "mishandled_request"),
        ("Beschwerde", "mishandled_request"),
        ("Wir warten immer noch auf eine Antwort", "mishandled_request"),
        ("Reclamación", "mishandled_request"),
    ],
)
def test_a_shipped_subject_rule_finds_the_category(subject: str, category: str) -> None:
    found = ticket(mail("it@acme.example", ESCALATIONS, Subject=subject), subjects=())
    assert (found["category"], found["states_category"]) == (category, True)


@pytest.mark.rule("6.9")
@pytest.mark.parametrize(
    "subject",
    [
        "Antivirus licenses",
        "The projector in room 4",
        "MS Project crashes",
        "Printer does not respond",
        "DNS name not resolved",
        "No response from server web01",
        "Escalation contacts for next year",
        "Scaling the web shop",
        "Boarding passes cannot be printed",
        "Spamming",
        "Question about our contract",
        "",
    ],
)
def test_a_word_that_only_looks_like_one_of_the_rules_is_a_user_request(subject: str) -> None:
    found = ticket(mail("it@acme.example", ESCALATIONS, Subject=subject), subjects=())
    assert found["category"] == "user_request"


@pytest.mark.rule("6.9")
def test_the_shipped_rules_are_for_the_it_contacts_mails_to_escalations_only() -> None:
    for sender, to in (("ada@acme.example", ESCALATIONS), ("it@acme.example", "support@betterworldtech.com")):
        found = ticket(mail(sender, to, Subject="Project files: still waiting"))
        assert (found["category"], found["states_category"]) == ("incident", False)


def test_a_rule_of_the_tenant_comes_before_the_shipped_ones() -> None:
    own = SubjectRule.model_validate({"contains": ("malware test",), "category": "user_request", "severity": 4})
    found = ticket(mail("it@acme.example", ESCALATIONS, Subject="Malware test next week"), subjects=(own,))
    assert (found["category"], found["states_category"], found["severity"]) == ("user_request", True, 4)


def test_a_rule_may_look_into_the_text_and_state_the_impact() -> None:
    rule = SubjectRule.model_validate(
        {
            "contains": ("Is broken",),
            "in_text": True,
            "impact": {"work_stoppage": "full", "users_affected_percent": 40},
        }
    )
    found = ticket(mail(Subject="Printer"), subjects=(rule,))
    assert found["impact"]["work_stoppage"] == "full"
    assert found["impact"]["users_affected_percent"] == 40
    assert ticket(mail(Subject="Printer"))["impact"] is None


def test_a_mailbox_may_have_an_assignee() -> None:
    ruth = KnownAssignee(name="Ruth", email="ruth@betterworldtech.com")
    assert ticket(mail(), assignees={"support": ruth})["assignee"] == ruth.model_dump()
    assert ticket(mail(), assignees={"escalations": ruth})["assignee"] is None


@pytest.mark.rule("6.20")
def test_the_address_of_a_sender_that_failed_dmarc_is_not_usable() -> None:
    house = KnownCustomer(id="house", name="Walk-ins")
    found = ticket(mail(Authentication_Results="mx.us.example; dmarc=fail"), authserv="mx.us.example", customer=house)
    assert "contact_unusable" in found["default_flags"]
    passed = mail(Authentication_Results="mx.us.example; dmarc=pass")
    assert "contact_unusable" not in ticket(passed, authserv="mx.us.example", customer=house)["default_flags"]


@pytest.mark.rule("1.12")
def test_control_characters_in_the_senders_name_are_removed_and_flagged() -> None:
    found = ticket(mail("=?utf-8?q?Ada=0D=0ABcc=3A_x?= <ada@acme.example>"))
    assert (found["contact"]["name"], "text_cleaned" in found["default_flags"]) == ("Ada Bcc: x", True)
    assert "text_cleaned" not in ticket(mail("Ada\n\tByron <ada@acme.example>"))["default_flags"]


def test_the_envelope_can_name_the_mailbox() -> None:
    forwarded = mail(to="x@acme.example", Delivered_To=ESCALATIONS)
    assert received(forwarded).mailbox == "escalations"
    assert received(mail(to="x@acme.example")).mailbox == "support"


@pytest.mark.parametrize("name", ["48213", "#48213", "Ticket#48213", "Ticket: 48213", "Ticket ID: 48213", "ID:0048213"])
def test_the_id_in_the_subject(name: str) -> None:
    subject = f"Re: [{name}] Log in"
    assert ticket_id("default", "halopsa", "48213") in candidate_tickets(mail(Subject=subject), "default", ["halopsa"])


@pytest.mark.rule("6.25")
@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("Re: Service Ticket #48213 - Log in", "48213"),
        ("Re: Ticket #48213", "48213"),
        ("AW: Ticket#48213: Log in", "48213"),
        ("Ticket: 48213", "48213"),
        ("Ticket ID 48213.", "48213"),
        ("Ticket No. 0048213", "48213"),
        ("Log in (ID: 48213)", "48213"),
        ("Log in (#48213)", "48213"),
        ("[T48213] Log in", "48213"),
        ("Ticket #SR-1042", "SR-1042"),
        ("Ticket: T20260608.0012 updated", "T20260608.0012"),
        ("Tickets for 2026", None),
        ("Log in fails (2 users), [P1]", None),
        ("A ticket 2 days old", None),
    ],
)
def test_a_bare_id_in_the_subject_counts_only_in_mails_of_the_contact(subject: str, expected: str | None) -> None:
    message = mail(Subject=subject)
    found = all_subject_ids(message)
    assert expected in found if expected else set(found) <= set(subject_ids(message))
    assert ticket_id("default", "connectwise", str(expected)) not in candidate_tickets(message, "default", ["halopsa"])


@pytest.mark.rule("6.16")
def test_a_reply_names_its_ticket_by_reference_or_by_an_id_in_the_subject() -> None:
    first = mail(Message_ID="<first@acme.example>")
    answer = mail(In_Reply_To="<first@acme.example>", Subject="Re: [SR-1042] x")
    ids = candidate_tickets(answer, "default", ["connectwise"])
    assert ids[0] == ticket_id("default", "email", first.reference)
    assert ticket_id("default", "connectwise", "SR-1042") in ids
    by_name = mail(Subject=f"Re: [{first.reference}] x")
    assert ticket_id("default", "email", first.reference) in candidate_tickets(by_name, "default", [])


@pytest.mark.parametrize("header", ["In_Reply_To", "References"])
def test_a_reply_to_a_mail_of_the_notifier_names_its_ticket(header: str) -> None:
    event = escalation()
    sent = parse(compose(event))
    reference = sent["Message-ID"] if header == "In_Reply_To" else sent["References"]
    assert event.ticket_id in candidate_tickets(mail(**{header: reference}), "default", [])
    other = f"<{UUID(int=7)}.{UUID(int=8)}@betterworldtech.com>"
    assert candidate_tickets(mail(**{header: other}), "default", [])[-1] == UUID(int=7)


def test_a_reply_to_a_digest_names_no_ticket() -> None:
    """It is about several; the only candidate is the ticket that a mail with that Message-ID would have opened."""
    digest = f"digest.{UUID(int=8)}@betterworldtech.com"
    found = candidate_tickets(mail(In_Reply_To=f"<{digest}>", Subject="Re: 12 tickets: next deadline"), "default", [])
    assert found == [ticket_id("default", "email", reference_of(digest))]


@pytest.mark.rule("6.17")
def test_the_customers_reply_ends_a_pause() -> None:
    paused = fact(2, "paused", 5)
    assert reply(mail(), paused) == "resumed"
    assert reply(mail(), paused, fact(3, "resumed", 6)) == "noted"
    assert reply(mail()) == "noted"
    assert reply(mail("boss@freemail.example"), paused) == "new"


@pytest.mark.rule("6.17")
def test_the_customers_reply_reopens_a_recently_closed_ticket() -> None:
    resolved = fact(2, "resolved", 30)
    assert reply(mail(), resolved, later=timedelta(days=14)) == "reopened"
    assert reply(mail(), resolved, later=timedelta(days=14, minutes=31)) == "new"
    assert reply(mail(), fact(2, "cancelled", 30)) == "reopened"


@pytest.mark.rule("6.8")
def test_the_it_contacts_reply_to_escalations_escalates() -> None:
    contact = mail("it@acme.example", ESCALATIONS)
    assert reply(contact) == "escalated"
    assert reply(contact, fact(2, "paused", 5)) == "resumed, escalated"
    assert reply(contact, fact(2, "resolved", 30)) == "reopened, escalated"
    assert reply(mail("it@acme.example")) == "noted"
    for other in ("ada@acme.example", "ruth@betterworldtech.com"):
        assert reply(mail(other, ESCALATIONS)) == "noted"


@pytest.mark.rule("6.8")
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (
            "Nothing has happened since Monday.\n\nOn Mon, 8 Jun 2026, Ruth wrote:\n> Hello",
            "Nothing has happened since Monday.",
        ),
        ("> Hello", "the customer's IT contact wrote to Escalations@"),
        ("Please!\n" + "x" * 400, "Please! " + "x" * 291 + "…"),
    ],
)
def test_an_escalation_says_who_requested_it_and_why(body: str, reason: str) -> None:
    raw = f"From: Ida <it@acme.example>\r\nTo: {ESCALATIONS}\r\n\r\n{body}".encode()
    owner = TicketOwner("acme", "ada@acme.example")
    events = derive_events(received(read_mail(raw)), owner, (fact(1, "opened", 0, severity=3),))
    assert events is not None
    (event,) = events
    assert (event.type, event.actor, event.reason) == ("escalated", "it@acme.example", reason)


@pytest.mark.rule("6.18")
def test_our_reply_is_the_response_if_it_goes_to_the_customer() -> None:
    ruth = "ruth@betterworldtech.com"
    to_ada = mail(ruth, "ada@acme.example, support@betterworldtech.com")
    assert reply(to_ada) == "responded"
    assert reply(mail(ruth, "ada@acme.example <ada@acme.example>")) == "responded"
    assert reply(to_ada, fact(2, "responded", 5)) == "noted"
    assert reply(to_ada, fact(2, "resolved", 5)) == "noted"
    assert reply(mail(ruth, "bo@acme.example")) == "responded"
    assert reply(mail(ruth, "ada@acme.example"), customer="19297") == "responded"
    for others in ("ben@betterworldtech.com", "friend@freemail.example", "vendor@tools.example, support@bwt.example"):
        assert reply(mail(ruth, others)) == "noted"


@pytest.mark.rule("6.18", "6.25")
@pytest.mark.parametrize(
    ("sender", "to", "events"),
    [
        ("Ada Byron", "support@betterworldtech.com, bob@acme.example", "noted resumed reopened"),
        ("Byron, Ada", "bob@acme.example", "noted resumed reopened"),
        ("Ada Byron", "support@betterworldtech.com, ada@acme.example", "noted resumed reopened"),
        ("Ada Byron via Support", "support@betterworldtech.com, bob@acme.example", "noted resumed reopened"),
        ("Ada Byron via Support", "bob@acme.example", "noted resumed reopened"),
        ("Ada Byron", "ada@acme.example", "responded responded noted"),
        ("Sam Orr", "support@betterworldtech.com, bob@acme.example", "responded responded noted"),
    ],
)
def test_a_mailbox_of_ours_with_the_name_of_the_contact_hides_the_contact(sender: str, to: str, events: str) -> None:
    message = mail(f'"{sender}" <support@betterworldtech.com>', to)
    on_open, on_paused = reply(message), reply(message, fact(2, "paused", 5))
    assert [on_open, on_paused, reply(message, fact(2, "resolved", 5))] == events.split()


@pytest.mark.rule("6.27")
def test_the_automatic_mails_of_an_allowed_sender_are_requests() -> None:
    alert = mail("Alerts@Monitor.RMM.example", Auto_Submitted="auto-generated")
    assert received(alert).ignored == alert.automatic
    for allowed in ("alerts@monitor.rmm.example", "monitor.rmm.example"):
        assert received(alert, allow_automatic=(allowed,)).ignored is None
    assert received(alert, allow_automatic=("rmm.example",)).ignored is not None
    assert received(mail()).ignored is None


@pytest.mark.rule("6.27")
@pytest.mark.parametrize(
    "headers",
    [
        {"Auto_Submitted": "auto-replied"},
        {"X_Autoreply": "yes"},
        {"Subject": "Automatic reply: x"},
        {"Content_Type": "multipart/report; boundary=x"},
        {"Content_Type": "text/calendar; method=REPLY"},
        {"Tocsin_Kind": "escalation", "Auto_Submitted": "auto-generated"},
    ],
)
def test_answers_reports_and_our_own_mails_are_never_allowed(headers: dict[str, str]) -> None:
    assert received(mail(**headers), allow_automatic=("acme.example",)).ignored is not None


@pytest.mark.rule("6.27")
def test_a_machine_opens_tickets_and_changes_none() -> None:
    alert = {"Auto_Submitted": "auto-generated"}
    assert reply(mail(**alert)) == reply(mail(**alert), fact(2, "paused", 5)) == "noted"
    assert reply(mail(**alert), fact(2, "resolved", 30)) == "new"
    assert reply(mail("it@acme.example", ESCALATIONS, **alert)) == "noted"
    assert reply(mail("rmm@betterworldtech.com", "ada@acme.example", **alert)) != "responded"
    assert ticket(mail("it@acme.example", ESCALATIONS, **alert))["sender_is_it_contact"] is False
    assert "contact_unusable" in ticket(mail(**alert))["default_flags"]


@pytest.mark.rule("6.20")
def test_a_sender_that_failed_dmarc_is_unknown() -> None:
    passed = "mx.us.example; spf=pass; dmarc=pass header.from=acme.example"
    failed = "mx.us.example; spf=fail; dmarc=fail"
    forged = f"{failed}\r\nAuthentication-Results: {passed}"
    known = received(mail(Authentication_Results=passed), authserv="mx.us.example")
    assert known.author.customer is not None
    in_capitals = received(mail(Authentication_Results=passed.replace("mx.us", "MX.US")), authserv="mx.us.example")
    assert in_capitals.author.customer is not None
    of_us = passed.replace("acme.example", "betterworldtech.com")
    for results in (
        failed,
        forged,
        of_us.replace("mx.us", "mx.them"),
        passed,  # of another domain
        f"{of_us}; dmarc=fail header.from=betterworldtech.com",
        of_us.replace(" dmarc=pass", " x-dmarc=pass"),
        'mx.us.example; spf=pass smtp.mailfrom="a; dmarc=pass"@evil.example; dmarc=fail',
        'mx.us.example; spf=pass smtp.mailfrom="a; dmarc=pass ;',
        "mx.us.example; spf=pass smtp.mailfrom=<a; dmarc=pass@evil.example>",
        "mx.us.example; dmarc=fail (said (dmarc=pass); dmarc=pass)",
    ):
        message = mail("ruth@betterworldtech.com", Authentication_Results=results)
        author = received(message, authserv="mx.us.example").author
        assert (author.customer, author.is_staff, author.is_it_contact) == (None, False, False)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (("domains: [Acme.example]", "domains: [acme]"), "customers"),
        (("addresses: [boss@freemail.example]", "domains: [acme.example]"), "also belongs to the customer acme"),
        (("    severity: 3\n", ""), "severity"),
        (("secret_env: TOCSIN_HOOK_EMAIL", "secret: x"), "secret"),
        (("sources:", "reopen_within: 3 business days\n    sources:"), "business time"),
    ],
)
def test_a_mistake_in_the_section_is_reported_with_its_line(wrong: tuple[str, str], words: str) -> None:
    with pytest.raises(IntegrationsError, match=r"integrations.yaml:\d+: email.default") as error:
        integration(SECTION.replace(*wrong))
    assert words in str(error.value)
