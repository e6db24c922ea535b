"""What a mail says: in ten seconds what is wrong, why you, and what happens next; the same in text and in HTML."""

import re
from dataclasses import replace
from datetime import datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from notifier.domain.message import UnmailableAddress
from notifier.domain.template_context import Redelivery, Told, distance
from notifier.domain.template_samples import kinds
from notifier.settings import Settings
from notifier.workers.composer import Letters, Linking, letters_from
from support.notifier_events import NOON, TIERS, about_clock, escalation, stand_down, ticket
from support.notifier_mails import LINKS, NOW, READER, letters, mailed, parse
from tocsin.acknowledgement import ExpiredLinkError
from tocsin.events import Notify, StandDown, UpcomingStep
from tocsin.instants import display_instant
from tocsin.sources.directory_file import DirectoryFile

KIM = Told(1, "Service Desk Team Lead", "Kim", NOON, NOON + timedelta(seconds=1))
NOBODY = Told(2, "Senior IT Operations Manager", None, NOON, None)
UNLINKED = letters(linking=Linking(LINKS, "https://sla.example.com", timedelta(days=7), {}))


def test_an_escalation_on_one_screen() -> None:
    mail = mailed(escalation(interval="1 hour"), KIM, NOBODY)
    link = mail.text.partition("Acknowledge: ")[2].partition("\n")[0]
    assert mail.text.splitlines() == [
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
        "Why you:     you are Service Desk Team Lead (tier 1) for Acme, by the directory's rule: default",
        "Told before: tier 1, Service Desk Team Lead: Kim, mailed 2026-06-08 12:00:01 UTC (08:00 EDT)",
        "             tier 2, Senior IT Operations Manager, scheduled 2026-06-08 12:00 UTC (08:00 EDT), nobody mailed",
        "Told next:   tier 2, Senior IT Operations Manager, at 2026-06-08 14:00 UTC (10:00 EDT), in 55 min, "
        "unless the ticket is resolved or acknowledged before",
        "",
        f"Acknowledge: {link}",
        "             Holds tier 2 until 1 hour after your acknowledgement, where that is later than scheduled. "
        "It runs out by itself, takes back nothing that was due before, and resolves nothing: that is done in "
        "connectwise. The link counts until 2026-06-15 13:05 UTC (09:05 EDT).",
        "Open ticket: https://psa.example.com/tickets/SR-1042",
        "             SR-1042 in connectwise",
        "",
        "Opened 2026-06-08 12:00 UTC (08:00 EDT) in connectwise. "
        "Ticket id 00000000-0000-0000-0000-000000000007, cycle 1.",
    ]


ABOUT = ["Ticket", "Customer", "Affected", "Contact", "Severity"]
MISSED = [*ABOUT, "Promised", "Due", "Why you", "Told before", "Told next", "Open ticket"]
LABELS = {
    "escalation": [*MISSED[:-1], "Acknowledge", "Open ticket"],
    "warning": [*ABOUT, "Promised", "Due", "Why you", "Told next", "Open ticket"],
    "response_missed": MISSED,
    "answer_missed": MISSED,
    "stand_down": [*ABOUT, "Why you", "Your mails", "Open ticket"],
}


@pytest.mark.parametrize("kind", kinds())
def test_every_kind_says_what_it_is_about_first_then_what_was_promised_and_why_you(kind: str) -> None:
    sample = kinds()[kind]
    text = mailed(sample.notice, *sample.told, reader=sample.reader, now=sample.now).text
    told = dict(re.findall(r"^([A-Z][a-z ]+): +(.+)$", text.partition("\n")[2], re.MULTILINE))
    assert list(told) == LABELS[kind]
    about = sample.notice.ticket
    assert told["Ticket"] == f"{about.external_id}: {about.summary}"
    assert told["Customer"] == (about.customer and about.customer.name)
    assert told["Affected"] == ", ".join(about.affected_services)
    assert told["Contact"].split(", ") == [
        said for said in (about.contact.name, about.contact.phone, about.contact.email) if said
    ]
    assert told["Severity"].startswith(f"{sample.notice.severity} (")


class Reading(HTMLParser):
    """What is read on a page, tags and style aside, and where its links lead."""

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


@pytest.mark.parametrize("kind", kinds())
def test_text_and_page_of_every_kind_tell_the_same(kind: str) -> None:
    sample = kinds()[kind]
    again = Redelivery("a.key", sample.now, 1)
    mail = mailed(sample.notice, *sample.told, reader=sample.reader, now=sample.now, late=True, redelivery=again)
    page = Reading(mail.html)
    told = " ".join("".join(page.words).split())
    links = []
    for line in (line for line in mail.text.splitlines() if line):
        label, content = (
            (line[:13].strip(), line[13:]) if line[11:13] in (": ", "  ") or line[:13].isspace() else ("", line)
        )
        label = label.removesuffix(":")
        if content.startswith("https://"):
            links.append(content)
        else:
            assert content in told
            told = told.replace(content, "", 1)
        told = told.replace(label, "", 1)
    assert told.split() == []
    assert page.links == links
    assert "https://psa.example.com/tickets/" + sample.notice.ticket.external_id in links
    assert len(links) == (2 if kind == "escalation" else 1)


def test_the_acknowledgement_link_says_who_acknowledges_what_and_what_was_pending() -> None:
    text = mailed(escalation()).text
    link = text.partition("Acknowledge: ")[2].partition("\n")[0]
    base, _, token = link.rpartition("/")
    assert base == "https://sla.example.com/ack"
    found = LINKS.verify(token, NOW)
    assert (found.ticket_id, found.cycle, found.run, found.step) == (escalation().ticket_id, 1, 1, 1)
    assert (found.person, found.name, found.tenant) == ("dana", "Dana Østergård", "default")
    assert (found.tier, found.upcoming) == (TIERS[1], escalation().upcoming)
    with pytest.raises(ExpiredLinkError):
        LINKS.verify(token, NOW + timedelta(days=7))


def test_a_link_stays_short_whatever_names_are_in_it() -> None:
    long = TIERS[2].model_copy(update={"title": "\U0001f6a8" * 5000})
    notice = escalation(tier=long, upcoming=UpcomingStep(at=NOON, tier=long))
    reader = replace(READER, name="\U0001f6a8" * 5000)
    link = mailed(notice, reader=reader).text.partition("Acknowledge: ")[2].partition("\n")[0]
    assert len(link.rpartition("/")[2]) < 2000


@pytest.mark.parametrize("notice", [about_clock("warning"), about_clock("response_missed"), stand_down()])
def test_only_an_escalation_can_be_acknowledged(notice: Notify | StandDown) -> None:
    assert "Acknowledge" not in mailed(notice).html + mailed(notice).text


def test_a_ticket_of_a_source_without_pages_has_no_link() -> None:
    mail = mailed(about_clock("warning"), by=UNLINKED)
    assert "Open ticket" not in mail.text
    assert "href" not in mail.html


@pytest.mark.parametrize(
    ("notice", "headline"),
    [
        (escalation(reason="no_response"), "Severity 1: nobody has responded, escalated to tier 1"),
        (escalation(reason="explicit"), "Severity 1: escalation on request, tier 1"),
        (escalation(unconfirmed=True), "Severity 1: resolution overdue, escalated to tier 1 (unconfirmed)"),
        (about_clock("warning"), "Severity 1: response was due"),
        (about_clock("warning", due_at=NOON + timedelta(hours=2)), "Severity 1: response due soon"),
        (about_clock("response_missed"), "Severity 1: response missed"),
        (about_clock("answer_missed"), "Severity 1: answer missed"),
        (stand_down(reason="cancelled"), "Stand down: cancelled"),
    ],
)
def test_the_first_line_says_what_is_wrong(notice: Notify | StandDown, headline: str) -> None:
    assert mailed(notice).text.splitlines()[0] == headline


@pytest.mark.parametrize(
    ("notice", "words"),
    [
        (
            escalation(upcoming=UpcomingStep(at=NOON + timedelta(hours=2))),
            "nobody: no tier is left above, and at 2026-06-08 14:00 UTC (10:00 EDT) the ladder is exhausted",
        ),
        (
            escalation(upcoming=UpcomingStep(at=NOON + timedelta(minutes=35))),
            "nobody: no tier is left above, and at 2026-06-08 12:35 UTC (08:35 EDT) the ladder was exhausted, 30 min",
        ),
        (escalation(upcoming=None), "not known yet: the clock is paused, or nobody is left above"),
        (
            about_clock("warning", clock="resolution", due_at=NOON + timedelta(hours=2)),
            "the ladder begins or goes on, at 2026-06-08 14:00 UTC (10:00 EDT), in 55 min, unless",
        ),
        (
            about_clock("warning", due_at=NOON + timedelta(hours=2)),
            "whoever is told of a missed response, at 2026-06-08 14:00 UTC (10:00 EDT), in 55 min, unless",
        ),
        (about_clock("warning"), "that deadline has passed: whoever must know is told by a mail of its own"),
        (
            escalation(upcoming=UpcomingStep(at=NOON + timedelta(minutes=35), tier=TIERS[2])),
            "tier 2, Senior IT Operations Manager, since 2026-06-08 12:35 UTC (08:35 EDT), 30 min ago, unless the "
            "ticket was resolved or acknowledged before",
        ),
        (
            about_clock("response_missed"),
            "nobody because of this alone: the resolution's deadline begins a ladder, unless one runs by then",
        ),
    ],
)
def test_what_happens_next(notice: Notify, words: str) -> None:
    assert f"Told next:   {words}" in mailed(notice).text


def test_a_late_mail_says_so() -> None:
    assert "This mail is late: it was scheduled for 2026-06-08 13:00 UTC (09:00 EDT), 5 min ago." in (
        mailed(escalation(), late=True).text
    )
    assert "This mail is late" not in mailed(escalation()).text


def test_a_repetition_says_who_asked_for_it() -> None:
    text = mailed(escalation(), redelivery=Redelivery("ops.key", NOW, 2)).text
    assert "repetition (number 2): ops.key asked for it at 2026-06-08 13:05 UTC (09:05 EDT)" in text


def test_who_gets_it_instead_of_another_address_is_told_so() -> None:
    text = mailed(escalation(), reader=replace(READER, instead_of="dana@old.example")).text
    assert "You get this because it could not be delivered to dana@old.example." in text
    assert "Why you:     for Dana Østergård, Service Desk Team Lead (tier 1) for Acme" in text


def test_a_rule_of_the_directory_is_named() -> None:
    own = replace(READER, rule="customer acme")
    assert "(tier 1) for Acme, by the directory's rule: customer acme" in mailed(escalation(), reader=own).text


def test_instants_are_told_in_the_readers_own_zone() -> None:
    by = letters(zones={"dana": ZoneInfo("Europe/Amsterdam")})
    assert "2026-06-08 13:00 UTC (15:00 CEST), 5 min ago" in mailed(escalation(), by=by).text
    kim = replace(READER, person="kim")
    assert "2026-06-08 13:00 UTC (09:00 EDT), 5 min ago" in mailed(escalation(), by=by, reader=kim).text


def test_the_zone_is_the_one_that_the_directory_names(tmp_path: Path) -> None:
    path = tmp_path / "directory.yaml"
    path.write_text(
        "people:\n"
        "  dana: { name: Dana, email: dana@example.com, zone: Asia/Kolkata }\n"
        "  kim: { name: Kim, email: kim@example.com }\n"
        "roles: {}\n"
    )
    by = configured(path, mail_zone="Europe/Paris")
    assert "2026-06-08 13:00 UTC (18:30 IST)" in mailed(escalation(), by=by).text
    for person in ("kim", "somebody who left"):
        reader = replace(READER, person=person)
        assert "2026-06-08 13:00 UTC (15:00 CEST)" in mailed(escalation(), by=by, reader=reader).text
    never = configured(path, policy=Path(__file__).parents[2] / "deploy/policy/policy.yaml")
    for mailbox in ("Support@BetterWorldTech.com", "escalations@betterworldtech.com"):
        with pytest.raises(UnmailableAddress, match="is a mailbox that tickets come in by, and is never mailed"):
            mailed(escalation(), by=never, reader=replace(READER, email=mailbox))


def test_a_deployments_own_address_for_replies_templates_and_tickets_count(tmp_path: Path) -> None:
    (tmp_path / "mail.txt.j2").write_text('{{ letter.headline }}. {% include "built-in/mail.txt.j2" %}')
    mail = mailed(
        about_clock("warning"),
        by=configured(
            tmp_path / "directory.yaml",
            reply_to="desk@example.com",
            mail_templates=tmp_path,
            ticket_urls='{"connectwise": "https://desk.example.com/?id={ticket_id}"}',
        ),
    )
    assert parse(mail)["Reply-To"] == "desk@example.com"
    assert mail.text.startswith("Severity 1: response was due. Severity 1: response was due\n")
    page = "https://desk.example.com/?id=00000000-0000-0000-0000-000000000007"
    assert f"Open ticket: {page}\n" in mail.text
    assert Reading(mail.html).links == [page]


def configured(directory: Path, **own: object) -> Letters:
    """As the service composes them with these settings."""
    given: dict[str, object] = {"database_url": "postgresql+asyncpg://u@h/d", "kafka": "h:9", "keys": "k"}
    given |= {"directory": directory, "smtp": "127.0.0.1:25", "mail_from": "a@example.com"}
    given |= {"public_url": "https://sla.example.com", "ack_keys": "k" * 32}
    return letters_from(Settings.model_validate(given | own), DirectoryFile(directory))


def test_an_earlier_mail_whose_outcome_is_open_is_not_claimed_to_have_arrived() -> None:
    text = mailed(escalation(), replace(KIM, sent_at=None)).text
    assert "Kim, scheduled 2026-06-08 12:00 UTC (08:00 EDT), mail not confirmed" in text


def test_who_was_mailed_elsewhere_or_not_yet_is_not_said_to_know() -> None:
    elsewhere, waiting = replace(KIM, address="leads@example.com"), replace(KIM, sent_at=None, pending=True)
    text = mailed(escalation(), elsewhere, waiting).text
    assert "Kim, mailed 2026-06-08 12:00:01 UTC (08:00 EDT) at leads@example.com" in text
    assert "Kim, scheduled 2026-06-08 12:00 UTC (08:00 EDT), not mailed yet" in text


def test_a_warning_before_is_called_one() -> None:
    text = mailed(about_clock("response_missed"), replace(KIM, tier=None, kind="warning")).text
    assert "Told before: warning, Service Desk Team Lead: Kim, mailed" in text


def test_a_voided_answer_is_named_by_its_clock() -> None:
    lines = mailed(stand_down(reason="voided", clock="answer", run=None), KIM).text.splitlines()
    assert lines[0] == "Stand down: answer not missed after all"
    assert lines[2].startswith("Late evidence shows that the answer was not missed.")
    assert lines[2].endswith("the ticket itself may still be open.")


def test_a_late_acknowledgement_holds_whoever_is_next() -> None:
    text = mailed(escalation(upcoming=UpcomingStep(at=NOON + timedelta(minutes=35), tier=TIERS[2]))).text
    assert "Holds whoever is next until" in text
    exhausted = mailed(escalation(upcoming=UpcomingStep(at=NOON + timedelta(minutes=35)))).text
    assert "Changes nothing for others: nobody is left above to be held." in exhausted


def test_silence_is_said_to_be_what_is_counted() -> None:
    text = mailed(escalation(reason="no_response")).text
    assert "Promised:    resolution within 24 hours of the first response, and there was none\n" in text
    assert "(09:00 EDT), 5 min ago, counted from when the response was due\n" in text


def test_what_a_due_is_counted_from_is_said_where_somebody_asked_before_any_response() -> None:
    text = mailed(escalation(reason="explicit")).text
    assert "(09:00 EDT), 5 min ago, counted from the first response, or from when that was due\n" in text


def test_unconfirmed_is_said_plainly() -> None:
    assert "Unconfirmed: the front door for tickets has been silent" in mailed(escalation(unconfirmed=True)).text


def test_a_vacant_tier_is_told() -> None:
    assert "tier 2, Senior IT Operations Manager: vacant, skipped" in mailed(escalation(skipped=(TIERS[2],))).text


def test_a_long_list_is_cut_and_says_so() -> None:
    services = tuple(f"service {number}" for number in range(500))
    text = mailed(escalation(ticket(affected_services=services)), *[KIM] * 40).text
    assert "service 10, service 11 and 488 more\n" in text
    assert text.count("Kim, mailed") == 12
    assert "             and 28 more\n" in text


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("resolved", "The ticket was resolved at 2026-06-08 13:05 UTC (09:05 EDT), just now."),
        ("workaround", "The ticket was given a workaround at"),
        ("cancelled", "The ticket was cancelled at"),
        ("voided", "Late evidence shows that the resolution was not missed."),
    ],
)
def test_a_stand_down_says_why_and_what_it_takes_back(reason: str, words: str) -> None:
    text = mailed(stand_down(reason=reason), KIM).text
    assert words in text
    assert "Nothing is asked of you" in text
    assert "Your mails:  tier 1, Service Desk Team Lead: Kim, mailed 2026-06-08 12:00:01 UTC (08:00 EDT)" in text


def test_html_shows_a_hostile_summary_as_text() -> None:
    html = mailed(escalation(ticket(summary="<script>alert(1)</script>2026-06-08<b>"))).html
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "&lt;b&gt;" in html


@pytest.mark.parametrize("kind", kinds())
def test_a_page_needs_nothing_from_elsewhere(kind: str) -> None:
    sample = kinds()[kind]
    html = mailed(sample.notice, *sample.told, reader=sample.reader, now=sample.now).html
    assert re.findall(r"<(?:img|script|link|iframe|form|object)|url\(|@import|src=", html) == []
    assert html.count("style=") > 20  # what ignores <style> still shows the page as it is meant


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
