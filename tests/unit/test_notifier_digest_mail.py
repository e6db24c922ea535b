"""The mail of a digest: what it lists, its headers, and that no text of a ticket gets out of its line."""

from datetime import timedelta
from email import message_from_bytes
from email.policy import default
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from notifier.domain.delivery import Now
from notifier.domain.digest_mail import DigestContext, DigestItem, as_item, build_digest, render_digest
from notifier.domain.message import Mail, MailSender
from notifier.domain.new_delivery import delivery_for
from notifier.handlers.claims import Claim, ClaimedMail
from notifier.sources.mail_templates import built_in_templates
from notifier.workers.composer import MailComposer
from support.notifier_events import NOON, about_clock, stand_down, ticket
from support.notifier_mails import COMPOSER, NEW_YORK, NOW, READER, make_composer
from tocsin.events import Notify

pytestmark = pytest.mark.rule("5.31")

HOUR = timedelta(hours=1)
SENDER = MailSender("tocsin@example.com", "desk@example.com")
DIGEST = UUID(int=77)


def warning(number: int, **fields: Any) -> Notify:
    of = ticket(ticket_id=UUID(int=number), external_id=f"SR-{number}", **fields.pop("of", {}))
    own = {"severity": 3, "at": NOW, "due_at": NOW + number * HOUR} | fields
    return about_clock("warning", ticket=of, event_id=UUID(int=number), **own)


def digest(*notifies: Notify, **changed: Any) -> DigestContext:
    given_fields: dict[str, Any] = {
        "digest_id": DIGEST,
        "items": [DigestItem(notify, is_late=False) for notify in notifies],
        "reader": READER,
        "role_titles": [READER.role_title],
        "now": NOW,
        "zone": NEW_YORK,
    }
    return DigestContext(**given_fields | changed)


def build(context: DigestContext) -> Mail:
    return build_digest(context, render_digest(context, built_in_templates()), SENDER)


def test_a_clock_whose_warning_and_miss_are_both_in_the_digest_is_listed_once() -> None:
    warned = [warning(number, due_at=NOON) for number in (1, 2)]
    missed = about_clock("response_missed", ticket=warned[0].ticket, event_id=UUID(int=3), severity=3, due_at=NOON)
    text = build(digest(*warned, missed)).text
    assert text.startswith("2 tickets of severity 3 or 4\n")
    assert (text.count("SR-1:"), text.count("Response missed")) == (1, 1)
    assert (text.count("SR-2:"), text.count("Response was due")) == (1, 1)


def test_the_headers_of_a_digest() -> None:
    parsed = message_from_bytes(build(digest(warning(2), warning(1))).raw, policy=default)
    assert [name for name in parsed.keys() if name.startswith("Tocsin")] == ["Tocsin-Kind", *["Tocsin-Ticket"] * 2]  # noqa: SIM118
    assert parsed["Tocsin-Kind"] == "digest"
    assert parsed.get_all("Tocsin-Ticket") == [str(UUID(int=1)), str(UUID(int=2))]
    assert parsed["Message-ID"] == f"<digest.{DIGEST}@example.com>"
    assert parsed["From"] == '"Tocsin: 2 tickets" <tocsin@example.com>'
    assert parsed["Reply-To"] == "desk@example.com"
    assert (parsed["In-Reply-To"], parsed["References"], parsed["Thread-Index"]) == (None, None, None)


@pytest.mark.parametrize(
    ("dues", "subject"),
    [
        ((3, 1), "2 tickets: next deadline 2026-06-08 14:05 UTC (10:05 EDT)"),
        ((-3, 2), "2 tickets: next deadline 2026-06-08 15:05 UTC (11:05 EDT)"),
        ((-3, -1), "2 tickets: all deadlines have passed, the last one 2026-06-08 12:05 UTC (08:05 EDT)"),
        ((None,), "1 ticket: no deadline known, the clocks are paused"),
    ],
)
def test_the_subject_says_how_many_and_the_nearest_deadline(dues: tuple[int | None, ...], subject: str) -> None:
    notifies = [warning(number, due_at=None if due is None else NOW + due * HOUR) for number, due in enumerate(dues, 1)]
    assert build(digest(*notifies)).subject == subject


def test_the_subject_counts_the_tickets_whose_deadline_was_missed() -> None:
    missed = about_clock("answer_missed", ticket=ticket(), severity=4, due_at=NOON)
    subject = build(digest(missed, warning(1))).subject
    assert subject == "2 tickets, 1 missed: next deadline 2026-06-08 14:05 UTC (10:05 EDT)"


def test_tickets_are_listed_by_deadline_with_what_is_known() -> None:
    of = {"summary": "Printer jams"}
    paused, soon = warning(9, due_at=None), warning(2, of=of, suggested_severity=1, unconfirmed=True)
    missed = about_clock("answer_missed", ticket=ticket(), severity=4, target=None, due_at=NOON)
    context = digest(
        zone=ZoneInfo("Europe/Rome"),
        items=[
            DigestItem(paused, is_late=False),
            DigestItem(soon, is_late=True, page="https://psa.example.com/2"),
            DigestItem(missed, is_late=False, is_withdrawn=True),
        ],
    )
    mail = build(context)
    assert mail.text.splitlines()[2:] == [
        "Next deadline 2026-06-08 15:05 UTC (17:05 CEST), in 2 h.",
        "Late mails are marked: they were scheduled more than a minute before this digest was sent.",
        "Unconfirmed: no ticket updates have arrived for a while, so somebody may have responded in time without us "
        "knowing.",
        "",
        "SR-1042: Mail is down",
        "    Acme, severity 4 (Low)",
        "    No action needed. The first copy of this digest listed this ticket.",
        "",
        "SR-2: Printer jams",
        "    Acme, severity 3 (Medium), the impact suggests severity 1",
        "    Response due soon (target: 24 hours), unconfirmed, late: scheduled for 2026-06-08 13:05 UTC (15:05 CEST)",
        "    Deadline 2026-06-08 15:05 UTC (17:05 CEST), in 2 h",
        "    https://psa.example.com/2",
        "",
        "SR-9: Mail is down",
        "    Acme, severity 3 (Medium)",
        "    Response due soon (target: 24 hours)",
        "    Deadline not known while the clock is paused",
        "",
        "You are the Service Desk Team Lead. There were many mails about clocks of severities 3 and 4 within a minute, "
        "so further ones were joined into this digest. Mails of severities 1 and 2 and escalations are never joined.",
    ]
    assert '<a href="https://psa.example.com/2"' in mail.html
    assert ("Tocsin-Late", "yes") in mail.headers


def test_the_largest_digest_is_below_what_gmail_shows() -> None:
    of = {"summary": "The scanner on the second floor sends empty pages to every mailbox " * 3, "source": "connectwise"}
    page = (
        "https://psa.example.com/v4_6_release/services/system_io/Service/fv_sr100_request.rails?service_recid="
        + "9" * 9
    )
    items = [DigestItem(warning(number, of=of), is_late=True, page=page) for number in range(1, 101)]
    assert len(build(digest(items=items)).html.encode()) < 102_000


HOSTILE = st.text(max_size=60) | st.sampled_from(
    ["x\r\nBcc: evil@example.com", "=?utf-8?q?a=0D=0ABcc=3A_x?=", "<script>alert(1)</script>", "\u2028Tocsin-Kind: x"]
)


@given(HOSTILE, HOSTILE, HOSTILE)
@example("", "\x00", "\ud800")
def test_no_text_of_a_ticket_escapes_its_line(summary: str, customer: str, name: str) -> None:
    notify = warning(1)
    of = notify.ticket.model_copy(
        update={
            "summary": summary,
            "external_id": name,
            "customer": notify.ticket.customer.model_copy(update={"name": customer}),
        }
    )
    mail = build(digest(notify.model_copy(update={"ticket": of}), warning(2)))
    parsed = message_from_bytes(mail.raw, policy=default)
    assert len(parsed.get_all("To", [])) == 1
    assert parsed["Bcc"] is None
    assert "<script" not in mail.html
    assert len(mail.text.splitlines()) == len(build(digest(warning(1), warning(2))).text.splitlines())


def test_a_stand_down_is_never_an_item() -> None:
    with pytest.raises(TypeError):
        as_item(stand_down(), {}, is_late=False)


def compose(by: MailComposer, *notifies: Notify) -> Mail:
    now = Now(NOW, NOW)
    claims = [Claim(delivery_for(notify, now), notify, READER, (), (), ()) for notify in notifies]
    return by.compose_digest(ClaimedMail(DIGEST, claims, NOW), DIGEST, NOW, ())


def test_the_composer_adds_links_and_the_readers_zone() -> None:
    rome = make_composer(zones={"dana": ZoneInfo("Europe/Rome")})
    assert "https://psa.example.com/tickets/SR-1" in compose(COMPOSER, warning(1)).text
    assert "(16:05 CEST)" in compose(rome, warning(1)).text
