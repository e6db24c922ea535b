"""What a message is made of, read by two independent parsers; and that nothing a ticket holds can change what it is."""

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
from notifier.domain.message import Mail, UnmailableAddress
from notifier.domain.mime import UnsafeMail, serialise
from notifier.domain.template_context import Redelivery, Told
from notifier.domain.template_samples import kinds
from support.notifier_events import NOON, about_clock, escalation, stand_down, ticket
from support.notifier_mails import NOW, READER, letters, mailed, parse
from tocsin.events import Contact, Customer, Notify, StandDown, Ticket

PLUMBING = ["From", "To", "Subject", "Date", "Message-ID", "In-Reply-To", "References", "Thread-Topic", "Thread-Index"]
PLUMBING += ["Auto-Submitted", "X-Auto-Response-Suppress", "MIME-Version", "Content-Type"]
COMMON = ["Tocsin-Kind", "Tocsin-Ticket", "Tocsin-External-Id", "Tocsin-Severity", "Tocsin-Cycle"]
COMMON += ["Tocsin-Scheduled-At"]
OF_A_STEP = ["Tocsin-Run", "Tocsin-Step", "Tocsin-Tier", "Tocsin-Reason"]

NOTICES: list[tuple[Notify | StandDown, list[str]]] = [
    (escalation(), OF_A_STEP),
    (about_clock("warning"), ["Tocsin-Clock"]),
    (about_clock("response_missed"), ["Tocsin-Clock"]),
    (about_clock("answer_missed"), ["Tocsin-Clock"]),
    (stand_down(), ["Tocsin-Run"]),
    (stand_down(run=None, clock="response", reason="voided"), ["Tocsin-Clock"]),
]
"""One of each kind, and the headers that this kind alone has."""


def expected(notice: Notify | StandDown, own: list[str]) -> list[str]:
    return sorted([*PLUMBING, *(["Importance"] if notice.severity == 1 else []), *COMMON, *own])


def test_an_escalation_says_which_step_of_which_ticket_it_is() -> None:
    parsed = parse(mailed(escalation()))
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
    ("notice", "own"), NOTICES, ids=["escalation", "warning", "response", "answer", "ladder", "clock"]
)
@pytest.mark.parametrize("severity", [1, 2])
def test_each_kind_carries_exactly_its_headers(notice: Notify | StandDown, own: list[str], severity: int) -> None:
    notice = notice.model_copy(update={"severity": severity})
    parsed = parse(mailed(notice))
    assert sorted(parsed.keys()) == expected(notice, own)
    assert [name for name in parsed if name.startswith("Tocsin-")] == COMMON + own
    assert (parsed["Auto-Submitted"], parsed["X-Auto-Response-Suppress"]) == ("auto-generated", "All")


def test_what_only_some_mails_carry() -> None:
    assert parse(mailed(escalation(), late=True))["Tocsin-Late"] == "yes"
    assert parse(mailed(escalation(), redelivery=Redelivery("key", NOW, 3)))["Tocsin-Redelivery"] == "3"
    assert parse(mailed(escalation(), by=letters(reply_to="desk@example.com")))["Reply-To"] == "desk@example.com"
    assert parse(mailed(escalation()))["Importance"] == "high"
    assert all("Importance" not in parse(mailed(escalation(severity=severity))) for severity in (2, 3, 4))


@pytest.mark.parametrize("kind", kinds())
def test_two_parsers_read_the_same_in_a_mail_of_each_kind(kind: str) -> None:
    sample = kinds()[kind]
    mail = mailed(sample.notice, *sample.told, reader=sample.reader, now=sample.now)
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
    for told, found, part in ((mail.text, other.text_plain, "plain"), (mail.html, other.text_html, "html")):
        body = ours.get_body((part,))
        assert body is not None
        assert [text.replace("\r\n", "\n").rstrip("\n") for text in (*found, body.get_content())] == [
            told.rstrip("\n")
        ] * 2


def _addresses(parsed: Any) -> dict[str, list[str]]:
    """The two fields whose quotes one parser keeps and the other takes off."""
    return {name: parsed.headers[name] for name in ("From", "To")}


def mails_of_a_ticket() -> list[Mail]:
    other = replace(READER, person="kim", email="kim@example.com")
    return [
        mailed(about_clock("warning", event_id=UUID(int=4))),
        mailed(about_clock("response_missed", event_id=UUID(int=3)), now=NOW + timedelta(days=3), late=True),
        mailed(escalation(event_id=UUID(int=2), severity=3), reader=other),
        mailed(escalation(), redelivery=Redelivery("key", NOW, 1)),
        mailed(stand_down()),
    ]


def test_the_mails_of_a_cycle_are_one_conversation() -> None:
    parsed = [parse(mail) for mail in mails_of_a_ticket()]
    assert len({mail["Message-ID"] for mail in parsed}) == len(parsed)
    for name in ("Subject", "References", "In-Reply-To", "Thread-Topic", "Thread-Index"):
        assert len({mail[name] for mail in parsed}) == 1, name
    assert parsed[0]["References"] == parsed[0]["In-Reply-To"]
    assert parsed[0]["References"] not in {mail["Message-ID"] for mail in parsed}
    assert parsed[0]["Subject"] == "[SR-1042] Acme: Mail is down"


def test_a_mail_refers_to_what_its_reader_was_mailed_before() -> None:
    alone, last = parse(mailed(about_clock("warning"))), parse(mailed(escalation(), before=["<1@a>", "<2@a>"]))
    assert last["References"] == f"{alone['References']} <1@a> <2@a>"
    assert last["In-Reply-To"] == "<2@a>"
    again = mailed(escalation(), before=["<1@a>", last["Message-ID"]])  # its answer was lost: it is no reply to itself
    assert parse(again)["References"] == f"{alone['References']} <1@a>"
    many = parse(mailed(escalation(), before=[f"<{number}@{'a' * 60}.example>" for number in range(100)]))
    assert many["References"].startswith(alone["References"])
    assert many["References"].endswith(many["In-Reply-To"])
    assert len(many["References"]) <= 900


def test_the_thread_index_is_as_exchange_writes_it() -> None:
    index = b64decode(parse(mailed(escalation()))["Thread-Index"])
    assert (len(index), index[0]) == (22, 1)
    hundred_nanoseconds = int.from_bytes(index[1:6] + bytes(3), "big")
    opened = datetime(1601, 1, 1, tzinfo=UTC) + timedelta(microseconds=hundred_nanoseconds / 10)
    assert timedelta(0) <= escalation().ticket.opened_at - opened < timedelta(seconds=2)


def test_a_reopened_ticket_is_another_conversation_whose_subject_begins_alike() -> None:
    first, second, third = (parse(mailed(escalation(cycle=cycle))) for cycle in (1, 2, 3))
    assert second["Subject"] == first["Subject"] + " (reopened)"
    assert third["Subject"] == first["Subject"] + " (reopened 2 times)"
    for name in ("References", "Thread-Index"):
        assert len({mail[name] for mail in (first, second, third)}) == 3
    long = ticket(summary="x" * 5000)
    subjects = [parse(mailed(escalation(long, cycle=cycle)))["Subject"] for cycle in (1, 2)]
    assert subjects[1] == subjects[0] + " (reopened)"


def test_the_message_id_is_the_same_at_every_attempt_and_another_for_another_reader() -> None:
    first = mailed(escalation())
    assert mailed(escalation(), now=NOW + timedelta(hours=1), late=True).message_id == first.message_id
    assert mailed(escalation(), reader=replace(READER, person="kim")).message_id != first.message_id
    again = [mailed(escalation(), redelivery=Redelivery("key", NOW, number)).message_id for number in (1, 2, 2)]
    assert again[1] == again[2]
    assert len({first.message_id, *again}) == 3


def test_the_date_is_that_of_the_event() -> None:
    late = mailed(escalation(), now=NOW + timedelta(days=1), late=True)
    assert parse(late)["Date"].datetime == escalation().at
    asked = Redelivery("key", NOW + timedelta(days=2), 1)
    assert parse(mailed(escalation(), redelivery=asked))["Date"].datetime == asked.at


@pytest.mark.parametrize(
    ("email", "on_the_wire"),
    [
        ("dana@münchen.example", "dana@xn--mnchen-3ya.example"),
        ("dana@straße.example", "dana@xn--strae-oqa.example"),
        ("josé@example.com", "josé@example.com"),
        ("δοκιμή@παράδειγμα.example", "δοκιμή@xn--hxajbheg2az3al.example"),
    ],
)
def test_addresses_that_are_not_ascii(email: str, on_the_wire: str) -> None:
    mail = mailed(escalation(), reader=replace(READER, email=email))
    assert mail.recipient == on_the_wire
    assert f"<{on_the_wire}>\r\n".encode() in mail.raw
    assert [address.address for address in parse_email(mail.raw).to] == [on_the_wire]
    assert mail.raw.isascii() is on_the_wire.isascii()


def test_an_address_that_no_server_can_take_is_refused_in_words() -> None:
    with pytest.raises(UnmailableAddress, match=r"^553 the domain of dana@localhost cannot be"):
        mailed(escalation(), reader=replace(READER, email="dana@localhost"))


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
            "external_id": external,
            "affected_services": (service,),
            "customer": Customer.model_construct(id="x", name=customer),
            "contact": Contact.model_construct(name=contact, email=contact, phone=contact),
        }
    )


@given(
    kind=st.sampled_from(NOTICES),
    summary=hostile,
    external=hostile,
    name=hostile,
    customer=hostile,
    service=hostile,
    rule=hostile,
)
@example(NOTICES[0], INJECTION, INJECTION, INJECTION, INJECTION, INJECTION, INJECTION)
@example(NOTICES[4], "a", "a", "=?Bcc: x@evil.example" + "a" * 80, "a", "a", "a")
@example(NOTICES[1], '"', "\\", '"\\" <x@evil.example>, y@evil.example', ",", ";", ":")
@example(NOTICES[0], "x" * HUGE, "y" * HUGE, "z" * HUGE, "é" * HUGE, "=?" * HUGE, "\r\n" * HUGE)
@example(NOTICES[2], "x" * HUGE, "y" * HUGE, "z" * HUGE, "é" * HUGE, "=?" * HUGE, "\r\n" * HUGE)
@example(NOTICES[4], "\U0001f600" * HUGE, "\u202e" * HUGE, "<" * HUGE, "&" * HUGE, '"' * HUGE, "\U0001f600" * HUGE)
@example(NOTICES[3], "\U0001f600" * HUGE, "\u202e" * HUGE, "<" * HUGE, "&" * HUGE, '"' * HUGE, "\U0001f600" * HUGE)
def test_no_text_changes_the_headers_the_recipient_or_the_size(
    kind: tuple[Notify | StandDown, list[str]],
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
    notice = sample.model_copy(update={"ticket": of, "target": rule, "interval": rule})
    told = Told(1, customer, name, NOON, NOON)
    mail = mailed(notice, told, reader=reader, redelivery=Redelivery(rule, NOW, 1))
    parsed = parse(mail)
    assert mail.recipient == "dana@example.com"
    assert sorted(parsed.keys()) == sorted([*expected(notice, own), "Tocsin-Redelivery"])
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
def test_no_text_changes_a_recipient_that_is_not_ascii(name: str, summary: str) -> None:
    reader = replace(READER, name=name, email="josé@example.com")
    mail = mailed(escalation(ticket().model_copy(update={"summary": summary})), reader=reader)
    assert [address.address for address in parse_email(mail.raw).to] == ["josé@example.com"]
    parsed = message_from_string(mail.raw.decode(), policy=default)
    assert sorted(parsed.keys()) == expected(escalation(), OF_A_STEP)
    assert [address.addr_spec for address in parsed["To"].addresses] == ["josé@example.com"]
    assert mail.raw.replace("josé".encode(), b"").isascii()


def test_a_megabyte_in_every_field_costs_hardly_more_than_a_word() -> None:
    huge = "\U0001f600" * HUGE
    notice = escalation(hostile_ticket(huge, huge, huge, huge, huge), target=huge)
    mailed(notice)
    began = time.process_time()
    for _ in range(20):
        mailed(notice)
    assert (time.process_time() - began) / 20 < 0.05


MEANT: dict[str, Any] = {
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
        ({"headers": [("Subject", "a\r\nBcc: x@evil.example")]}, r"headers \['bcc'\] are not ours"),
        ({"headers": [("Subject", "=?utf-8?q?a=0D=0ABcc=3A_x@evil.example?=")]}, "Subject reads 'a"),
        ({"headers": [("Subject", "a"), ("Subject", "b")]}, "Subject reads 'a'"),
        ({"headers": [("To", "x@evil.example")]}, "To reads"),
        ({"to": ("Dana\r\nBcc: x@evil.example", "d@example.com")}, r"headers \['bcc'\] are not ours"),
        ({"boundary": 'x"\r\nBcc: x@evil.example\r\nX: "'}, r"headers \['bcc', 'x'\] are not ours"),
        ({"boundary": 'x"\r\nTo: "x@evil.example'}, "headers doubled are not ours"),
        ({"headers": [("Subject", "a"), ("\r\nX", "None")]}, r"'content-type', 'mime-version'\] are not ours"),
        ({"to": ("Dana", "d@example.com>, <x@evil.example")}, "To reads .*'d@example.com', 'x@evil.example'"),
        ({"sender": ("Tocsin", "t@example.com>, <x@evil.example")}, "From reads .*'t@example.com', 'x@evil.example'"),
    ],
)
def test_what_was_not_made_harmless_never_leaves(harmful: dict[str, Any], problem: str) -> None:
    with pytest.raises(UnsafeMail, match=problem):
        serialise(**(MEANT | harmful))
