"""What a mail says: what is wrong, why you, and what happens next; the same in text and in HTML."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from notifier.domain.delivery import Notification
from notifier.domain.mail_history import EarlierMail
from notifier.domain.message import Mail
from notifier.domain.template_context import Redelivery, distance
from notifier.errors import UnmailableAddressError
from notifier.service import build_composer
from notifier.settings import Settings
from notifier.workers.composer import MailComposer
from support.mail_samples import SAMPLES, Sample
from support.notifier_events import NOON, TIERS, about_clock, escalation, stand_down, ticket
from support.notifier_mails import LINKS, NOW, READER, compose, make_composer, parse
from support.notifier_world import REQUIRED
from tocsin.acknowledgement import ExpiredLinkError
from tocsin.events import Notify, UpcomingStep
from tocsin.instants import display_instant
from tocsin.sources.directory_file import DirectoryFile

KIM = EarlierMail(1, "Service Desk Team Lead", "Kim", NOON, NOON + timedelta(seconds=1))
NOBODY = EarlierMail(2, "Senior IT Operations Manager", None, NOON, None)
each_kind = pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)


@pytest.mark.rule("5.29")
def test_the_text_of_an_escalation() -> None:
    mail = compose(escalation(interval="1 hour"), KIM, NOBODY)
    link = mail.text.partition("Acknowledge: ")[2].partition("\n")[0]
    assert mail.text.splitlines() == [
        "Severity 1: resolution overdue, escalated to tier 1",
        "",
        "Ticket:      SR-1042: Mail is down",
        "Customer:    Acme",
        "Affected:    Email",
        "Contact:     Sam, sam@acme.example",
        "Severity:    1 (Critical)",
        "Target:      resolution within 24 hours",
        "Deadline:    2026-06-08 13:00 UTC (09:00 EDT), 5 min ago",
        "",
        "Why you:     you are the Service Desk Team Lead (tier 1) for Acme (directory rule: default)",
        "Notified:    tier 1, Service Desk Team Lead: Kim, mailed 2026-06-08 12:00:01 UTC (08:00 EDT)",
        "             tier 2, Senior IT Operations Manager, scheduled 2026-06-08 12:00 UTC (08:00 EDT), nobody on call",
        "Next:        tier 2, Senior IT Operations Manager, at 2026-06-08 14:00 UTC (10:00 EDT), in 55 min, "
        "unless the ticket is resolved or acknowledged first",
        "",
        f"Acknowledge: {link}",
        "             Delays tier 2 until 1 hour after you acknowledge, if that is later than scheduled. "
        "Steps already due are still sent. This does not resolve the ticket: do that in connectwise. "
        "The link is valid until 2026-06-15 13:05 UTC (09:05 EDT).",
        "Open ticket: https://psa.example.com/tickets/SR-1042",
        "             SR-1042 in connectwise",
        "",
        "Opened 2026-06-08 12:00 UTC (08:00 EDT) in connectwise. "
        "Ticket id 00000000-0000-0000-0000-000000000007, cycle 1.",
    ]


ABOUT = ["Ticket", "Customer", "Affected", "Contact", "Severity"]
MISSED = [*ABOUT, "Target", "Deadline", "Why you", "Notified", "Next", "Open ticket"]
LABELS = {
    "escalation": [*MISSED[:-1], "Acknowledge", "Open ticket"],
    "warning": [*ABOUT, "Target", "Deadline", "Why you", "Next", "Open ticket"],
    "response_missed": MISSED,
    "answer_missed": MISSED,
    "stand_down": [*ABOUT, "Why you", "Your mails", "Open ticket"],
}


@pytest.mark.parametrize("kind", SAMPLES)
def test_every_kind_has_its_rows_in_the_order_of_reading(kind: str) -> None:
    sample = SAMPLES[kind]
    text = composed(sample).text
    rows = dict(re.findall(r"^([A-Z][a-z ]+): +(.+)$", text.partition("\n")[2], re.MULTILINE))
    assert list(rows) == LABELS[kind]
    about = sample.notification.ticket
    assert rows["Ticket"] == f"{about.external_id}: {about.summary}"
    assert rows["Customer"] == about.customer.name
    assert rows["Affected"] == ", ".join(about.affected_services)
    assert rows["Contact"].split(", ") == [
        part for part in (about.contact.name, about.contact.phone, about.contact.email) if part
    ]
    assert rows["Severity"].startswith(f"{sample.notification.severity} (")


def composed(sample: Sample, **changes: Any) -> Mail:
    return compose(sample.notification, *sample.earlier, reader=sample.reader, now=sample.now, **changes)


class VisibleText(HTMLParser):
    """The text on a page, without tags and styles, and where its links lead."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.links: list[str] = []
        self._hidden = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden = tag in ("style", "title")
        self.links += [value for name, value in attrs if name == "href" and value]
        if tag != "span":
            self.words.append(" ")

    def handle_endtag(self, tag: str) -> None:
        self._hidden = False

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.words.append(data)


@pytest.mark.parametrize("kind", SAMPLES)
def test_text_and_html_of_every_kind_say_the_same(kind: str) -> None:
    sample = SAMPLES[kind]
    mail = composed(sample, late=True, redelivery=Redelivery("a.key", sample.now, 1))
    page = VisibleText(mail.html)
    unread = " ".join("".join(page.words).split())
    links = []
    for line in (line for line in mail.text.splitlines() if line):
        label, content = (
            (line[:13].strip(), line[13:]) if line[11:13] in (": ", "  ") or line[:13].isspace() else ("", line)
        )
        if content.startswith("https://"):
            links.append(content)
        else:
            assert content in unread
            unread = unread.replace(content, "", 1)
        unread = unread.replace(label.removesuffix(":"), "", 1)
    assert unread.split() == []
    assert page.links == links
    assert "https://psa.example.com/tickets/" + sample.notification.ticket.external_id in links
    assert len(links) == (2 if kind == "escalation" else 1)


@pytest.mark.rule("5.28")
def test_the_acknowledgement_link_names_person_step_and_what_was_pending() -> None:
    link = compose(escalation()).text.partition("Acknowledge: ")[2].partition("\n")[0]
    base, _, token = link.rpartition("/")
    assert base == "https://sla.example.com/ack"
    found = LINKS.verify(token, NOW)
    assert (found.ticket_id, found.cycle, found.run, found.step) == (escalation().ticket_id, 1, 1, 1)
    assert (found.person, found.name, found.tenant) == ("dana", "Dana Østergård", "default")
    assert (found.tier, found.upcoming) == (TIERS[1], escalation().upcoming)
    with pytest.raises(ExpiredLinkError):
        LINKS.verify(token, NOW + timedelta(days=7))


def test_long_names_do_not_lengthen_the_link() -> None:
    long = TIERS[2].model_copy(update={"title": "\U0001f6a8" * 5000})
    notify = escalation(tier=long, upcoming=UpcomingStep(at=NOON, tier=long))
    reader = replace(READER, name="\U0001f6a8" * 5000)
    link = compose(notify, reader=reader).text.partition("Acknowledge: ")[2].partition("\n")[0]
    assert len(link.rpartition("/")[2]) < 2000


@pytest.mark.parametrize("notification", [about_clock("warning"), about_clock("response_missed"), stand_down()])
def test_only_an_escalation_has_an_acknowledgement_link(notification: Notification) -> None:
    assert "Acknowledge" not in compose(notification).html + compose(notification).text


def test_a_source_without_page_template_has_no_ticket_link() -> None:
    mail = compose(about_clock("warning"), by=make_composer(ticket_urls={}))
    assert "Open ticket" not in mail.text
    assert "href" not in mail.html


LATER = NOON + timedelta(hours=2)
EARLIER = NOON + timedelta(minutes=35)


@pytest.mark.parametrize(
    ("notification", "headline"),
    [
        (escalation(reason="no_response"), "Severity 1: no response yet, escalated to tier 1"),
        (escalation(reason="explicit"), "Severity 1: escalated on request to tier 1"),
        (escalation(unconfirmed=True), "Severity 1: resolution overdue, escalated to tier 1 (unconfirmed)"),
        (about_clock("warning"), "Severity 1: response was due"),
        (about_clock("warning", due_at=LATER), "Severity 1: response due soon"),
        (about_clock("response_missed"), "Severity 1: response missed"),
        (about_clock("answer_missed"), "Severity 1: answer missed"),
        (stand_down(reason="cancelled"), "Stand down: cancelled"),
        (stand_down(reason="workaround"), "Stand down: workaround provided"),
        (stand_down(reason="voided", clock="answer", run=None), "Stand down: answer was not missed"),
    ],
)
def test_the_first_line_says_what_is_wrong(notification: Notification, headline: str) -> None:
    assert compose(notification).text.splitlines()[0] == headline


@pytest.mark.parametrize(
    ("notify", "words"),
    [
        (
            escalation(upcoming=UpcomingStep(at=LATER)),
            "nobody: there is no higher tier, and escalation ends at 2026-06-08 14:00 UTC (10:00 EDT), in 55 min",
        ),
        (
            escalation(upcoming=UpcomingStep(at=EARLIER)),
            "nobody: there is no higher tier, and escalation ended at 2026-06-08 12:35 UTC (08:35 EDT), 30 min ago",
        ),
        (escalation(upcoming=None), "not known: the clock is paused, or there is no higher tier"),
        (
            about_clock("warning", clock="resolution", due_at=LATER),
            "escalation starts or continues at 2026-06-08 14:00 UTC (10:00 EDT), in 55 min, unless the ticket is "
            "resolved first",
        ),
        (
            about_clock("warning", due_at=LATER),
            "a missed response is reported at 2026-06-08 14:00 UTC (10:00 EDT), in 55 min, unless the ticket is "
            "answered first",
        ),
        (about_clock("warning"), "the deadline has passed; if it was missed, a separate mail says so"),
        (
            escalation(upcoming=UpcomingStep(at=EARLIER, tier=TIERS[2])),
            "tier 2, Senior IT Operations Manager, scheduled for 2026-06-08 12:35 UTC (08:35 EDT), 30 min ago, "
            "unless the ticket was resolved or acknowledged first",
        ),
        (
            about_clock("response_missed"),
            "no one else for now; if the resolution deadline is missed, escalation starts (unless it is already "
            "running)",
        ),
    ],
)
def test_it_says_what_happens_next(notify: Notify, words: str) -> None:
    assert f"Next:        {words}\n" in compose(notify).text


def reader(**fields: Any) -> dict[str, Any]:
    return {"reader": replace(READER, **fields)}


@pytest.mark.parametrize(
    ("notification", "earlier", "how", "words"),
    [
        (
            escalation(),
            (),
            {"late": True},
            "This mail is late: it was scheduled for 2026-06-08 13:00 UTC (09:00 EDT), 5 min ago.",
        ),
        (
            escalation(),
            (),
            {"redelivery": Redelivery("ops.key", NOW, 2)},
            "Redelivery 2, requested by ops.key at 2026-06-08 13:05 UTC (09:05 EDT).",
        ),
        (
            escalation(),
            (),
            reader(instead_of="dana@old.example"),
            "You get this mail because it could not be delivered to dana@old.example.",
        ),
        (
            escalation(),
            (),
            reader(instead_of="dana@old.example"),
            "Why you:     sent for Dana Østergård, the Service Desk Team Lead (tier 1) for Acme",
        ),
        (escalation(), (), reader(rule="customer acme"), "(tier 1) for Acme (directory rule: customer acme)"),
        (escalation(unconfirmed=True), (), {}, "Unconfirmed: no ticket updates have arrived for a while"),
        (escalation(), (replace(KIM, sent_at=None),), {}, "12:00 UTC (08:00 EDT), delivery not confirmed"),
        (escalation(), (replace(KIM, sent_at=None, is_open=True),), {}, "12:00 UTC (08:00 EDT), not mailed yet"),
        (escalation(), (replace(KIM, address="leads@example.com"),), {}, "(08:00 EDT) at leads@example.com"),
        (
            about_clock("response_missed"),
            (replace(KIM, tier=None, kind="warning"),),
            {},
            "Notified:    warning, Service Desk Team Lead: Kim, mailed",
        ),
        (escalation(skipped=(TIERS[2],)), (), {}, "tier 2, Senior IT Operations Manager: vacant, skipped"),
        (
            escalation(reason="no_response"),
            (),
            {},
            "Target:      resolution within 24 hours of the first response; nobody has responded\n",
        ),
        (
            escalation(reason="no_response"),
            (),
            {},
            "(09:00 EDT), 5 min ago, counted from the response deadline\n",
        ),
        (
            escalation(reason="explicit"),
            (),
            {},
            "(09:00 EDT), 5 min ago, counted from the first response or the response deadline\n",
        ),
        (escalation(reason="explicit"), (), {}, "Escalated:   2026-06-08 13:00 UTC (09:00 EDT), 5 min ago\n"),
        (escalation(due_at=None), (), {}, "Deadline:    not known while the clock is paused\n"),
        (
            escalation(upcoming=UpcomingStep(at=EARLIER, tier=TIERS[2])),
            (),
            {},
            "Delays the next tier until one interval after you acknowledge.",
        ),
        (escalation(upcoming=UpcomingStep(at=EARLIER)), (), {}, "Delays nothing: there is no higher tier."),
        (stand_down(), (KIM,), {}, "The ticket was resolved at 2026-06-08 13:05 UTC (09:05 EDT), just now."),
        (stand_down(), (KIM,), {}, "Your mails:  tier 1, Service Desk Team Lead: Kim, mailed 2026-06-08 12:00:01 UTC"),
        (stand_down(reason="workaround"), (KIM,), {}, "A workaround was provided at"),
        (stand_down(reason="cancelled"), (KIM,), {}, "The ticket was cancelled at"),
        (
            stand_down(reason="voided", clock="answer", run=None),
            (KIM,),
            {},
            "Late information shows that the answer deadline was not missed. No action needed because of it, but the "
            "ticket may still be open.",
        ),
    ],
)
def test_what_a_mail_says_in_particular(
    notification: Notification, earlier: tuple[EarlierMail, ...], how: Mapping[str, Any], words: str
) -> None:
    assert words in compose(notification, *earlier, **how).text
    assert words not in compose(about_clock("answer_missed")).text


def test_instants_are_shown_in_the_readers_zone() -> None:
    by = make_composer(zones={"dana": ZoneInfo("Europe/Amsterdam")})
    assert "2026-06-08 13:00 UTC (15:00 CEST), 5 min ago" in compose(escalation(), by=by).text
    kim = replace(READER, person="kim")
    assert "2026-06-08 13:00 UTC (09:00 EDT), 5 min ago" in compose(escalation(), by=by, reader=kim).text


def configured(directory: Path, **settings: object) -> MailComposer:
    """The service's composer with these settings."""
    own = Settings.model_validate({**REQUIRED, "directory": directory, **settings})
    return build_composer(own, DirectoryFile(directory))


def test_the_directory_names_the_readers_zone(tmp_path: Path) -> None:
    path = tmp_path / "directory.yaml"
    path.write_text(
        "people:\n"
        "  dana: { name: Dana, email: dana@example.com, zone: Asia/Kolkata }\n"
        "  kim: { name: Kim, email: kim@example.com }\n"
        "roles: {}\n"
    )
    by = configured(path, mail_zone="Europe/Paris")
    assert "2026-06-08 13:00 UTC (18:30 IST)" in compose(escalation(), by=by).text
    for person in ("kim", "somebody who left"):
        other = replace(READER, person=person)
        assert "2026-06-08 13:00 UTC (15:00 CEST)" in compose(escalation(), by=by, reader=other).text


@pytest.mark.rule("6.10")
@pytest.mark.parametrize("mailbox", ["Support@BetterWorldTech.com", "escalations@betterworldtech.com"])
def test_the_policys_mailboxes_are_never_mailed(tmp_path: Path, mailbox: str) -> None:
    by = configured(tmp_path / "none.yaml", policy=Path(__file__).parents[2] / "deploy/policy/policy.yaml")
    with pytest.raises(UnmailableAddressError, match="is a mailbox that receives tickets and is never mailed"):
        compose(escalation(), by=by, reader=replace(READER, email=mailbox))


def test_settings_for_replies_templates_and_ticket_pages_take_effect(tmp_path: Path) -> None:
    (tmp_path / "mail.txt.j2").write_text('{{ letter.headline }}. {% include "built-in/mail.txt.j2" %}')
    by = configured(
        tmp_path / "directory.yaml",
        reply_to="desk@example.com",
        mail_templates=tmp_path,
        ticket_urls='{"connectwise": "https://desk.example.com/?id={ticket_id}"}',
    )
    mail = compose(about_clock("warning"), by=by)
    assert parse(mail)["Reply-To"] == "desk@example.com"
    assert mail.text.startswith("Severity 1: response was due. Severity 1: response was due\n")
    page = "https://desk.example.com/?id=00000000-0000-0000-0000-000000000007"
    assert f"Open ticket: {page}\n" in mail.text
    assert VisibleText(mail.html).links == [page]


def test_a_long_list_is_cut_and_says_so() -> None:
    services = tuple(f"service {number}" for number in range(500))
    text = compose(escalation(ticket(affected_services=services)), *[KIM] * 40).text
    assert "service 10, service 11 and 488 more\n" in text
    assert text.count("Kim, mailed") == 12
    assert "             and 28 more\n" in text


def test_html_shows_a_hostile_summary_as_text() -> None:
    html = compose(escalation(ticket(summary="<script>alert(1)</script>2026-06-08<b>"))).html
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "&lt;b&gt;" in html


@each_kind
def test_html_loads_nothing_from_elsewhere(sample: Sample) -> None:
    html = composed(sample).html
    assert re.findall(r"<(?:img|script|link|iframe|form|object)|url\(|@import|src=", html) == []
    assert html.count("style=") > 20  # programs that ignore <style> still show the intended page


@pytest.mark.parametrize(
    ("apart", "words"),
    [
        (timedelta(0), "just now"),
        (timedelta(seconds=59), "59 s ago"),
        (timedelta(minutes=5, seconds=9), "5 min ago"),
        (timedelta(hours=1, minutes=5, seconds=9), "1 h 5 min ago"),
        (timedelta(hours=3, seconds=9), "3 h ago"),
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
    assert display_instant(at, ZoneInfo(zone)) == words
