"""Who holds a role over a period: shifts, gaps, and the iCalendar of the shifts."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

from tocsin.directory.ical import PERSON_PROPERTY
from tocsin.directory.model import Directory, Holder


@dataclass(frozen=True, slots=True)
class Shift:
    """A stretch of time, its end excluded, with one holder by one rule. `holder` is None if the role is vacant."""

    starts_at: datetime
    ends_at: datetime
    holder: Holder | None


def compute_shifts(
    directory: Directory, role: str, customer_id: str | None, start: datetime, end: datetime
) -> Iterator[Shift]:
    """Yield the shifts that fill the time from `start` to `end`, in order. Neighbours differ in person or rule."""
    starts_at, holder = start, directory.holder(role, customer_id, start)
    for at in directory.changes(role, customer_id, start, end):
        other = directory.holder(role, customer_id, at)
        if other != holder:
            yield Shift(starts_at, at, holder)
            starts_at, holder = at, other
    yield Shift(starts_at, end, holder)


def find_gap(directory: Directory, role: str, start: datetime, end: datetime) -> Shift | None:
    """Return the first vacancy between two instants, for customers without a holder of their own, or None."""
    shifts = compute_shifts(directory, role, None, start, end)
    return next((shift for shift in shifts if shift.holder is None), None)


def export_calendar(shifts: Iterable[Shift], role: str, customer_id: str | None, now: datetime) -> bytes:
    """Return an iCalendar that a rotation can use: an event for each shift, with its holder as attendee.

    Instants are in UTC and whole seconds. The UID of an event depends on its role, customer and start only. `now` is
    its DTSTAMP.
    """
    import icalendar  # here: only this export needs it, and it takes 15 ms of every start

    calendar = icalendar.Calendar()
    calendar.add("prodid", "-//tocsin//on call//EN")
    calendar.add("version", "2.0")
    calendar.add("name", f"{role}, {customer_id}" if customer_id else role)
    for shift in shifts:
        starts_at, ends_at = (at.astimezone(UTC).replace(microsecond=0) for at in (shift.starts_at, shift.ends_at))
        if shift.holder is None or starts_at == ends_at:
            continue
        event = icalendar.Event()
        key = f"{role}\n{customer_id or ''}\n{starts_at.isoformat()}"
        event.add("uid", f"{sha256(key.encode()).hexdigest()[:32]}@tocsin")
        event.add("dtstamp", now.astimezone(UTC).replace(microsecond=0))
        event.add("dtstart", starts_at)
        event.add("dtend", ends_at)
        event.add("summary", shift.holder.name)
        event.add("description", shift.holder.rule)
        attendee = icalendar.vCalAddress(f"mailto:{shift.holder.email}")
        attendee.params["CN"] = shift.holder.name
        event.add("attendee", attendee)
        event.add(PERSON_PROPERTY, shift.holder.person)
        event.add("transp", "TRANSPARENT")
        calendar.add_component(event)
    return bytes(calendar.to_ical())
