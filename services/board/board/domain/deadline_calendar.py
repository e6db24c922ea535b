"""Deadlines as an iCalendar that calendar programs subscribe to (RFC 5545, RFC 5546). Pure."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from board.domain.at_risk import ComingDeadline, coming_deadlines
from board.domain.board_ticket import BoardTicket
from board.domain.ticket_links import TicketLinks

_REFRESH: Final = timedelta(minutes=5)
"""How often a calendar program should read the calendar again."""
_PRIORITIES: Final[Mapping[int, int]] = {1: 1, 2: 3, 3: 5, 4: 7}
"""By severity. In RFC 5545, 1 is the highest priority and 9 the lowest."""


def deadlines_within(tickets: Iterable[BoardTicket], at: datetime, within: timedelta) -> list[ComingDeadline]:
    """The deadlines of running clocks from `at` to `within` later, in order."""
    deadlines = (deadline for ticket in tickets for deadline in coming_deadlines(ticket, at))
    return sorted(
        (one for one in deadlines if one.elapsed_left <= within), key=lambda one: (one.due_at, *one.position[1:])
    )


def export_deadlines(deadlines: Iterable[ComingDeadline], links: TicketLinks) -> bytes:
    """An iCalendar with one event for each deadline, at its instant in UTC and whole seconds.

    The UID of an event depends on its ticket, cycle and clock only. SEQUENCE is the number of the ticket's facts, and
    DTSTAMP the instant to which sla-timer had evaluated it: of two versions of an event, the later one has the higher
    SEQUENCE, or the same SEQUENCE and the later DTSTAMP. So equal deadlines give equal bytes.
    """
    import icalendar  # here: it takes 15 ms of every start

    calendar = icalendar.Calendar()
    calendar.add("prodid", "-//tocsin//deadlines//EN")
    calendar.add("version", "2.0")
    calendar.add("method", "PUBLISH")
    calendar.add("name", "SLA deadlines")
    calendar.add("x-wr-calname", "SLA deadlines")
    calendar.add("refresh-interval", _REFRESH, parameters={"VALUE": "DURATION"})
    calendar.add("x-published-ttl", f"PT{_REFRESH // timedelta(minutes=1)}M")  # the older name, which Outlook reads
    for deadline in deadlines:
        event = icalendar.Event()
        for name, value in _properties(deadline, links).items():
            event.add(name, value)
        calendar.add_component(event)
    return bytes(calendar.to_ical())


def _properties(deadline: ComingDeadline, links: TicketLinks) -> dict[str, object]:
    found, clock = deadline.ticket, deadline.clock
    ticket = found.ticket
    properties: dict[str, object] = {
        "uid": f"{found.ticket_id}.{clock.cycle}.{clock.name}@tocsin",
        "sequence": found.facts,
        "dtstamp": _whole_seconds(clock.evaluated_to),
        "dtstart": _whole_seconds(deadline.due_at),
        "summary": f"Severity {found.severity} {clock.name} due: {ticket.summary} ({ticket.customer.name})",
        "description": "\n".join(
            [
                f"Ticket {ticket.external_id} in {ticket.source}",
                f"Customer: {ticket.customer.name}",
                f"Assignee: {found.assignee or 'nobody'}",
                f"Target: {clock.target_words}" + (", counted from the response deadline" * clock.provisional),
            ]
        ),
        "categories": [f"severity {found.severity}", clock.name],
        "priority": _PRIORITIES[found.severity],
        "transp": "TRANSPARENT",
    }
    url = links.board_page(ticket) or links.tool_page(ticket)
    return properties if url is None else properties | {"url": url}


def _whole_seconds(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(microsecond=0)
