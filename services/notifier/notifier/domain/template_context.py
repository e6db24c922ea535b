"""The facts of a mail as values for the templates: text on one line, or numbers. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from typing import Any, Final

from tocsin.characters import one_line
from tocsin.directory import Holder
from tocsin.events import Acknowledgement, Exhausted, MailKind, Notify, StandDown, Ticket
from tocsin.instants import display_instant

from notifier.domain.delivery import Notification, mail_kind
from notifier.domain.mail_history import EarlierMail
from notifier.domain.sanitize import first_lines, header_text

MAX_ITEMS: Final = 12
"""How many lines or names of a list are shown; further ones are counted."""

SEVERITIES: Final[Mapping[int, str]] = {1: "Critical", 2: "High", 3: "Medium", 4: "Low"}
_DESCRIPTION_LINES: Final = 5
_COLOURS: Final[Mapping[int, tuple[str, str]]] = {
    1: ("#b71c1c", "#ffffff"),
    2: ("#ff9800", "#1f1f1f"),
    3: ("#fdd835", "#1f1f1f"),
    4: ("#1565c0", "#ffffff"),
}
_WARNING_COLOURS: Final = ("#fff3cd", "#3d2f00")
_NOTIFY_COLOURS: Final[Mapping[MailKind, tuple[str, str]]] = {
    "warning": _WARNING_COLOURS,
    "escalation_request": _WARNING_COLOURS,
    "rerouted": ("#37474f", "#ffffff"),
}
_STAND_DOWN_COLOURS: Final = ("#2e7d32", "#ffffff")
_ENDED: Final[Mapping[str, str]] = {
    "resolved": "resolved",
    "workaround": "workaround provided",
    "cancelled": "cancelled",
    "voided": "was not missed",  # after the name of the clock
}
_KINDS: Final[Mapping[MailKind, str | None]] = {
    "escalation": None,
    "warning": "warning",
    "response_missed": "response missed",
    "answer_missed": "answer missed",
    "stand_down": "stand-down",
    "exhausted": "exhausted",
    "escalation_request": "request",
    "rerouted": "rerouted",
}


@dataclass(frozen=True, slots=True)
class Reader:
    """The recipient of a mail, the role they hold, and the rule of the directory that chose them.

    `instead_of`: the address that failed, where this one is a fallback. `is_group`: the address is the role's group
    address, so that others than `name` read it.
    """

    person: str
    name: str
    email: str
    role: str
    role_title: str
    tier: int | None
    rule: str
    instead_of: str | None = None
    is_group: bool = False

    @property
    def called(self) -> str:
        """Who reads the mail, as far as is known: the person, or the address of a group."""
        return self.email if self.is_group else self.name


@dataclass(frozen=True, slots=True)
class Redelivery:
    """Who requested that a mail be sent again, when, and which repeat (1, 2, ...) this is."""

    by: str
    at: datetime
    number: int


@dataclass(frozen=True, slots=True)
class Pages:
    """The pages that the mail links to: the ticket in its tool, the acknowledgement, valid until `expires_at`, and the
    How to Get Help Guide.
    """

    ticket: str | None = None
    acknowledge: str | None = None
    expires_at: datetime | None = None
    help_guide: str | None = None


@dataclass(frozen=True, slots=True)
class Involved:
    """The people of the directory that a mail names: who holds the next tier at its instant, and names by person id."""

    next_holder: Holder | None = None
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class MailContext:
    """The input of a mail's rendering. `now` is business time; instants are shown in UTC and in `zone`.

    `earlier`: the mails that this one lists, oldest first (see `mail_history.earlier_mails`).
    """

    notification: Notification
    reader: Reader
    earlier: Sequence[EarlierMail]
    now: datetime
    late: bool
    zone: tzinfo
    pages: Pages = Pages()
    redelivery: Redelivery | None = None
    involved: Involved = field(default_factory=Involved)


def template_values(mail: MailContext) -> dict[str, Any]:
    """The arguments of the macros in `words.j2`. All text from outside is on one line and capped."""
    notification, reader, zone, now = mail.notification, mail.reader, mail.zone, mail.now
    ticket = notification.ticket
    contact, assignee = ticket.contact, ticket.assignee
    again = mail.redelivery
    match notification:
        case Notify():
            own = _notify_values(notification, mail.involved, now, zone)
        case StandDown():
            own = _stand_down_values(notification)
        case Exhausted():
            own = _exhausted_values(notification, now, zone)
    return {
        "kind": mail_kind(notification),
        "severity": notification.severity,
        "severity_name": SEVERITIES[notification.severity],
        "external_id": header_text(ticket.external_id, 60),
        "ticket_id": str(ticket.ticket_id),
        "source": one_line(ticket.source, 60),
        "summary": one_line(ticket.summary, 300),
        "description": first_lines(ticket.description or "", lines=_DESCRIPTION_LINES, limit=200),
        **_request_values(ticket, now, zone),
        "customer": one_line(ticket.customer.name, 120),
        "affected": _join(ticket.affected_services),
        "contact": _join([part for part in (contact.name, contact.phone, contact.email) if part]),
        "contact_name": one_line(contact.name, 100),
        "assignee": _join([part for part in (assignee.name, assignee.email) if part]) if assignee else None,
        "opened_at": display_instant(ticket.opened_at, zone),
        "cycle": notification.cycle,
        "role": reader.role,
        "role_title": one_line(reader.role_title, 100),
        "name": one_line(reader.name, 100),
        "tier": notification.tier.number if isinstance(notification, Notify) and notification.tier else reader.tier,
        "rule": one_line(reader.rule, 120),
        "instead_of": one_line(reader.instead_of, 120) if reader.instead_of else None,
        "at": display_instant(notification.at, zone),
        "at_ago": distance(notification.at, now),
        "late": mail.late,
        "redelivery": {"by": one_line(again.by, 100), "at": display_instant(again.at, zone), "number": again.number}
        if again
        else None,
        "link_until": display_instant(mail.pages.expires_at, zone) if mail.pages.expires_at else None,
        **own,
    }


def _request_values(ticket: Ticket, now: datetime, zone: tzinfo) -> dict[str, Any]:
    """What kind of request it is, and the remarks of intake, whose words are in `words.j2`."""
    starts_at = ticket.starts_at
    return {
        "category": ticket.category,
        "flags": list(dict.fromkeys(ticket.flags)),
        "initial_severity": ticket.initial_severity,
        "starts_at": display_instant(starts_at, zone) if starts_at else None,
        "starts_ago": distance(starts_at, now) if starts_at else None,
    }


def _notify_values(notify: Notify, involved: Involved, now: datetime, zone: tzinfo) -> dict[str, Any]:
    upcoming = notify.upcoming
    following = upcoming.tier if upcoming else None
    holder = involved.next_holder if following else None
    return {
        "colours": _NOTIFY_COLOURS.get(notify.kind) or _COLOURS[notify.severity],
        "clock": notify.clock or "resolution",
        "reason": notify.reason,
        "suggested_severity": notify.suggested_severity,
        "requested_by": _called(notify.requested_by, involved) if notify.requested_by else None,
        "requested_reason": one_line(notify.requested_reason, 300) if notify.requested_reason else None,
        "acknowledgements": [
            _acknowledgement_values(known, involved, zone) for known in notify.acknowledgements[-MAX_ITEMS:]
        ],
        "target": one_line(notify.target, 80) if notify.target else None,
        "interval": one_line(notify.interval, 80) if notify.interval else None,
        "due_at": display_instant(notify.due_at, zone) if notify.due_at else None,
        "due_ago": distance(notify.due_at, now) if notify.due_at else None,
        "due_passed": notify.due_at is not None and notify.due_at <= now,
        "unconfirmed": notify.unconfirmed,
        "next_at": display_instant(upcoming.at, zone) if upcoming else None,
        "next_ago": distance(upcoming.at, now) if upcoming else None,
        "next_passed": upcoming is not None and upcoming.at <= now,
        "next_tier": following.number if following else None,
        "next_title": one_line(following.title, 100) if following else None,
        "next_holder": _join([part for part in (holder.name, holder.phone) if part]) if holder else None,
        "skipped": [{"tier": tier.number, "title": one_line(tier.title, 100)} for tier in notify.skipped[:MAX_ITEMS]],
    }


def _acknowledgement_values(known: Acknowledgement, involved: Involved, zone: tzinfo) -> dict[str, Any]:
    return {
        "by": _called(known.by, involved) if known.by else None,
        "at": display_instant(known.at, zone),
        "held_until": display_instant(known.held_until, zone) if known.held_until else None,
    }


def _called(actor: str, involved: Involved) -> str:
    """The name of a person of the directory; any other actor as it is."""
    return one_line(involved.names.get(actor, actor), 100)


def _exhausted_values(exhausted: Exhausted, now: datetime, zone: tzinfo) -> dict[str, Any]:
    due_at = exhausted.due_at
    return {
        "colours": _COLOURS[exhausted.severity],
        "clock": "resolution",
        "reason": exhausted.reason,
        "suggested_severity": exhausted.suggested_severity,
        "target": one_line(exhausted.target, 80) if exhausted.target else None,
        "due_at": display_instant(due_at, zone) if due_at else None,
        "due_ago": distance(due_at, now) if due_at else None,
        "unconfirmed": False,
        "skipped": [
            {"tier": tier.number, "title": one_line(tier.title, 100)} for tier in exhausted.skipped[:MAX_ITEMS]
        ],
    }


def _stand_down_values(stand_down: StandDown) -> dict[str, Any]:
    clock = stand_down.clock or "resolution"
    ended = _ENDED[stand_down.reason]
    return {
        "colours": _STAND_DOWN_COLOURS,
        "clock": clock,
        "ended": f"{clock} {ended}" if stand_down.reason == "voided" else ended,
        "end_reason": stand_down.reason,
        "suggested_severity": None,
        "unconfirmed": False,
        "skipped": [],
    }


def earlier_values(earlier: EarlierMail, zone: tzinfo) -> dict[str, Any]:
    """One earlier mail, for the macro `earlier`."""
    return {
        "tier": earlier.tier,
        "title": one_line(earlier.title, 100),
        "name": one_line(earlier.name, 100) if earlier.name else None,
        "kind": _KINDS[earlier.kind],
        "address": one_line(earlier.address, 120) if earlier.address else None,
        "is_open": earlier.is_open,
        "scheduled_at": display_instant(earlier.scheduled_at, zone),
        "sent_at": display_instant(earlier.sent_at, zone) if earlier.sent_at else None,
    }


def _join(items: Sequence[str]) -> str:
    """`Email, VPN and 3 more`. Each item is cut on its own, so that a long one hides none of the others."""
    shown = [line for item in items[:MAX_ITEMS] if (line := one_line(item, 100))]
    more = f" and {len(items) - MAX_ITEMS} more" if len(items) > MAX_ITEMS else ""
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
