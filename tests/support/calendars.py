"""Short iCalendars and directories for tests."""

from datetime import UTC, datetime
from functools import cache

from tocsin.directory import Directory, ICalendar, compute_shifts, load_directory

ROLE = "service_desk_team_lead"
PEOPLE = """\
people:
  maya.lindqvist: { name: Maya Lindqvist, email: maya.lindqvist@example.com, fallbacks: [maya@home.example.com] }
  sam.ortega: { name: Sam Ortega, email: sam.ortega@example.com }
  tomas.herrera: { name: Tom\u00e1s Herrera, email: tomas.herrera@example.com }
"""


def calendar(*events: str, head: str = "") -> str:
    """The text of an iCalendar with these events, whose UIDs are 0, 1, ..."""
    wrapped = "".join(f"BEGIN:VEVENT\nUID:{n}\n{event.strip()}\nEND:VEVENT\n" for n, event in enumerate(events))
    return f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//test//EN\n{head}{wrapped}END:VCALENDAR\n"


def directory_with(text: str, zone: str = "America/New_York", people: str = PEOPLE) -> Directory:
    """A directory whose team lead is the rotation `desk`, which has that iCalendar."""
    return _directory(zone, people).with_calendars({"desk": ICalendar(text, zone)})


@cache
def _directory(zone: str, people: str) -> Directory:
    rotation = f"rotations:\n  desk: {{ zone: {zone}, calendar: {{ file: desk.ics }} }}\n"
    return load_directory(f"{people}{rotation}roles: {{ {ROLE}: [{{ rotation: desk }}] }}\n", "directory.yaml")


def person_at(directory: Directory, at: str) -> str | None:
    """Who is team lead at that instant, by id."""
    found = directory.holder(ROLE, None, datetime.fromisoformat(at))
    return found.person if found else None


def shifts_of(directory: Directory) -> list[str]:
    """The shifts of the team lead from 2026 to 2028, such as `2027-01-05 14:00 - 22:00` (UTC)."""
    period = datetime(2026, 1, 1, tzinfo=UTC), datetime(2029, 1, 1, tzinfo=UTC)
    found = [shift for shift in compute_shifts(directory, ROLE, None, *period) if shift.holder is not None]
    ends = [
        f"{shift.ends_at:%H:%M}" if shift.starts_at.date() == shift.ends_at.date() else f"{shift.ends_at:%m-%d %H:%M}"
        for shift in found
    ]
    return [f"{shift.starts_at:%Y-%m-%d %H:%M} - {end}" for shift, end in zip(found, ends, strict=True)]
