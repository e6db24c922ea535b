"""The words of a mail: what the templates see, and the letter they make of it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from tocsin.events import Notify, StandDown
from tocsin.moments import moment

from notifier.untrusted import header_text, one_line

_ENVIRONMENT: Final = Environment(
    loader=PackageLoader("notifier", "templates"),
    undefined=StrictUndefined,
    autoescape=select_autoescape(enabled_extensions=("html.j2",), default_for_string=True, default=False),
    keep_trailing_newline=True,
)
_SEVERITIES: Final[Mapping[int, str]] = {1: "Critical", 2: "High", 3: "Medium", 4: "Low"}
_COLOURS: Final[Mapping[int, str]] = {1: "#c62828", 2: "#e65100", 3: "#f9a825", 4: "#1565c0"}
_STAND_DOWN_COLOUR: Final = "#2e7d32"
_ENDED: Final[Mapping[str, str]] = {
    "resolved": "resolved",
    "workaround": "given a workaround",
    "cancelled": "cancelled",
    "voided": "not missed after all",
}


@dataclass(frozen=True, slots=True)
class Reader:
    """Who is mailed, as the holder of which role, and by which rule of the directory."""

    person: str
    name: str
    email: str
    role: str
    role_title: str
    tier: int | None
    rule: str


@dataclass(frozen=True, slots=True)
class Told:
    """One earlier telling: `name` null where nobody was found, `sent_at` null where no mail was handed over."""

    tier: int | None
    title: str
    name: str | None
    scheduled_at: datetime
    sent_at: datetime | None


@dataclass(frozen=True, slots=True)
class Redelivery:
    """That a mail was asked for once more: by whom, when, and the how manieth time (1, 2, ...)."""

    by: str
    at: datetime
    number: int


@dataclass(frozen=True, slots=True)
class Letter:
    subject: str
    text: str
    html: str


def write(
    notice: Notify | StandDown, reader: Reader, told: Sequence[Told], *, now: datetime, late: bool, zone: tzinfo
) -> Letter:
    """The letter for `reader` at the business instant `now`; all that came from outside is on one line and capped.

    Instants are told in UTC and, beside it, in `zone`.
    """
    sheet = _sheet(notice, reader, now, zone)
    words: Any = _ENVIRONMENT.get_template("words.j2").module
    skipped = notice.skipped if isinstance(notice, Notify) else ()
    before = [
        *(words.told(_entry(entry, zone)) for entry in told),
        *(words.skipped({"tier": tier.number, "title": one_line(tier.title, 100)}) for tier in skipped),
    ]
    letter = {
        "headline": words.headline(sheet),
        "colour": sheet["colour"],
        "notes": _notes(words, sheet, late=late),
        "rows": [(label, lines) for label, lines in _rows(words, sheet, before) if lines],
        "origin": words.origin(sheet),
    }
    return Letter(
        subject=words.subject(sheet),
        text=_ENVIRONMENT.get_template("mail.txt.j2").render(letter=letter),
        html=_ENVIRONMENT.get_template("mail.html.j2").render(letter=letter),
    )


def _notes(words: Any, sheet: Mapping[str, Any], *, late: bool) -> list[str]:
    """What must be known beside the headline, in whole sentences; usually nothing."""
    ended = [words.over(sheet)] if sheet["kind"] == "stand_down" else []
    unconfirmed = [words.unconfirmed(sheet)] if sheet["unconfirmed"] else []
    return [*ended, *unconfirmed, *([words.late(sheet)] if late else [])]


def _rows(words: Any, sheet: Mapping[str, Any], before: Sequence[str]) -> list[tuple[str, Sequence[str]]]:
    """Labels and their lines, in the order of reading; those without lines are left out."""
    about = [
        ("Ticket", [f"{sheet['external_id']}: {sheet['summary']}"]),
        ("Customer", [sheet["customer"]]),
        ("Affected", [sheet["affected"]]),
        ("Contact", [sheet["contact"]]),
        ("Severity", [f"{sheet['severity']} ({sheet['severity_name']})"]),
    ]
    why = ("Why you", [words.why(sheet)])
    if sheet["kind"] == "stand_down":
        return [*about, why, ("Your mails", before)]
    escalation = sheet["kind"] == "escalation"
    return [
        *about,
        ("Escalated", [f"{sheet['at']}, {sheet['at_ago']}"] if sheet["reason"] == "explicit" else []),
        ("Promised", [words.promised(sheet)]),
        ("Due", [words.due(sheet)]),
        why,
        ("Told before", before or (["nobody, you are the first"] if escalation else [])),
        ("Told next", [] if sheet["kind"] == "warning" else [words.upcoming(sheet)]),
    ]


def _sheet(notice: Notify | StandDown, reader: Reader, now: datetime, zone: tzinfo) -> dict[str, Any]:
    ticket = notice.ticket
    contact = ticket.contact
    return {
        "severity": notice.severity,
        "severity_name": _SEVERITIES[notice.severity],
        "external_id": header_text(ticket.external_id, 60),
        "ticket_id": str(ticket.ticket_id),
        "source": one_line(ticket.source, 60),
        "summary": one_line(ticket.summary, 300),
        "customer": one_line(ticket.customer.name, 120),
        "affected": one_line(", ".join(ticket.affected_services), 300),
        "contact": one_line(", ".join(part for part in (contact.name, contact.email, contact.phone) if part), 300),
        "opened_at": moment(ticket.opened_at, zone),
        "cycle": notice.cycle,
        "role_title": one_line(reader.role_title, 100),
        "tier": reader.tier,
        "rule": one_line(reader.rule, 120),
        "at": moment(notice.at, zone),
        "at_ago": distance(notice.at, now),
        **(_asked(notice, now, zone) if isinstance(notice, Notify) else _ended(notice)),
    }


def _asked(notice: Notify, now: datetime, zone: tzinfo) -> dict[str, Any]:
    upcoming = notice.upcoming
    following = upcoming.tier if upcoming else None
    return {
        "kind": notice.kind,
        "colour": _COLOURS[notice.severity],
        "clock": notice.clock or "resolution",
        "reason": notice.reason,
        "target": one_line(notice.target, 80) if notice.target else None,
        "due_at": moment(notice.due_at, zone) if notice.due_at else None,
        "due_ago": distance(notice.due_at, now) if notice.due_at else None,
        "unconfirmed": notice.unconfirmed,
        "next_at": moment(upcoming.at, zone) if upcoming else None,
        "next_ago": distance(upcoming.at, now) if upcoming else None,
        "next_tier": following.number if following else None,
        "next_title": one_line(following.title, 100) if following else None,
    }


def _ended(notice: StandDown) -> dict[str, Any]:
    return {
        "kind": "stand_down",
        "colour": _STAND_DOWN_COLOUR,
        "ended": _ENDED[notice.reason],
        "end_reason": notice.reason,
        "unconfirmed": False,
    }


def _entry(told: Told, zone: tzinfo) -> dict[str, Any]:
    return {
        "tier": told.tier,
        "title": one_line(told.title, 100),
        "name": one_line(told.name, 100) if told.name else None,
        "scheduled_at": moment(told.scheduled_at, zone),
        "sent_at": moment(told.sent_at, zone) if told.sent_at else None,
    }


def distance(at: datetime, now: datetime) -> str:
    """`1 h 5 min ago`, `in 2 d 3 h`, `just now`: the two largest units, rounded down."""
    seconds = abs(now - at) // timedelta(seconds=1)
    units = ((seconds // 86400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "min"), (seconds % 60, "s"))
    first = next((index for index, (count, _) in enumerate(units) if count), None)
    if first is None:
        return "just now"
    words = " ".join(f"{count} {unit}" for count, unit in units[first : first + 2] if count)
    return f"{words} ago" if now >= at else f"in {words}"
