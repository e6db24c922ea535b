"""The headers and bytes of a mail, read by two independent parsers; no text of a ticket can change them."""

import time
from base64 import b64decode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, message_from_string
from email.policy import default
from email.utils import getaddresses
from typing import Any
from uuid import UUID

import pytest
from fast_mail_parser import parse_email
from hypothesis import example, given
from hypothesis import strategies as st
from notifier.domain.delivery import Notification
from notifier.domain.mail_history import EarlierMail
from notifier.domain.message import Mail
from notifier.domain.mime import serialise
from notifier.domain.template_context import Redelivery
from notifier.errors import UnmailableAddressError, UnsafeMailError
from support.mail_samples import SAMPLES
from support.notifier_events import NOON, about_clock, escalation, exhausted, request, stand_down, ticket
from support.notifier_mails import NOW, READER, compose, make_composer, parse
from tocsin.events import Acknowledgement, Assignee, Contact, Customer, Ticket

STANDARD = ["From", "To", "Subject", "Date", "Message-ID", "In-Reply-To", "References", "Thread-Topic", "Thread-Index"]
STANDARD += ["Auto-Submitted", "X-Auto-Response-Suppress", "MIME-Version", "Content-Type"]
COMMON = ["Tocsin-Kind", "Tocsin-Ticket", "Tocsin-External-Id", "Tocsin-Severity", "Tocsin-Cycle"]
COMMON += ["Tocsin-Scheduled-At"]
OF_A_STEP = ["Tocsin-Run", "Tocsin-Step", "Tocsin-Tier", "Tocsin-Reason"]

NOTIFICATIONS: list[tuple[Notification, list[str]]] = [
    (escalation(), OF_A_STEP),
    (about_clock("warning"), ["Tocsin-Clock"]),
    (about_clock("response_missed"), ["Tocsin-Clock"]),
    (about_clock("answer_missed"), ["Tocsin-Clock"]),
    (stand_down(), ["Tocsin-Run"]),
    (stand_down(run=None, clock="response", reason="voided"), ["Tocsin-Clock"]),
    (exhausted(), ["Tocsin-Run"]),
    (request("escalation_request"), []),
]
"""One of each kind, with the headers that only this kind has."""


def expected(notification: Notification, own: list[str]) -> list[str]:
    return sorted([*STANDARD, *(["Importance"] if notification.severity == 1 else []), *COMMON, *own])


def test_the_headers_of_an_escalation_name_ticket_and_step() -> None:
    parsed = parse(compose(escalation()))
    assert {name: parsed[name] for name in parsed if name.startswith("Tocsin-")} == {
        "Tocsin-Kind": "escalation",
        "Tocsin-Ticket": "00000000-0000-0000-0000-000000000007",
        "Tocsin-External-Id": "SR-1042",
        "Tocsin-Severity": "1",
        "Tocsin-Cycle": "1",
        "Tocsin-Scheduled-At": "2026-06-08T13:00:00.000000Z",
        "Tocsin-Run": "1",
        "Tocsin-Step": "1",
        "Tocsin-Tier": "1",
        "Tocsin-Reason": "resolution_breached",
    }
    assert parsed["From"] == '"Tocsin: severity 1, tier 1" <tocsin@example.com>'
    assert parsed["To"] == "Dana Østergård <dana@example.com>"


@pytest.mark.parametrize(
    ("notification", "own"),
    NOTIFICATIONS,
    ids=["escalation", "warning", "response", "answer", "ladder", "clock", "exhausted", "request"],
)
@pytest.mark.parametrize("severity", [1, 2])
def test_each_kind_has_exactly_its_headers(notification: Notification, own: list[str], severity: int) -> None:
    notification = notification.model_copy(update={"severity": severity})
    parsed = parse(compose(notification))
    assert sorted(parsed.keys()) == expected(notification, own)
    assert [name for name in parsed if name.startswith("Tocsin-")] == COMMON + own
    assert (parsed["Auto-Submitted"], parsed["X-Auto-Response-Suppress"]) == ("auto-generated", "All")


@pytest.mark.rule("6.6")
def test_a_reply_to_a_customer_is_automatic_and_not_important() -> None:
    parsed = parse(compose(request("rerouted")))
    assert sorted(parsed.keys()) == sorted([*STANDARD, *COMMON])
    assert (parsed["Auto-Submitted"], parsed["X-Auto-Response-Suppress"]) == ("auto-replied", "All")
    assert parsed["From"] == "Support team <tocsin@example.com>"


def test_headers_of_some_mails_only() -> None:
    assert parse(compose(escalation(), late=True))["Tocsin-Late"] == "yes"
    assert parse(compose(escalation(), redelivery=Redelivery("key", NOW, 3)))["Tocsin-Redelivery"] == "3"
    assert parse(compose(escalation(), by=make_composer(reply_to="desk@example.com")))["Reply-To"] == "desk@example.com"
    assert parse(compose(escalation()))["Importance"] == "high"
    assert all("Importance" not in parse(compose(escalation(severity=severity))) for severity in (2, 3, 4))


@pytest.mark.parametrize("kind", SAMPLES)
def test_two_parsers_read_each_kind_in_the_same_way(kind: str) -> None:
    sample = SAMPLES[kind]
    mail = compose(sample.notification, *sample.earlier, reader=sample.reader, now=sample.now)
    ours, other = parse(mail), parse_email(mail.raw)
    assert list(other.warnings) == []
    assert {name: [str(value) for value in ours.get_all(name, [])] for name in ours} | _addresses(other) == dict(
        other.headers
    )
    assert other.subject == mail.subject == ours["Subject"]
    assert [(address.display_name, address.address) for address in other.to] == [
        (sample.reader.name, sample.reader.email)
    ]
    assert other.from_ is not None
    assert other.from_.address == "tocsin@example.com"
    assert list(other.attachments) == []
    for sent, found, part in ((mail.text, other.text_plain, "plain"), (mail.html, other.text_html, "html")):
        body = ours.get_body((part,))
        assert body is not None
        assert [text.replace("\r\n", "\n").rstrip("\n") for text in (*found, body.get_content())] == [
            sent.rstrip("\n")
        ] * 2


def _addresses(parsed: Any) -> dict[str, list[str]]:
    """The two fields whose quotes one parser keeps and the other removes."""
    return {name: parsed.headers[name] for name in ("From", "To")}


def mails_of_a_ticket() -> list[Mail]:
    other = replace(READER, person="kim", email="kim@example.com")
    return [
        compose(about_clock("warning", event_id=UUID(int=4))),
        compose(about_clock("response_missed", event_id=UUID(int=3)), now=NOW + timedelta(days=3), late=True),
        compose(escalation(event_id=UUID(int=2), severity=3), reader=other),
        compose(escalation(), redelivery=Redelivery("key", NOW, 1)),
        compose(stand_down()),
    ]


def test_the_mails_of_a_cycle_are_one_conversation() -> None:
    parsed = [parse(mail) for mail in mails_of_a_ticket()]
    assert len({mail["Message-ID"] for mail in parsed}) == len(parsed)
    for name in ("Subject", "References", "In-Reply-To", "Thread-Topic", "Thread-Index"):
        assert len({mail[name] for mail in parsed}) == 1, name
    assert parsed[0]["References"] == parsed[0]["In-Reply-To"]
    assert parsed[0]["References"] not in {mail["Message-ID"] for mail in parsed}
    assert parsed[0]["Subject"] == "[SR-1042] Acme: Mail is down"


def test_a_mail_refers_to_the_readers_earlier_mails() -> None:
    alone, last = parse(compose(about_clock("warning"))), parse(compose(escalation(), references=("<1@a>", "<2@a>")))
    assert last["References"] == f"{alone['References']} <1@a> <2@a>"
    assert last["In-Reply-To"] == "<2@a>"
    again = compose(escalation(), references=("<1@a>", last["Message-ID"]))  # repeated: it does not refer to itself
    assert parse(again)["References"] == f"{alone['References']} <1@a>"
    many = parse(compose(escalation(), references=tuple(f"<{number}@{'a' * 60}.example>" for number in range(100))))
    assert many["References"].startswith(alone["References"])
    assert many["References"].endswith(many["In-Reply-To"])
    assert len(many["References"]) <= 900


def test_the_thread_index_has_the_format_of_exchange() -> None:
    index = b64decode(parse(compose(escalation()))["Thread-Index"])
    assert (len(index), index[0]) == (22, 1)
    hundred_nanoseconds = int.from_bytes(index[1:6] + bytes(3), "big")
    opened = datetime(1601, 1, 1, tzinfo=UTC) + timedelta(microseconds=hundred_nanoseconds / 10)
    assert timedelta(0) <= escalation().ticket.opened_at - opened < timedelta(seconds=2)


def test_a_reopened_ticket_starts_another_conversation() -> None:
    first, second, third = (parse(compose(escalation(cycle=cycle))) for cycle in (1, 2, 3))
    assert second["Subject"] == first["Subject"] + " (reopened)"
    assert third["Subject"] == first["Subject"] + " (reopened 2 times)"
    for name in ("References", "Thread-Index"):
        assert len({mail[name] for mail in (first, second, third)}) == 3
    long = ticket(summary="x" * 5000)
    subjects = [parse(compose(escalation(long, cycle=cycle)))["Subject"] for cycle in (1, 2)]
    assert subjects[1] == subjects[0] + " (reopened)"


def test_the_message_id_is_the_same_in_every_attempt_and_differs_by_reader_and_redelivery() -> None:
    first = compose(escalation())
    assert compose(escalation(), now=NOW + timedelta(hours=1), late=True).message_id == first.message_id
    assert compose(escalation(), reader=replace(READER, person="kim")).message_id != first.message_id
    again = [compose(escalation(), redelivery=Redelivery("key", NOW, number)).message_id for number in (1, 2, 2)]
    assert again[1] == again[2]
    assert len({first.message_id, *again}) == 3


def test_the_date_is_the_instant_of_the_event() -> None:
    late = compose(escalation(), now=NOW + timedelta(days=1), late=True)
    assert parse(late)["Date"].datetime == escalation().at
    asked = Redelivery("key", NOW + timedelta(days=2), 1)
    assert parse(compose(escalation(), redelivery=asked))["Date"].datetime == asked.at


@pytest.mark.parametrize(
    ("email", "address"),
    [
        ("dana@münchen.example", "dana@xn--mnchen-3ya.example"),
        ("dana@straße.example", "dana@xn--strae-oqa.example"),
        ("josé@example.com", "josé@example.com"),
        ("δοκιμή@παράδειγμα.example", "δοκιμή@xn--hxajbheg2az3al.example"),
    ],
)
def test_non_ascii_addresses(email: str, address: str) -> None:
    mail = compose(escalation(), reader=replace(READER, email=email))
    assert mail.recipient == address
    assert f"<{address}>\r\n".encode() in mail.raw
    assert [to.address for to in parse_email(mail.raw).to] == [address]
    assert mail.raw.isascii() is address.isascii()


def test_an_impossible_address_is_refused() -> None:
    with pytest.raises(UnmailableAddressError, match=r"^553 the domain of dana@localhost is invalid"):
        compose(escalation(), reader=replace(READER, email="dana@localhost"))


INJECTION = "=?utf-8?q?a=0D=0ABcc=3A_x@evil.example?="
DANGEROUS = [
    "\r\n",
    "\n",
    "\r",
    "\x00",
    "\x0b",
    "\x85",
    "\u2028",
    "\u2029",
    "\u202e",
    "\u200f",
    "\ud800",
    "\u200d",
    "\t",
]
DANGEROUS += [
    " ",
    "=?",
    "?=",
    "=",
    "?",
    "utf-8?q?",
    "=0D=0A",
    "Bcc: x@evil.example",
    "<x@evil.example>",
    ",",
    '"',
    "\\",
]
DANGEROUS += ["--", "{{", "{%", "]", "\U0001f600", "é", "a", "א", "a" * 90, "Ω" * 90, "\U0001f600" * 250_000]
hostile = st.one_of(st.text(max_size=60), st.lists(st.sampled_from(DANGEROUS), max_size=12).map("".join))
HUGE = 1_000_000


def hostile_ticket(summary: str, external: str, customer: str, service: str, contact: str) -> Ticket:
    return ticket().model_copy(
        update={
            "summary": summary,
            "description": f"{contact}\n{summary}",
            "assignee": Assignee.model_construct(name=contact, email=external),
            "external_id": external,
            "affected_services": (service,),
            "customer": Customer.model_construct(id="x", name=customer),
            "contact": Contact.model_construct(name=contact, email=contact, phone=contact),
        }
    )


@given(
    kind=st.sampled_from(NOTIFICATIONS),
    summary=hostile,
    external=hostile,
    name=hostile,
    customer=hostile,
    service=hostile,
    rule=hostile,
)
@example(NOTIFICATIONS[0], INJECTION, INJECTION, INJECTION, INJECTION, INJECTION, INJECTION)
@example(NOTIFICATIONS[4], "a", "a", "=?Bcc: x@evil.example" + "a" * 80, "a", "a", "a")
@example(NOTIFICATIONS[1], '"', "\\", '"\\" <x@evil.example>, y@evil.example', ",", ";", ":")
@example(NOTIFICATIONS[0], "x" * HUGE, "y" * HUGE, "z" * HUGE, "é" * HUGE, "=?" * HUGE, "\r\n" * HUGE)
@example(NOTIFICATIONS[2], "x" * HUGE, "y" * HUGE, "z" * HUGE, "é" * HUGE, "=?" * HUGE, "\r\n" * HUGE)
@example(
    NOTIFICATIONS[4], "\U0001f600" * HUGE, "\u202e" * HUGE, "<" * HUGE, "&" * HUGE, '"' * HUGE, "\U0001f600" * HUGE
)
@example(
    NOTIFICATIONS[3], "\U0001f600" * HUGE, "\u202e" * HUGE, "<" * HUGE, "&" * HUGE, '"' * HUGE, "\U0001f600" * HUGE
)
def test_no_text_changes_the_headers_the_recipient_or_the_size(
    kind: tuple[Notification, list[str]],
    summary: str,
    external: str,
    name: str,
    customer: str,
    service: str,
    rule: str,
) -> None:
    reader = replace(READER, name=name, role_title=summary, rule=rule, instead_of=external)
    sample, own = kind
    of = hostile_ticket(summary, external, customer, service, name)
    asked = {"requested_by": name, "requested_reason": rule, "acknowledgements": (Acknowledgement(at=NOON, by=name),)}
    notification = sample.model_copy(update={"ticket": of, "target": rule, "interval": rule} | asked)
    earlier = EarlierMail(1, customer, name, NOON, NOON)
    mail = compose(notification, earlier, reader=reader, redelivery=Redelivery(rule, NOW, 1))
    parsed = parse(mail)
    assert mail.recipient == "dana@example.com"
    assert sorted(parsed.keys()) == sorted([*expected(notification, own), "Tocsin-Redelivery"])
    assert [address.addr_spec for address in parsed["To"].addresses] == ["dana@example.com"]
    assert [address.addr_spec for address in parsed["From"].addresses] == ["tocsin@example.com"]
    text, html = parsed.iter_parts()
    assert [part.get_content().replace("\r\n", "\n") for part in (text, html)] == [mail.text, mail.html]
    legacy = message_from_bytes(mail.raw)
    assert sorted(legacy.keys()) == sorted(parsed.keys())
    assert [address for _, address in getaddresses([str(legacy["To"])])] == ["dana@example.com"]
    other = parse_email(mail.raw)
    assert sorted(other.headers) == sorted(parsed.keys())
    assert [address.address for address in other.to] == ["dana@example.com"]
    assert all(len(line) <= 998 for line in mail.raw.split(b"\r\n"))
    assert b"\n" not in mail.raw.replace(b"\r\n", b"")
    mail.raw.decode("ascii")
    assert len(mail.html.encode()) < 100_000  # Gmail cuts off what is longer
    assert len(mail.raw) < 200_000


@given(name=hostile, summary=hostile)
@example('"josé" <x@evil.example>, ', INJECTION)
def test_no_text_changes_a_non_ascii_recipient(name: str, summary: str) -> None:
    reader = replace(READER, name=name, email="josé@example.com")
    mail = compose(escalation(ticket().model_copy(update={"summary": summary})), reader=reader)
    assert [address.address for address in parse_email(mail.raw).to] == ["josé@example.com"]
    parsed = message_from_string(mail.raw.decode(), policy=default)
    assert sorted(parsed.keys()) == expected(escalation(), OF_A_STEP)
    assert [address.addr_spec for address in parsed["To"].addresses] == ["josé@example.com"]
    assert mail.raw.replace("josé".encode(), b"").isascii()


def test_a_megabyte_in_every_field_takes_little_time() -> None:
    huge = "\U0001f600" * HUGE
    notification = escalation(hostile_ticket(huge, huge, huge, huge, huge), target=huge)
    compose(notification)
    began = time.process_time()
    for _ in range(20):
        compose(notification)
    assert (time.process_time() - began) / 20 < 0.05


INTENDED: dict[str, Any] = {
    "sender": ("Tocsin", "t@example.com"),
    "to": ("Dana", "d@example.com"),
    "headers": [("Subject", "a")],
    "text": "text",
    "html": "html",
    "boundary": "x",
}


@pytest.mark.parametrize(
    ("harmful", "problem"),
    [
        ({"headers": [("Subject", "a\r\nBcc: x@evil.example")]}, r"headers: \['Bcc'\]"),
        ({"headers": [("Subject", "=?utf-8?q?a=0D=0ABcc=3A_x@evil.example?=")]}, "encoded word"),
        ({"headers": [("Subject", "a"), ("Subject", "b")]}, "Subject is repeated"),
        ({"headers": [("To", "x@evil.example")]}, "To is repeated"),
        ({"to": ("Dana\r\nBcc: x@evil.example", "d@example.com")}, r"headers: \['Bcc'\]"),
        ({"boundary": 'x"\r\nBcc: x@evil.example\r\nX: "'}, r"headers: \['Bcc', 'X'\]"),
        ({"boundary": 'x"\r\nTo: "x@evil.example'}, "headers: duplicates"),
        ({"headers": [("Subject", "a"), ("\r\nX", "None")]}, r"'Content-Type', 'MIME-Version'\]"),
        ({"headers": [("Subject", "a\nBcc: x@evil.example")]}, "control character"),
        ({"headers": [("Subject", "a\rBcc: x@evil.example")]}, "control character"),
        ({"headers": [("Subject", "a\r\n Bcc: x@evil.example")]}, "not a header"),
        ({"headers": [("Subject", "a\r\n\tBcc: x@evil.example")]}, "control character"),
        ({"to": ("Dana\n", "d@example.com")}, "control character"),
        ({"to": ("Dana", "d@example.com>, <x@evil.example")}, "To reads .*'d@example.com', 'x@evil.example'"),
        ({"sender": ("Tocsin", "t@example.com>, <x@evil.example")}, "From reads .*'t@example.com', 'x@evil.example'"),
    ],
)
def test_an_injected_header_or_recipient_is_never_sent(harmful: dict[str, Any], problem: str) -> None:
    with pytest.raises(UnsafeMailError, match=problem):
        serialise(**(INTENDED | harmful))


@pytest.mark.parametrize(
    "text", sorted({text for text in DANGEROUS if text.isascii()} | {"a", '"', "\\", ":", " ", ",;<>@"})
)
def test_what_is_not_sanitised_is_refused_or_read_as_it_was_meant(text: str) -> None:
    """By every parser: the check of a message is our own, and must be as strict as they are."""
    value = f"a{text}Bcc: x@evil.example"
    try:
        raw = serialise(**(INTENDED | {"headers": [("Subject", value)], "to": (value, "d@example.com")}))
    except UnsafeMailError:
        return
    parsed = message_from_bytes(raw, policy=default)
    for keys in (message_from_bytes(raw).keys(), parsed.keys()):
        assert keys == ["From", "To", "Subject", "MIME-Version", "Content-Type"]
    assert parsed["Subject"] == value
    assert [address.address for address in parse_email(raw).to] == ["d@example.com"]
    assert len(parse_email(raw).headers) == 5
