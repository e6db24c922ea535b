"""What a mail says: what is wrong, why you, and what happens next; the same in text and in HTML."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from html.parser import HTMLParser
from itertools import takewhile
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from notifier.domain.delivery import Notification
from notifier.domain.mail_history import EarlierMail
from notifier.domain.message import Mail
from notifier.domain.on_call import involved_people
from notifier.domain.template_context import Involved, Redelivery, distance
from notifier.errors import UnmailableAddressError
from notifier.service import build_composer
from notifier.settings import Settings
from notifier.workers.composer import MailComposer
from support.mail_samples import SAMPLES, Sample
from support.notifier_events import NOON, TIERS, about_clock, escalation, exhausted, request, stand_down, ticket
from support.notifier_mails import LINKS, NOW, READER, compose, make_composer, parse
from support.notifier_world import REQUIRED
from tocsin.acknowledgement import MAX_TOKEN_LENGTH, ExpiredLinkError
from tocsin.directory import Holder, load_directory
from tocsin.events import Acknowledgement, Assignee, Contact, Notify, UpcomingStep
from tocsin.instants import display_instant
from tocsin.sources.directory_file import DirectoryFile
from tocsin.sources.policy_file import configured_policy

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
        "Category:    incident",
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


ABOUT = ["Ticket", "Customer", "Affected", "Contact", "Category", "Severity"]
TOLD = ["Ticket", "Description", "Customer", "Affected", "Contact", "Assignee", "Category", "Severity"]
MISSED = [*ABOUT, "Target", "Deadline", "Why you", "Notified", "Next", "Open ticket"]
LABELS = {
    "escalation": [*TOLD, "Target", "Deadline", "Why you", "Notified", "Held", "Next", "Acknowledge", "Open ticket"],
    "warning": [*TOLD, "Target", "Deadline", "Why you", "Next", "Open ticket"],
    "response_missed": MISSED,
    "answer_missed": MISSED,
    "stand_down": [*TOLD, "Why you", "Your mails", "Open ticket"],
    "exhausted": [*TOLD, "Deadline", "Why you", "Notified", "Next", "Open ticket"],
    "escalation_request": [
        *(label for label in TOLD if label != "Assignee"),
        *("Remarks", "Why you", "Next", "Open ticket"),
    ],
    "rerouted": ["Request", "Help guide"],
}


@pytest.mark.parametrize("kind", SAMPLES)
def test_every_kind_has_its_rows_in_the_order_of_reading(kind: str) -> None:
    sample = SAMPLES[kind]
    text = composed(sample).text
    rows = dict(re.findall(r"^([A-Z][a-z ]+): +(.+)$", text.partition("\n")[2], re.MULTILINE))
    assert list(rows) == LABELS[kind]
    about = sample.notification.ticket
    if kind == "rerouted":
        return
    assert rows["Ticket"] == f"{about.external_id}: {about.summary}"
    assert rows["Customer"] == about.customer.name
    assert rows["Affected"] == ", ".join(about.affected_services)
    assert rows["Contact"].split(", ") == [
        part for part in (about.contact.name, about.contact.phone, about.contact.email) if part
    ]
    assert rows["Severity"].startswith(f"{sample.notification.severity} (")


def composed(sample: Sample, **changes: Any) -> Mail:
    return compose(
        sample.notification,
        *sample.earlier,
        reader=sample.reader,
        now=sample.now,
        involved=sample.involved,
        **changes,
    )


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
    own = "https://psa.example.com/tickets/" + sample.notification.ticket.external_id
    assert links[-1] == ("https://example.com/how-to-get-help" if kind == "rerouted" else own)
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


@pytest.mark.rule("5.28")
def test_the_acknowledgement_link_names_the_deadline_and_who_was_notified() -> None:
    mails = (KIM, NOBODY, replace(KIM, tier=None, kind="warning"))
    link = compose(escalation(), *mails).text.partition("Acknowledge: ")[2].partition("\n")[0]
    found = LINKS.verify(link.rpartition("/")[2], NOW)
    assert found.due_at == escalation().due_at
    assert [(person.tier, person.title, person.name, person.at) for person in found.notified] == [
        (2, "Senior IT Operations Manager", None, NOON),
        (1, "Service Desk Team Lead", "Kim", NOON),
    ]


def test_no_link_is_too_long_for_a_mail_program() -> None:
    """Random text cannot be compressed. The people notified first are omitted first."""
    random = Random(1)

    def name() -> str:
        return "".join(chr(random.randrange(0x20000, 0x2A6D0)) for _ in range(5000))

    tiers = [TIERS[2].model_copy(update={"title": name()}) for _ in range(2)]
    notify = escalation(tier=tiers[0], upcoming=UpcomingStep(at=NOON, tier=tiers[1]))
    told = [replace(KIM, tier=tier, title=name(), name=name()) for tier in range(1, 7)]
    link = compose(notify, *told, reader=replace(READER, name=name())).text
    token = link.partition("Acknowledge: ")[2].partition("\n")[0].rpartition("/")[2]
    assert len(token) <= MAX_TOKEN_LENGTH
    assert [person.tier for person in LINKS.verify(token, NOW).notified] in ([], [6], [6, 5])


def test_a_link_of_the_whole_ladder_is_short() -> None:
    sample = SAMPLES["escalation"]
    told = [replace(sample.earlier[0], tier=tier) for tier in range(1, 6)]
    mail = compose(sample.notification, *told, reader=sample.reader, now=sample.now)
    assert len(mail.text.partition("Acknowledge: ")[2].partition("\n")[0]) < 700


@pytest.mark.parametrize(
    "notification",
    [
        about_clock("warning"),
        about_clock("response_missed"),
        stand_down(),
        exhausted(),
        request("escalation_request"),
        request("rerouted"),
    ],
)
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
        (exhausted(), "Severity 1: escalation exhausted"),
        (request("escalation_request"), "Severity 1: escalation request (incident)"),
        (
            request("escalation_request", ticket(category="mishandled_request")),
            "Severity 1: escalation request (request not handled properly)",
        ),
        (request("rerouted"), "Your request is with our support team"),
        (stand_down(reason="cancelled"), "Stand down: cancelled"),
        (stand_down(reason="workaround"), "Stand down: workaround provided"),
        (stand_down(reason="voided", clock="answer", run=None), "Stand down: answer was not missed"),
    ],
)
def test_the_first_line_says_what_is_wrong(notification: Notification, headline: str) -> None:
    assert compose(notification).text.splitlines()[0] == headline


def test_the_sender_of_a_stand_down_names_the_clock_that_was_not_missed() -> None:
    voided = compose(stand_down(reason="voided", clock="answer", run=None))
    assert parse(voided)["From"].addresses[0].display_name == "Tocsin: stand down, answer not missed"


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
            "no one else for now; if a resolution deadline is missed, escalation starts (unless it is already running)",
        ),
        (
            request("escalation_request"),
            "no one else for now; each deadline that is near or missed is reported separately",
        ),
        (
            request("escalation_request", ticket(category="mishandled_request")),
            "escalation starts at once; its mails are separate",
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
        (exhausted(due_at=None, target="24 hours"), (), {}, "Deadline:    not known while the clock is paused\n"),
        (exhausted(due_at=None, target=None), (), {}, "Deadline:    none: this category has no resolution clock\n"),
        (
            escalation(upcoming=UpcomingStep(at=EARLIER, tier=TIERS[2])),
            (),
            {},
            "Delays the next tier until one interval after you acknowledge.",
        ),
        (escalation(upcoming=UpcomingStep(at=EARLIER)), (), {}, "Has no effect: there is no higher tier."),
        (stand_down(), (KIM,), {}, "The ticket was resolved at 2026-06-08 13:05 UTC (09:05 EDT), just now."),
        (stand_down(), (KIM,), {}, "Your mails:  tier 1, Service Desk Team Lead: Kim, mailed 2026-06-08 12:00:01 UTC"),
        (stand_down(reason="workaround"), (KIM,), {}, "A workaround was provided at"),
        (stand_down(reason="cancelled"), (KIM,), {}, "The ticket was cancelled at"),
        (
            stand_down(reason="voided", clock="answer", run=None),
            (KIM,),
            {},
            "Late information shows that the answer deadline was not missed. No action needed for this deadline, but "
            "the ticket may still be open.",
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
    return build_composer(own, DirectoryFile(directory), configured_policy(own.policy) if own.policy else None)


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
    (tmp_path / "mail.txt.j2").write_text('{{ content.headline }}. {% include "built-in/mail.txt.j2" %}')
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


HOSTILE = "<script>alert(1)</script>2026-06-08<b>"


@pytest.mark.parametrize(
    "notification",
    [
        escalation(ticket(summary=HOSTILE)),
        escalation(ticket(description=f"a\n{HOSTILE}")),
        escalation(ticket(assignee=Assignee(name=HOSTILE))),
        escalation(reason="explicit", requested_by=HOSTILE),
        escalation(reason="explicit", requested_by="ada", requested_reason=HOSTILE),
        escalation(acknowledgements=(Acknowledgement(at=NOON, by=HOSTILE),)),
        exhausted(ticket(summary=HOSTILE)),
        request("rerouted", ticket(summary=HOSTILE)),
        request("rerouted", ticket(contact=Contact(name=HOSTILE, email="sam@acme.example"))),
        request("escalation_request", ticket(description=HOSTILE)),
    ],
)
def test_html_shows_hostile_text_as_text(notification: Notification) -> None:
    html = compose(notification).html
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "&lt;b&gt;" in html


def test_a_description_cannot_look_like_a_row_of_the_mail() -> None:
    text = compose(escalation(ticket(description="Printer\n\nSeverity:    4 (Low)\r\nNext:        nobody"))).text
    assert "Description: Printer\n             Severity: 4 (Low)\n             Next: nobody\nCustomer:" in text


@each_kind
def test_html_loads_nothing_from_elsewhere(sample: Sample) -> None:
    html = composed(sample).html
    assert re.findall(r"<(?:img|script|link|iframe|form|object)|url\(|@import|src=", html) == []
    assert html.count("style=") > 10  # programs that ignore <style> still show the intended page


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


def row(mail: Mail, label: str) -> list[str]:
    """The lines of a row in the text."""
    start = mail.text.partition(f"\n{label}:".ljust(14))[2]
    lines = start.splitlines()
    return [lines[0], *(line.strip() for line in takewhile(lambda line: line.startswith(" " * 13), lines[1:]))]


def test_the_description_is_cut_after_some_lines() -> None:
    description = "\n".join(f"line {number}" for number in range(9))
    assert row(compose(escalation(ticket(description=description))), "Description") == [
        *(f"line {number}" for number in range(5)),
        "…",
    ]
    assert "Description" not in compose(escalation(ticket(description=" \n "))).text


@pytest.mark.parametrize(
    ("flag", "fields", "words"),
    [
        ("default_severity", {"initial_severity": 1}, "severity 1 (default of the integration)"),
        ("default_severity", {"initial_severity": 3}, "severity 3 at the opening (default of the integration)"),
        ("default_services", {}, "affected services (default of the integration)"),
        ("default_contact", {}, "contact (default of the integration)"),
        ("default_customer", {}, "customer (default of the integration)"),
        ("default_summary", {}, "summary (default of the integration)"),
        ("default_opened_at", {}, "opening time unknown: the time of receipt is used"),
        ("contact_unusable", {}, "mail cannot be sent to the contact's address"),
        ("text_cleaned", {}, "control characters were removed from an id, a name or an address"),
        ("short_notice", {}, "short notice: requested less than the agreed time before the start"),
        ("start_missing", {}, "start missing: ask the customer when the work is to start"),
        ("rerouted", {}, "rerouted: the sender may not use Escalations@, or the request has another purpose"),
        ("security", {}, "security vulnerability"),
    ],
)
def test_flags_are_remarks_in_words(flag: str, fields: dict[str, Any], words: str) -> None:
    mail = compose(escalation(ticket(flags=(flag,), **fields)))
    assert row(mail, "Remarks") == [words]
    assert "Remarks" not in compose(escalation()).text


@pytest.mark.rule("1.6")
@pytest.mark.parametrize(
    "notification", [escalation(suggested_severity=1), about_clock("warning", suggested_severity=1), exhausted()]
)
def test_a_disputed_severity_is_the_first_remark(notification: Notification) -> None:
    of = ticket(flags=("default_severity",))
    mail = compose(notification.model_copy(update={"suggested_severity": 1, "ticket": of}))
    assert row(mail, "Remarks") == [
        "severity disputed: the stated impact suggests severity 1",
        "severity 1 (default of the integration)",
    ]


def test_category_start_and_assignee() -> None:
    of = ticket(category="onboarding", starts_at=NOON + timedelta(hours=25), assignee=Assignee(name="Ana"))
    mail = compose(escalation(of))
    assert row(mail, "Category") == ["onboarding, starts 2026-06-09 13:00 UTC (09:00 EDT), in 23 h 55 min"]
    assert row(mail, "Assignee") == ["Ana"]


@pytest.mark.rule("5.29")
@pytest.mark.parametrize(
    ("holder", "words"),
    [
        (Holder("kim", "Kim", "kim@example.com", "default", phone="+1 212 555 0100"), "Kim, +1 212 555 0100"),
        (Holder("kim", "Kim", "kim@example.com", "default"), "Kim"),
    ],
)
def test_the_next_tier_is_named_with_its_phone_number(holder: Holder, words: str) -> None:
    mail = compose(escalation(), involved=Involved(next_holder=holder))
    assert row(mail, "Next")[1] == f"on call then: {words}"
    last = compose(escalation(upcoming=UpcomingStep(at=LATER)), involved=Involved(next_holder=holder))
    assert len(row(last, "Next")) == 1


@pytest.mark.rule("5.29")
def test_the_holder_of_the_next_tier_is_the_one_at_its_instant() -> None:
    directory = load_directory(
        "people:\n"
        "  dana: { name: Dana, email: dana@example.com }\n"
        '  kim: { name: Kim, email: kim@example.com, phone: "+1 212 555 0100" }\n'
        "roles:\n"
        "  senior_it_operations_manager:\n"
        "    - { person: dana, to: 2026-06-08T14:00:00Z }\n"
        "    - { person: kim, from: 2026-06-08T14:00:00Z }\n",
        "directory.yaml",
    )
    found = involved_people(escalation(requested_by="dana"), directory)
    assert found.next_holder is not None
    assert (found.next_holder.name, found.next_holder.phone) == ("Kim", "+1 212 555 0100")
    assert found.names == {"dana": "Dana"}


@pytest.mark.rule("5.30")
def test_a_step_says_who_acknowledged_before_and_until_when_that_held() -> None:
    known = (
        Acknowledgement(at=NOON, by="dana", held_until=NOON + timedelta(hours=1)),
        Acknowledgement(at=EARLIER, by="ada"),
    )
    mail = compose(escalation(acknowledgements=known), involved=Involved(names={"dana": "Dana Østergård"}))
    assert row(mail, "Held") == [
        "acknowledged by Dana Østergård at 2026-06-08 12:00 UTC (08:00 EDT), "
        "held until 2026-06-08 13:00 UTC (09:00 EDT)",
        "acknowledged by ada at 2026-06-08 12:35 UTC (08:35 EDT), held; the end is not known while the clock is paused",
    ]


@pytest.mark.rule("5.30")
def test_an_explicit_escalation_says_who_requested_it_and_why() -> None:
    asked = escalation(reason="explicit", requested_by="ada", requested_reason="The\ncustomer called.")
    assert row(compose(asked), "Requested") == ["by ada: The customer called."]
    assert row(compose(asked.model_copy(update={"requested_reason": None})), "Requested") == ["by ada"]
    assert "Requested" not in compose(escalation(reason="explicit")).text


@pytest.mark.rule("5.22")
@pytest.mark.rule("3.18")
def test_a_category_without_a_resolution_clock_has_no_target_in_its_mails() -> None:
    mail = compose(escalation(reason="explicit", due_at=None, target=None), KIM)
    assert row(mail, "Deadline") == ["none: this category has no resolution clock"]
    assert "Target" not in mail.text


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "All tiers have been notified, and the ticket is still open."),
        ({"reason": "vacant"}, "Nobody holds a tier above the last one notified, and the ticket is still open."),
    ],
)
def test_exhaustion_says_why_nobody_is_left_and_who_was_notified(fields: dict[str, Any], words: str) -> None:
    mail = compose(exhausted(skipped=(TIERS[2],), **fields), KIM)
    assert words in mail.text
    assert row(mail, "Notified") == [
        "tier 1, Service Desk Team Lead: Kim, mailed 2026-06-08 12:00:01 UTC (08:00 EDT)",
        "tier 2, Senior IT Operations Manager: vacant, skipped",
    ]
    assert row(mail, "Why you")[0].startswith("you were notified as the Service Desk Team Lead (tier 1) for Acme")


INTERNAL = re.compile(r"severity|tier|escalat|directory|tocsin|deadline|ticket id|cycle|connectwise", re.IGNORECASE)


@pytest.mark.rule("6.6")
def test_the_sender_of_a_rerouted_request_reads_polite_words_without_ours() -> None:
    reader = replace(READER, person="sam@acme.example", name="Sam", email="sam@acme.example", role="contact", tier=None)
    mail = compose(request("rerouted"), reader=reader, late=True, redelivery=Redelivery("key", NOW, 1))
    assert mail.text.splitlines() == [
        "Your request is with our support team",
        "",
        "Dear Sam,",
        "",
        "Thank you for your mail. The address that you wrote to is reserved for certain requests from your "
        "company's IT contact, so we have passed your request on to our support team. You do not need to send it "
        "again.",
        "",
        "Request:     SR-1042: Mail is down",
        "",
        "Help guide:  https://example.com/how-to-get-help",
        "             Our How to Get Help Guide shows the best way to reach us for each kind of request.",
        "",
        "This is an automatic reply to your mail.",
    ]
    page = " ".join(VisibleText(mail.html).words)
    assert INTERNAL.findall(mail.text + page + mail.subject + str(parse(mail)["From"]).partition("<")[0]) == []
    parsed = parse(mail)
    assert (parsed["Auto-Submitted"], parsed["Tocsin-Kind"], parsed["Importance"]) == ("auto-replied", "rerouted", None)


@pytest.mark.rule("6.6")
def test_without_a_guide_in_the_policy_the_reply_has_no_link(tmp_path: Path) -> None:
    by = configured(tmp_path / "none.yaml")
    assert "http" not in compose(request("rerouted"), by=by).text


@pytest.mark.rule("6.6")
def test_the_policy_names_the_guide(tmp_path: Path) -> None:
    policy = (Path(__file__).parents[2] / "deploy/policy/policy.yaml").read_text()
    lines = [line for line in policy.splitlines() if not line.startswith("help_guide:")]
    path = tmp_path / "policy.yaml"
    path.write_text("\n".join([*lines, "help_guide: https://example.org/help", ""]))
    assert "https://example.org/help\n" in compose(request("rerouted"), by=configured(tmp_path / "d", policy=path)).text


def test_the_assignee_reads_why_they_get_a_warning() -> None:
    reader = replace(READER, role="assignee", role_title="Assignee", tier=None, rule="assignee of the ticket")
    assert row(compose(about_clock("warning"), reader=reader), "Why you") == ["you are the assignee of this ticket"]
