"""What a mail says, and that nothing a ticket holds can change what it is."""

from dataclasses import replace
from datetime import datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from email.utils import getaddresses
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from notifier.message import Mail, compose
from notifier.wording import Reader, Told, distance
from notifier_events import NOON, TIERS, about_clock, escalation, stand_down, ticket
from tocsin.events import Contact, Customer, Notify, StandDown, Upcoming
from tocsin.moments import moment

NOW = NOON + timedelta(hours=1, minutes=5)
NEW_YORK = ZoneInfo("America/New_York")
READER = Reader(
    "dana", "Dana Østergård", "dana@example.com", "service_desk_team_lead", "Service Desk Team Lead", 1, "default"
)
PLUMBING = ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"]
COMMON = ["Tocsin-Kind", "Tocsin-Ticket", "Tocsin-External-Id", "Tocsin-Severity", "Tocsin-Cycle"]
COMMON += ["Tocsin-Scheduled-At"]


def mailed(notice: Notify | StandDown, *told: Told, late: bool = False, reader: Reader = READER) -> Mail:
    return compose(notice, reader, told, now=NOW, late=late, sender="tocsin@example.com", zone=NEW_YORK)


def parse(mail: Mail) -> EmailMessage:
    parsed = message_from_bytes(mail.raw, policy=default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def test_an_escalation_carries_exactly_its_headers() -> None:
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
    assert sorted(name for name in parsed if not name.startswith("Tocsin-")) == sorted(PLUMBING)
    assert parsed["Auto-Submitted"] == "auto-generated"


@pytest.mark.parametrize(
    ("notice", "extra"),
    [
        (about_clock("warning"), ["Tocsin-Clock"]),
        (about_clock("response_missed"), ["Tocsin-Clock"]),
        (about_clock("answer_missed"), ["Tocsin-Clock"]),
        (stand_down(), ["Tocsin-Run"]),
        (stand_down(run=None, clock="response", reason="voided"), ["Tocsin-Clock"]),
    ],
    ids=["warning", "response", "answer", "ladder", "clock"],
)
def test_other_kinds_say_which_clock_or_run(notice: Notify | StandDown, extra: list[str]) -> None:
    parsed = parse(mailed(notice))
    assert [name for name in parsed if name.startswith("Tocsin-")] == COMMON + extra


def test_a_late_mail_says_so_in_a_header_and_in_words() -> None:
    mail = mailed(escalation(), late=True)
    assert parse(mail)["Tocsin-Late"] == "yes"
    assert "This mail is late: it was scheduled for 2026-06-08 13:00 UTC (09:00 EDT)." in mail.text
    assert "This mail is late" not in mailed(escalation()).text


def test_what_is_wrong_what_was_promised_why_you_who_before_and_who_next_on_one_screen() -> None:
    tiers = [(1, "Service Desk Team Lead", "Kim"), (2, "Senior IT Operations Manager", None)]
    told = [Told(tier, title, name, NOON, NOON + timedelta(seconds=1) if name else None) for tier, title, name in tiers]
    assert mailed(escalation(), *told).text.splitlines() == [
        "Severity 1: resolution overdue, escalated to tier 1",
        "",
        "Ticket:      SR-1042: Mail is down",
        "Customer:    Acme",
        "Affected:    Email",
        "Contact:     Sam, sam@acme.example",
        "Severity:    1 (Critical)",
        "Promised:    resolution within 24 hours",
        "Due:         2026-06-08 13:00 UTC (09:00 EDT), 5 min ago",
        "",
        "Why you:     you are Service Desk Team Lead (tier 1) for Acme",
        "Told before: tier 1, Service Desk Team Lead: Kim, mailed 2026-06-08 12:00:01 UTC (08:00 EDT)",
        "             tier 2, Senior IT Operations Manager, scheduled 2026-06-08 12:00 UTC (08:00 EDT), nobody mailed",
        "Told next:   tier 2, Senior IT Operations Manager, at 2026-06-08 14:00 UTC (10:00 EDT), in 55 min, "
        "unless the ticket is resolved or acknowledged before",
        "",
        "Opened 2026-06-08 12:00 UTC (08:00 EDT) in connectwise. "
        "Ticket id 00000000-0000-0000-0000-000000000007, cycle 1.",
    ]


@pytest.mark.parametrize(
    ("notice", "subject"),
    [
        (escalation(), "[SR-1042] Severity 1: resolution overdue, escalated to tier 1 - Mail is down"),
        (
            escalation(reason="no_response"),
            "[SR-1042] Severity 1: nobody has responded, escalated to tier 1 - Mail is down",
        ),
        (escalation(reason="explicit"), "[SR-1042] Severity 1: escalated on request to tier 1 - Mail is down"),
        (about_clock("warning"), "[SR-1042] Severity 1: response due soon - Mail is down"),
        (about_clock("answer_missed"), "[SR-1042] Severity 1: answer missed - Mail is down"),
        (stand_down(reason="cancelled"), "[SR-1042] Stand down: cancelled - Mail is down"),
    ],
)
def test_a_subject_begins_with_the_tickets_own_id_and_says_what_is_wrong(
    notice: Notify | StandDown, subject: str
) -> None:
    assert mailed(notice).subject == subject


def test_a_customers_own_holder_is_told_why_it_is_them() -> None:
    own = replace(READER, rule="customer acme")
    assert "(tier 1) for Acme, by the directory's entry for customer acme" in mailed(escalation(), reader=own).text
    assert "default" not in mailed(escalation()).text


def test_an_earlier_mail_whose_outcome_is_open_is_not_claimed_to_have_arrived() -> None:
    text = mailed(escalation(), Told(1, "Service Desk Team Lead", "Kim", NOON, None)).text
    assert "Kim, scheduled 2026-06-08 12:00 UTC (08:00 EDT), mail not confirmed" in text


def test_unconfirmed_is_said_plainly() -> None:
    assert "Unconfirmed: the front door for tickets has been silent" in mailed(escalation(unconfirmed=True)).text


def test_a_vacant_tier_and_the_end_of_the_ladder_are_told() -> None:
    text = mailed(escalation(skipped=(TIERS[2],), upcoming=Upcoming(at=NOON + timedelta(hours=2)))).text
    assert "tier 2, Senior IT Operations Manager: vacant, skipped" in text
    assert "no tier is left above, and at 2026-06-08 14:00 UTC (10:00 EDT) the ladder is exhausted" in text


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("resolved", "The ticket was resolved at"),
        ("workaround", "The ticket was given a workaround at"),
        ("cancelled", "The ticket was cancelled at"),
        ("voided", "Late evidence shows that what you were mailed about did not happen."),
    ],
)
def test_a_stand_down_says_why(reason: str, words: str) -> None:
    assert words in mailed(stand_down(reason=reason)).text


def test_the_message_id_is_the_same_at_every_attempt_and_another_for_another_reader() -> None:
    later = compose(escalation(), READER, (), now=NOW + timedelta(hours=1), late=True, sender="tocsin@example.com")
    other = Reader("kim", "Kim", "kim@example.com", "x", "X", None, "default")
    assert mailed(escalation()).message_id == later.message_id
    assert mailed(escalation(), reader=other).message_id != later.message_id


def test_html_shows_a_hostile_summary_as_text() -> None:
    html = mailed(escalation(ticket(summary="<script>alert(1)</script>"))).html
    assert "<script" not in html
    assert "&lt;script&gt;" in html


INJECTION = "=?utf-8?q?a=0D=0ABcc=3A_x@evil.example?="
DANGEROUS = ["\r\n", "\n", "\r", "\x00", "\x0b", "\x85", "\u2028", "\u2029", "\u202e", "\ud800", "\u200d", "\t", " "]
DANGEROUS += [
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
    "--",
]
DANGEROUS += ["\U0001f600", "é", "a", "a" * 90, "Ω" * 90]
hostile = st.one_of(st.text(max_size=60), st.lists(st.sampled_from(DANGEROUS), max_size=12).map("".join))


@given(summary=hostile, external=hostile, name=hostile, customer=hostile, service=hostile, rule=hostile)
@example(INJECTION, INJECTION, INJECTION, INJECTION, INJECTION, INJECTION)
@example("a", "a", "=?Bcc: x@evil.example" + "a" * 80, "a", "a", "a")
@example('"', "\\", '"\\" <x@evil.example>, y@evil.example', ",", ";", ":")
@example("x" * 1_000_000, "y" * 5000, "z" * 5000, "é" * 5000, "=?" * 5000, "\r\n" * 5000)
def test_no_text_changes_the_headers_or_the_recipient(
    summary: str, external: str, name: str, customer: str, service: str, rule: str
) -> None:
    hostile_ticket = ticket().model_copy(
        update={
            "summary": summary,
            "external_id": external,
            "affected_services": (service,),
            "customer": Customer.model_construct(id="x", name=customer),
            "contact": Contact.model_construct(name=name, email=None, phone=None),
        }
    )
    reader = Reader("dana", name, "dana@example.com", "r", summary, 1, rule)
    for notice in (escalation(hostile_ticket), stand_down(hostile_ticket)):
        mail = mailed(notice.model_copy(update={"target": rule}), Told(1, customer, name, NOON, NOON), reader=reader)
        kind_headers = ["Tocsin-Run", "Tocsin-Step", "Tocsin-Tier", "Tocsin-Reason"]
        expected = PLUMBING + COMMON + (kind_headers if isinstance(notice, Notify) else ["Tocsin-Run"])
        parsed = parse(mail)
        assert sorted(parsed.keys()) == sorted(expected)
        assert [address.addr_spec for address in parsed["To"].addresses] == ["dana@example.com"]
        text, html = parsed.iter_parts()
        assert [part.get_content().replace("\r\n", "\n") for part in (text, html)] == [mail.text, mail.html]
        legacy = message_from_bytes(mail.raw)
        assert sorted(legacy.keys()) == sorted(expected)
        assert [address for _, address in getaddresses([str(legacy["To"])])] == ["dana@example.com"]
        assert all(len(line) <= 998 for line in mail.raw.split(b"\r\n"))
        assert b"\n" not in mail.raw.replace(b"\r\n", b"")
        mail.raw.decode("ascii")


@pytest.mark.parametrize(
    ("apart", "words"),
    [
        (timedelta(0), "just now"),
        (timedelta(seconds=59), "59 s ago"),
        (timedelta(hours=1, minutes=5, seconds=9), "1 h 5 min ago"),
        (timedelta(days=2), "2 d ago"),
        (-timedelta(minutes=3), "in 3 min"),
    ],
)
def test_distances_in_words(apart: timedelta, words: str) -> None:
    assert distance(NOW - apart, NOW) == words


@pytest.mark.parametrize(
    ("at", "zone", "words"),
    [
        (NOON, "America/New_York", "2026-06-08 12:00 UTC (08:00 EDT)"),
        (NOON + timedelta(seconds=7, microseconds=9), "America/New_York", "2026-06-08 12:00:07 UTC (08:00 EDT)"),
        (NOON + timedelta(hours=14), "America/New_York", "2026-06-09 02:00 UTC (2026-06-08 22:00 EDT)"),
        (NOON, "Asia/Kathmandu", "2026-06-08 12:00 UTC (17:45 +0545)"),
        (NOON, "UTC", "2026-06-08 12:00 UTC"),
    ],
)
def test_instants_in_utc_and_in_a_zone(at: datetime, zone: str, words: str) -> None:
    assert moment(at, ZoneInfo(zone)) == words
