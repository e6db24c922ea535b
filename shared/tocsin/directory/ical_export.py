"""Who holds a role, given back as an iCalendar that `Calendar` reads again. Pure."""

from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import sha256

import icalendar

from tocsin.directory.ical_import import PERSON
from tocsin.directory.shifts import Shift


def export_calendar(shifts: Iterable[Shift], role: str, customer_id: str | None, now: datetime) -> bytes:
    """An event for each shift that somebody holds, in UTC and whole seconds, with the holder as its attendee.

    An event keeps its UID while its role, customer and beginning stay. `now` stamps them.
    """
    calendar = icalendar.Calendar()
    calendar.add("prodid", "-//tocsin//on call//EN")
    calendar.add("version", "2.0")
    calendar.add("name", f"{role}, {customer_id}" if customer_id else role)
    for shift in shifts:
        starts_at, ends_at = (at.astimezone(UTC).replace(microsecond=0) for at in (shift.starts_at, shift.ends_at))
        if shift.holder is None or starts_at == ends_at:
            continue
        event = icalendar.Event()
        named = f"{role}\n{customer_id or ''}\n{starts_at.isoformat()}"
        event.add("uid", f"{sha256(named.encode()).hexdigest()[:32]}@tocsin")
        event.add("dtstamp", now.astimezone(UTC).replace(microsecond=0))
        event.add("dtstart", starts_at)
        event.add("dtend", ends_at)
        event.add("summary", shift.holder.name)
        event.add("description", shift.holder.rule)
        attendee = icalendar.vCalAddress(f"mailto:{shift.holder.email}")
        attendee.params["CN"] = shift.holder.name
        event.add("attendee", attendee)
        event.add(PERSON, shift.holder.person)
        event.add("transp", "TRANSPARENT")
        calendar.add_component(event)
    return bytes(calendar.to_ical())
