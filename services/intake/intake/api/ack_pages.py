"""The acknowledgement pages: their texts, and their HTML.

They work on any phone, without scripts, logins or resources of other servers; the Content-Security-Policy enforces it.
"""

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any, Final

from tocsin.acknowledgement import AcknowledgementLink, NotifiedPerson
from tocsin.events import Fact
from tocsin.instants import display_instant

from intake.handlers.acknowledgement import TicketLink

_STYLE: Final = (files("intake") / "templates" / "page.css").read_text()
_MAX_LENGTH: Final = 300
_MAX_LINES: Final = 5

CONTENT_SECURITY_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)


@dataclass(frozen=True, slots=True)
class Page:
    """`rows` are labels, each with its lines; `button`, if there is one, posts to the page's own address."""

    title: str
    sentences: tuple[str, ...] = ()
    rows: tuple[tuple[str, Sequence[str]], ...] = ()
    button: str | None = None
    footnotes: tuple[str, ...] = ()


def render_page(page: Page) -> str:
    """The page as an HTML document."""
    return str(_template().render(page=page, style=_STYLE))


@cache
def _template() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # here: with its template it takes 20 ms of a start

    environment = Environment(loader=PackageLoader("intake", "templates"), undefined=StrictUndefined, autoescape=True)
    return environment.get_template("page.html.j2")


def link_page(found: TicketLink) -> Page:
    """The page of a link whose ticket exists: it asks to acknowledge, or says why that is not possible."""
    link, status, zone = found.link, found.status, found.rules.calendar.zone
    ticket = _cut(found.ticket.external_id)
    rows = tuple(_rows(found, zone))
    match status.state:
        case "superseded":
            return Page("Ticket reopened", (f"{ticket} was reopened after this mail was written.", _LATEST_MAIL), rows)
        case "closed":
            closed = f"{ticket} was {_describe_status(status.history.closed_by, zone)}."
            return Page("Nothing to acknowledge", (closed, "No action needed."), rows)
        case "acknowledged" if status.acknowledgement is not None and found.held_until is not None:
            at = display_instant(status.acknowledgement.occurred_at, zone)
            thanks = f"Thank you, {_cut(link.name)}. You acknowledged {ticket} at {at}."
            if found.held_until <= found.at:
                expired = f"Your acknowledgement expired at {display_instant(found.held_until, zone)}."
                return Page("Acknowledgement expired", (thanks, expired, _STILL_OPEN), rows)
            held = _describe_hold(link, found.held_until, status.acknowledgement, zone)
            return Page("Acknowledged", (thanks, held, _EXPIRES), rows)
        case _:
            recipient = f"{_cut(link.name)}, you were notified as {_cut(link.tier.title)} (tier {link.tier.number})."
            interval = found.rules.interval[status.history.status.severity].words
            effect = (
                "If you acknowledge, the next tier is notified at its scheduled time or "
                f"{interval} after your acknowledgement, whichever is later."
            )
            return Page(f"Acknowledge {ticket}?", (recipient,), rows, "Acknowledge", (effect, _EXPIRES))


def expired_page(link: AcknowledgementLink) -> Page:
    return Page("Link expired", (f"This link expired at {display_instant(link.expires_at, UTC)}.", _LATEST_MAIL))


def invalid_link_page() -> Page:
    incomplete = "The link may be incomplete: open it from the mail again, or copy all of it."
    return Page("Invalid link", (incomplete, "Nothing was changed."))


def unknown_ticket_page() -> Page:
    return Page("Ticket not found", ("The ticket of this link does not exist.", "Nothing was changed."))


def unavailable_page() -> Page:
    again = "It is safe to try again: an acknowledgement counts once."
    return Page("Please try again in a minute", ("The system is not responding.", again))


_LATEST_MAIL: Final = "If the ticket still needs your attention, use the link in the latest mail about it."
_STILL_OPEN: Final = (
    "The ticket is still open: resolve it in the ticket's own tool. Escalation continues, unless you received a "
    "stand-down mail since."
)
_EXPIRES: Final = (
    "An acknowledgement expires, and it does not resolve the ticket: resolve it in the ticket's own tool. If you "
    "received a stand-down mail since, the escalation has ended, and acknowledging changes nothing."
)


def _rows(found: TicketLink, zone: tzinfo) -> Iterator[tuple[str, Sequence[str]]]:
    """Labels, each with its lines."""
    link, body, status = found.link, found.ticket.body, found.status
    yield "Ticket", [f"{_cut(found.ticket.external_id)}: {_cut(body['summary'])}"]
    yield "Customer", [_cut(body["customer"]["name"])]
    yield "Affected services", _shorten([_cut(service) for service in body["affected_services"]])
    yield "Contact", [_describe_contact(body["contact"])]
    yield "Severity", [str(status.history.status.severity)]
    yield "Status", [_describe_status(status.history.closed_by, zone)]
    if link.due_at is not None:
        yield "Deadline when the mail was written", [display_instant(link.due_at, zone)]
    yield "Next step when the mail was written", [_describe_upcoming(link, zone)]
    if link.notified:
        yield "Notified before you", [_describe_notified(person, zone) for person in link.notified]
    if status.response is not None:
        yield "First response", [_describe_actor(status.response, zone)]
    if others := status.other_acknowledgements:
        yield "Acknowledged", _shorten([_describe_actor(fact, zone) for fact in reversed(others)])


def _describe_contact(contact: Mapping[str, str | None]) -> str:
    return ", ".join(_cut(part) for name in ("name", "phone", "email") if (part := contact.get(name)))


def _describe_notified(person: NotifiedPerson, zone: tzinfo) -> str:
    name = f": {_cut(person.name)}" if person.name else ""
    return f"tier {person.tier}, {_cut(person.title)}{name}, at {display_instant(person.at, zone)}"


def _shorten(lines: Sequence[str]) -> Sequence[str]:
    further = len(lines) - _MAX_LINES
    return [*lines[:_MAX_LINES], f"and {further} more"] if further > 0 else lines


def _describe_actor(fact: Fact, zone: tzinfo) -> str:
    return f"by {_cut(fact.actor or 'unknown')} at {display_instant(fact.occurred_at, zone)}"


def _describe_upcoming(link: AcknowledgementLink, zone: tzinfo) -> str:
    upcoming = link.upcoming
    if upcoming is None:
        return "not known"
    at = display_instant(upcoming.at, zone)
    if upcoming.tier is None:
        return f"no tier above you; the escalation would end at {at}"
    return f"tier {upcoming.tier.number}, {_cut(upcoming.tier.title)}, at {at}"


def _describe_hold(link: AcknowledgementLink, until: datetime, acknowledgement: Fact, zone: tzinfo) -> str:
    upcoming = link.upcoming
    earliest = display_instant(until, zone)
    is_past = upcoming is not None and upcoming.at < acknowledgement.occurred_at
    if upcoming is not None and upcoming.tier is None:
        if is_past:
            return f"There is no tier above you to hold: the escalation ended at {display_instant(upcoming.at, zone)}."
        return f"There is no tier above you; the escalation ends at {earliest} at the earliest."
    if upcoming is None or upcoming.tier is None or is_past:
        next_tier = "The next tier"
    else:
        next_tier = f"Tier {upcoming.tier.number}, {_cut(upcoming.tier.title)},"
    return f"{next_tier} is notified at {earliest} at the earliest, and only if the ticket is still open then."


def _describe_status(closed_by: Fact | None, zone: tzinfo) -> str:
    if closed_by is None:
        return "open"
    how = "closed with a workaround" if closed_by.resolution_kind == "workaround" else str(closed_by.type)
    actor = f" by {_cut(closed_by.actor)}" if closed_by.actor else ""
    return f"{how}{actor} at {display_instant(closed_by.occurred_at, zone)}"


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_LENGTH else text[: _MAX_LENGTH - 1] + "…"
