"""What a mail means: whose it is, which mailbox, a new ticket or something that happened to one (RULES 6)."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from intake.domain.mail import InboundMail, read_mail
from intake.domain.mail_rules import TicketOwner, answered, mailbox_of, opening, reaction, sender_of
from intake.domain.webhooks.config.customer import KnownCustomer
from intake.domain.webhooks.config.email import EmailConfig
from intake.domain.webhooks.config.integrations import IntegrationsError, load_integrations
from support.notifier_events import escalation
from support.notifier_mails import compose, parse
from tocsin.events import Fact, FactType, ticket_id
from tocsin.sources.policy_file import read_policy

ROOT = Path(__file__).parents[2]
MAILBOXES = read_policy(ROOT / "deploy/policy/policy.yaml").mailboxes
NOW = datetime(2026, 6, 8, 12, tzinfo=UTC)
SECTION = """
version: "1"
tenants: {}
email:
  default:
    auth: { secrets: [{ secret_env: TOCSIN_HOOK_EMAIL }] }
    ours: [BetterWorldTech.com]
    severity: 3
    services: [Not said]
    sources: [connectwise]
    customers:
      - { id: acme, name: Acme, domains: [Acme.example], it_contacts: [it@acme.example], services: [Acme's desk] }
      - { id: one, name: Number One, addresses: [boss@freemail.example] }
    subjects:
      - { contains: "[P1]", severity: 1 }
      - { contains: onboarding, category: onboarding }
"""


def section(text: str = SECTION, **changed: Any) -> EmailConfig:
    return load_integrations(text, "integrations.yaml").email["default"].model_copy(update=changed)


def mail(sender: str = "ada@acme.example", to: str = "support@betterworldtech.com", **headers: str) -> InboundMail:
    lines = [f"From: {sender}", f"To: {to}", *(f"{name.replace('_', '-')}: {text}" for name, text in headers.items())]
    return read_mail("\r\n".join([*lines, "", "It is broken."]).encode())


def opened_by(message: InboundMail, **changed: Any) -> dict[str, Any]:
    mailing = section(**changed)
    found = opening(message, sender_of(message, mailing), mailbox_of(message, MAILBOXES), NOW, mailing)
    assert found is not None
    return found.model_dump()


def fact(number: int, kind: str, minutes: int, **fields: Any) -> Fact:
    at = NOW + timedelta(minutes=minutes)
    return Fact(number=number, event_id=str(number), type=FactType(kind), occurred_at=at, received_at=at, **fields)


OPENED = fact(1, "opened", 0, severity=3)


def reacted(message: InboundMail, *facts: Fact, customer: str = "acme", later: timedelta = timedelta(hours=1)) -> str:
    """What an answer to the ticket of Ada of that customer makes happen: `new` where it is another matter."""
    mailing = section()
    about, mailbox = TicketOwner(customer, "Ada@acme.example"), mailbox_of(message, MAILBOXES)
    found = reaction(message, sender_of(message, mailing), mailbox, about, (OPENED, *facts), NOW + later, mailing)
    return "new" if found is None else ", ".join(event.type for event in found) or "noted"


def test_a_customer_is_known_by_address_or_domain() -> None:
    assert opened_by(mail("Ada <ADA@Acme.Example>"))["customer"] == {"id": "acme", "name": "Acme"}
    assert opened_by(mail("boss@freemail.example"))["customer"]["id"] == "one"
    stranger = mail("x@freemail.example")
    assert opening(stranger, sender_of(stranger, section()), "support", NOW, section()) is None


def test_a_ticket_says_only_what_the_mail_says() -> None:
    body = opened_by(mail("Ada <ada@acme.example>", Subject="Printer"))
    assert (body["summary"], body["description"]) == ("Printer", "It is broken.")
    assert (body["severity"], body["default_flags"]) == (3, ("default_severity",))
    assert body["contact"] == {"name": "Ada", "email": "ada@acme.example", "phone": None}
    assert (body["channel"], body["category"], body["via"]) == ("email", "incident", "support")
    assert body["affected_services"] == ("Acme's desk",)
    urgent = opened_by(mail("boss@freemail.example", Subject="[p1] Printer"))
    assert (urgent["severity"], urgent["default_flags"]) == (1, ("default_services",))
    house = opened_by(mail("x@freemail.example"), customer=KnownCustomer(id="house", name="Walk-ins"))
    assert house["customer"]["id"] == "house"
    assert "default_customer" in house["default_flags"]


def test_escalations_is_for_the_it_contact() -> None:
    to = "Escalations@BetterWorldTech.com"
    contact = opened_by(mail("it@acme.example", to))
    assert (contact["via"], contact["category"], contact["sender_is_it_contact"]) == (
        "escalations",
        "mishandled_request",
        True,
    )
    user = opened_by(mail("ada@acme.example", to))
    assert (user["via"], user["category"], user["sender_is_it_contact"]) == ("escalations", "incident", False)
    assert opened_by(mail("it@acme.example", to, Subject="Onboarding of Bo"))["category"] == "onboarding"


def test_the_mailbox_is_also_read_from_the_envelope() -> None:
    assert (
        mailbox_of(mail(to="x@acme.example", Delivered_To="escalations@betterworldtech.com"), MAILBOXES)
        == "escalations"
    )
    assert mailbox_of(mail(to="x@acme.example"), MAILBOXES) == "support"


def test_an_answer_names_its_ticket_by_reference_or_by_its_id_in_the_subject() -> None:
    first = mail(Message_ID="<first@acme.example>")
    answer = mail(In_Reply_To="<first@acme.example>", Subject="Re: [SR-1042] x")
    ids = answered(answer, "default", ["connectwise"])
    assert ids[0] == ticket_id("default", "email", first.reference)
    assert ticket_id("default", "connectwise", "SR-1042") in ids
    by_name = mail(Subject=f"Re: [{first.reference}] x")
    assert ticket_id("default", "email", first.reference) in answered(by_name, "default", [])
    ours = UUID(int=7)
    for local in (f"{ours}", f"{ours}.{UUID(int=8)}"):  # as notifier's Message-IDs and roots begin
        assert answered(mail(References=f"<{local}@betterworldtech.com>"), "default", [])[-1] == ours


@pytest.mark.parametrize("header", ["In_Reply_To", "References"])
def test_an_answer_to_a_mail_of_ours_names_its_ticket(header: str) -> None:
    ours = escalation()
    sent = parse(compose(ours))
    named = sent["Message-ID"] if header == "In_Reply_To" else sent["References"]
    assert ours.ticket_id in answered(mail(**{header: named}), "default", [])


def test_the_customers_answer_ends_the_pause_that_waited_for_it() -> None:
    paused = fact(2, "paused", 5)
    assert reacted(mail(), paused) == "resumed"
    assert reacted(mail(), paused, fact(3, "resumed", 6)) == "noted"
    assert reacted(mail()) == "noted"
    assert reacted(mail("boss@freemail.example"), paused) == "new"


def test_the_customers_answer_reopens_what_was_closed_not_long_ago() -> None:
    resolved = fact(2, "resolved", 30)
    assert reacted(mail(), resolved, later=timedelta(days=14)) == "reopened"
    assert reacted(mail(), resolved, later=timedelta(days=14, minutes=31)) == "new"
    assert reacted(mail(), fact(2, "cancelled", 30)) == "reopened"


def test_the_answer_of_the_it_contact_to_escalations_escalates() -> None:
    to = "escalations@betterworldtech.com"
    assert reacted(mail("it@acme.example", to)) == "escalated"
    assert reacted(mail("it@acme.example", to), fact(2, "paused", 5)) == "resumed, escalated"
    assert reacted(mail("it@acme.example", to), fact(2, "resolved", 30)) == "reopened, escalated"
    assert reacted(mail("it@acme.example")) == "noted"
    assert reacted(mail("ada@acme.example", to)) == "noted"
    assert reacted(mail("ruth@betterworldtech.com", to)) == "noted"


def test_what_we_write_to_others_is_no_response() -> None:
    for to in ("friend@freemail.example", "vendor@tools.example, support@betterworldtech.com"):
        assert reacted(mail("ruth@betterworldtech.com", to)) == "noted"
    assert reacted(mail("ruth@betterworldtech.com", "bo@acme.example")) == "responded"
    assert reacted(mail("ruth@betterworldtech.com", "ada@acme.example"), customer="19297") == "responded"


def test_our_answer_to_the_customer_is_the_response() -> None:
    out = mail("ruth@betterworldtech.com", "ada@acme.example, support@betterworldtech.com")
    assert reacted(out) == "responded"
    assert reacted(out, fact(2, "responded", 5)) == "noted"
    assert reacted(out, fact(2, "resolved", 5)) == "noted"
    assert reacted(mail("ruth@betterworldtech.com", "ben@betterworldtech.com")) == "noted"


def test_who_did_not_pass_our_mail_servers_check_is_a_stranger() -> None:
    passed = "mx.us.example; spf=pass; dmarc=pass header.from=acme.example"
    failed = "mx.us.example; spf=fail; dmarc=fail"
    forged = f"{failed}\r\nAuthentication-Results: {passed}"
    mailing = section(authserv="mx.us.example")
    assert sender_of(mail(Authentication_Results=passed), mailing).customer is not None
    for results in (failed, forged, passed.replace("mx.us", "mx.them")):
        unknown = sender_of(mail("ruth@betterworldtech.com", Authentication_Results=results), mailing)
        assert (unknown.customer, unknown.ours, unknown.it_contact) == (None, False, False)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (("domains: [Acme.example]", "domains: [acme]"), "customers"),
        (("addresses: [boss@freemail.example]", "domains: [acme.example]"), "the customer acme's as well"),
        (("    severity: 3\n", ""), "severity"),
        (("secret_env: TOCSIN_HOOK_EMAIL", "secret: x"), "secret"),
        (("sources:", "reopen_within: 3 business days\n    sources:"), "business time"),
    ],
)
def test_a_wrong_section_says_where(wrong: tuple[str, str], words: str) -> None:
    with pytest.raises(IntegrationsError, match=r"integrations.yaml:\d+: email.default") as refused:
        section(SECTION.replace(*wrong))
    assert words in str(refused.value)
