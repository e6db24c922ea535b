"""Finds problems of a valid directory: vacancies, entries that never apply, events that name nobody."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from tocsin.directory.calendar_schedule import CalendarSchedule
from tocsin.directory.ical import CalendarEvent
from tocsin.directory.model import Directory
from tocsin.directory.shifts import compute_shifts
from tocsin.instants import to_utc
from tocsin.yaml_document import FieldPath

LINT_PERIOD: Final = timedelta(days=366)
_MAX_OF_A_KIND: Final = 5


@dataclass(frozen=True, slots=True)
class LintFinding:
    """A problem at a field of the document: "what is wrong; what to change". A harmless one may be intended."""

    path: FieldPath
    message: str
    harmless: bool = False


def lint_directory(directory: Directory, start: datetime, end: datetime) -> Iterator[LintFinding]:
    """Yield the problems between two instants. Vacancies are those of customers without a holder of their own."""
    yield from _lint_calendars(directory, start, end)
    for role in directory.known_roles:
        yield from _lint_vacancies(directory, role, start, end)
    yield from _lint_hidden_rotations(directory, start, end)


def lint_mailboxes(directory: Directory, mailboxes: Collection[str]) -> Iterator[LintFinding]:
    """Yield the addresses that are mailboxes of the policy, given in lower case (docs/rules.md#6-10)."""
    addresses: dict[FieldPath, str] = {}
    for name, person in directory.people.items():
        addresses["people", name, "email"] = person.email
        addresses |= {("people", name, "fallbacks", index): email for index, email in enumerate(person.fallbacks)}
    for index, group in enumerate(directory.group_addresses):
        addresses["group_addresses", index, "email"] = group.email
    for path, email in addresses.items():
        if email.lower() in mailboxes:
            yield LintFinding(path, f"`{email}` is a mailbox for requests, which never gets mail; use another address")


def _lint_vacancies(directory: Directory, role: str, start: datetime, end: datetime) -> Iterator[LintFinding]:
    path: FieldPath = ("roles", role)
    vacant = [shift for shift in compute_shifts(directory, role, None, start, end) if shift.holder is None]
    for gap in vacant[:_MAX_OF_A_KIND]:
        until = "on" if gap.ends_at == end else f"until {_shown(gap.ends_at)}"
        message = f"vacant from {_shown(gap.starts_at)} {until}, so the ladder skips its tier; add a holder"
        yield LintFinding(path, message)
    if len(vacant) > _MAX_OF_A_KIND:
        message = f"{len(vacant) - _MAX_OF_A_KIND} more vacancies; add a person without dates as a default"
        yield LintFinding(path, message)


def _lint_hidden_rotations(directory: Directory, start: datetime, end: datetime) -> Iterator[LintFinding]:
    """Yield the rotations that never apply from `start` on, because other entries always come first.

    A person below rotations is not reported: it is the default that docs/on-call.md recommends. Overrides and calendars
    never hide an entry, since an override ends and a calendar may be unavailable.
    """
    for role, entries in directory.roles.items():
        for index, entry in enumerate(entries):
            if entry.rotation is not None and _is_hidden(directory, role, index, start, end):
                message = "never applies, because entries that come before it always do; remove it, or give them an end"
                yield LintFinding(("roles", role, index), message)


def _is_hidden(directory: Directory, role: str, index: int, start: datetime, end: datetime) -> bool:
    entries = directory.roles[role]
    entry = entries[index]
    before = [
        number
        for number, other in enumerate(entries)
        if other.customer == entry.customer and (other.precedence, number) < (entry.precedence, index)
    ]
    starts_at, ends_at = max(entry.span[0], start), min(entry.span[1], end)
    ends_before = [entries[number].span[1] for number in before if ends_at <= entries[number].span[1] < entry.span[1]]
    changes = directory.changes(role, entry.customer, starts_at, ends_at)
    instants = (starts_at, *changes, *ends_before) if starts_at < ends_at else ()
    applying = [at for at in instants if directory.applies(role, index, at)]
    without_calendars = directory.with_calendars({})
    return bool(applying) and all(
        any(without_calendars.applies(role, number, at) for number in before) for at in applying
    )


def _lint_calendars(directory: Directory, start: datetime, end: datetime) -> Iterator[LintFinding]:
    for name, schedule in directory.calendar_schedules.items():
        path: FieldPath = ("rotations", name, "calendar")
        yield from _lint_left_out(path, schedule, start)
        for event in schedule.unmatched(start, end)[:_MAX_OF_A_KIND]:
            yield LintFinding(path, _unmatched(schedule, event))
        for first, second in schedule.overlaps(start, end)[:_MAX_OF_A_KIND]:
            message = (
                f"the event `{second.summary}` at {_shown(second.starts_at)} overlaps with `{first.summary}` at "
                f"{_shown(first.starts_at)}; the one that starts later applies, or the shorter if they start together"
            )
            yield LintFinding(path, message, harmless=True)
        for first, second in schedule.ties(start, end)[:_MAX_OF_A_KIND]:
            message = (
                f"the events `{first.summary}` and `{second.summary}` at {_shown(first.starts_at)} have the same start "
                "and end; let the one that applies start later, or remove the other"
            )
            yield LintFinding(path, message)


def _lint_left_out(path: FieldPath, schedule: CalendarSchedule, start: datetime) -> Iterator[LintFinding]:
    """Yield what of a calendar cannot be read. All events that would put somebody on call are named."""
    left_out = schedule.left_out(start)
    for event, people in left_out:
        if people:
            yield LintFinding(path, event.message(people))
    others = [event for event, people in left_out if not people]
    for event in others[:_MAX_OF_A_KIND]:
        yield LintFinding(path, event.message(""), harmless=True)
    if len(others) > _MAX_OF_A_KIND:
        message = f"{len(others) - _MAX_OF_A_KIND} more events are left out; none would put anybody on call"
        yield LintFinding(path, message, harmless=True)
    for note in schedule.notes:
        yield LintFinding(path, note, harmless=True)


def _unmatched(schedule: CalendarSchedule, event: CalendarEvent) -> str:
    if persons := schedule.named(event):
        return (
            f"the event `{event.summary}` at {_shown(event.starts_at)} may mean {schedule.shown_names(persons)}, so it "
            "puts nobody on call; write an address or an id instead of the name, or invite the person"
        )
    attendees = ", ".join(event.addresses) or "no attendee"
    return (
        f"the event `{event.summary}` ({attendees}) at {_shown(event.starts_at)} names no person of the "
        "directory; add the person, or add the address to their fallbacks"
    )


def _shown(at: datetime) -> str:
    return f"{to_utc(at):%Y-%m-%d %H:%M} UTC"
