"""What a mail tells, put in words for the templates: every value is text on one line, or a number. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Any, Final

from tocsin.events import MailKind, Notify, StandDown
from tocsin.instants import display_instant

from notifier.domain.sanitize import header_text, one_line

_SEVERITIES: Final[Mapping[int, str]] = {1: "Critical", 2: "High", 3: "Medium", 4: "Low"}
_COLOURS: Final[Mapping[int, tuple[str, str]]] = {
    1: ("#b71c1c", "#ffffff"),
    2: ("#ff9800", "#1f1f1f"),
    3: ("#fdd835", "#1f1f1f"),
    4: ("#1565c0", "#ffffff"),
}
_WARNING_COLOURS: Final = ("#fff3cd", "#3d2f00")
_STAND_DOWN_COLOURS: Final = ("#2e7d32", "#ffffff")
_ENDED: Final[Mapping[str, str]] = {
    "resolved": "resolved",
    "workaround": "given a workaround",
    "cancelled": "cancelled",
    "voided": "not missed after all",
}
_KINDS: Final[Mapping[MailKind, str | None]] = {
    "escalation": None,
    "warning": "warning",
    "response_missed": "response missed",
    "answer_missed": "answer missed",
    "stand_down": "stand-down",
}
"""What a mail before this one was, beside a step of the ladder."""

MOST: Final = 12
"""How many lines or names of a list are shown; then it is said how many more there are."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Who is mailed, as the holder of which role, and by which rule of the directory.

    `instead_of`: the address that did not take the mail, where this one is the fallback. `of_group`: it is the role's
    group address, behind which others than `name` read.
    """

    person: str
    name: str
    email: str
    role: str
    role_title: str
    tier: int | None
    rule: str
    instead_of: str | None = None
    of_group: bool = False

    @property
    def called(self) -> str:
        """Whoever reads the mail, as far as is known: the person, or the mailbox of a group."""
        return self.email if self.of_group else self.name


@dataclass(frozen=True, slots=True)
class Told:
    """One earlier telling: `name` null where nobody was found, `sent_at` null where no mail was handed over.

    `address`: where it went, if not to the person's first address. `pending`: its mail is still on its way.
    """

    tier: int | None
    title: str
    name: str | None
    scheduled_at: datetime
    sent_at: datetime | None = None
    kind: MailKind = "escalation"
    address: str | None = None
    pending: bool = False


@dataclass(frozen=True, slots=True)
class Redelivery:
    """That a mail was asked for once more: by whom, when, and the how manieth time (1, 2, ...)."""

    by: str
    at: datetime
    number: int


@dataclass(frozen=True, slots=True)
class Pages:
    """What the mail links to: `ticket` in its own tool, `acknowledge`, which counts until `expires_at`."""

    ticket: str | None = None
    acknowledge: str | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Telling:
    """All that a letter tells of: `notice` to `reader` at the business instant `now`, instants in `zone` beside UTC.

    `told` is who was told before in the same ladder (for a stand-down: what this reader was mailed), oldest first.
    """

    notice: Notify | StandDown
    reader: Reader
    told: Sequence[Told]
    now: datetime
    late: bool
    zone: tzinfo
    pages: Pages = Pages()
    redelivery: Redelivery | None = None


def sheet(telling: Telling) -> dict[str, Any]:
    """What the macros of `words.j2` are called with. All that came from outside is on one line and capped."""
    notice, reader, zone, now = telling.notice, telling.reader, telling.zone, telling.now
    ticket = notice.ticket
    contact = ticket.contact
    again = telling.redelivery
    return {
        "severity": notice.severity,
        "severity_name": _SEVERITIES[notice.severity],
        "external_id": header_text(ticket.external_id, 60),
        "ticket_id": str(ticket.ticket_id),
        "source": one_line(ticket.source, 60),
        "summary": one_line(ticket.summary, 300),
        "customer": one_line(ticket.customer.name, 120),
        "affected": _listed(ticket.affected_services),
        "contact": _listed([part for part in (contact.name, contact.phone, contact.email) if part]),
        "opened_at": display_instant(ticket.opened_at, zone),
        "cycle": notice.cycle,
        "role_title": one_line(reader.role_title, 100),
        "name": one_line(reader.name, 100),
        "tier": notice.tier.number if isinstance(notice, Notify) and notice.tier else reader.tier,
        "rule": one_line(reader.rule, 120),
        "instead_of": one_line(reader.instead_of, 120) if reader.instead_of else None,
        "at": display_instant(notice.at, zone),
        "at_ago": distance(notice.at, now),
        "late": telling.late,
        "again": {"by": one_line(again.by, 100), "at": display_instant(again.at, zone), "number": again.number}
        if again
        else None,
        "link_until": display_instant(telling.pages.expires_at, zone) if telling.pages.expires_at else None,
        **(_asked(notice, now, zone) if isinstance(notice, Notify) else _ended(notice)),
    }


def _asked(notice: Notify, now: datetime, zone: tzinfo) -> dict[str, Any]:
    upcoming = notice.upcoming
    following = upcoming.tier if upcoming else None
    return {
        "kind": notice.kind,
        "colours": _WARNING_COLOURS if notice.kind == "warning" else _COLOURS[notice.severity],
        "clock": notice.clock or "resolution",
        "reason": notice.reason,
        "target": one_line(notice.target, 80) if notice.target else None,
        "interval": one_line(notice.interval, 80) if notice.interval else None,
        "due_at": display_instant(notice.due_at, zone) if notice.due_at else None,
        "due_ago": distance(notice.due_at, now) if notice.due_at else None,
        "due_passed": notice.due_at is not None and notice.due_at <= now,
        "unconfirmed": notice.unconfirmed,
        "next_at": display_instant(upcoming.at, zone) if upcoming else None,
        "next_ago": distance(upcoming.at, now) if upcoming else None,
        "next_passed": upcoming is not None and upcoming.at <= now,
        "next_tier": following.number if following else None,
        "next_title": one_line(following.title, 100) if following else None,
        "skipped": [{"tier": tier.number, "title": one_line(tier.title, 100)} for tier in notice.skipped[:MOST]],
    }


def _ended(notice: StandDown) -> dict[str, Any]:
    clock = notice.clock or "resolution"
    return {
        "kind": "stand_down",
        "colours": _STAND_DOWN_COLOURS,
        "clock": clock,
        "ended": f"{clock} {_ENDED[notice.reason]}" if notice.reason == "voided" else _ENDED[notice.reason],
        "end_reason": notice.reason,
        "unconfirmed": False,
        "skipped": [],
    }


def entry(told: Told, zone: tzinfo) -> dict[str, Any]:
    """One earlier telling, for the macro `told`."""
    return {
        "tier": told.tier,
        "title": one_line(told.title, 100),
        "name": one_line(told.name, 100) if told.name else None,
        "kind": _KINDS[told.kind],
        "address": one_line(told.address, 120) if told.address else None,
        "pending": told.pending,
        "scheduled_at": display_instant(told.scheduled_at, zone),
        "sent_at": display_instant(told.sent_at, zone) if told.sent_at else None,
    }


def _listed(items: Sequence[str]) -> str:
    """`Email, VPN and 3 more`: each cut by itself, so that a long one hides none of the others."""
    shown = [line for item in items[:MOST] if (line := one_line(item, 100))]
    more = f" and {len(items) - MOST} more" if len(items) > MOST else ""
    return ", ".join(shown) + more


def distance(at: datetime, now: datetime) -> str:
    """`1 h 5 min ago`, `in 2 d 3 h`, `7 s ago`, `just now`: the two largest units, seconds only alone; rounded down."""
    seconds = abs(now - at) // timedelta(seconds=1)
    units = ((seconds // 86400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "min"), (seconds % 60, "s"))
    first = next((index for index, (count, _) in enumerate(units) if count), None)
    if first is None:
        return "just now"
    shown = units[first : min(first + 2, 3)] or units[3:]
    words = " ".join(f"{count} {unit}" for count, unit in shown if count)
    return f"{words} ago" if now >= at else f"in {words}"
