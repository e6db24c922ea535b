"""What will go wrong with a directory that is well written: gaps, entries never reached, events naming nobody. Pure."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from tocsin.directory.model import Directory
from tocsin.directory.shifts import compute_shifts
from tocsin.instants import to_utc
from tocsin.yaml_document import FieldPath

LINT_PERIOD: Final = timedelta(days=366)
_MOST_OF_A_KIND: Final = 5


@dataclass(frozen=True, slots=True)
class LintFinding:
    """What is wrong at a place of the document: "what is wrong; what would be right". `harmless`: it may be meant."""

    place: FieldPath
    message: str
    harmless: bool = False


def lint_directory(directory: Directory, start: datetime, end: datetime) -> Iterator[LintFinding]:
    """What is wrong between two instants. A gap counts for customers without a holder of their own."""
    yield from _calendars(directory, start, end)
    for role in directory.known_roles:
        yield from _gaps(directory, role, start, end)
    yield from _never_reached(directory, start, end)


def lint_mailboxes(directory: Directory, mailboxes: Collection[str]) -> Iterator[LintFinding]:
    """Addresses that are a mailbox of the policy, given in lower case: the system never mails them (RULES 6)."""
    addresses: dict[FieldPath, str] = {}
    for name, person in directory.people.items():
        addresses["people", name, "email"] = person.email
        addresses |= {("people", name, "fallbacks", index): email for index, email in enumerate(person.fallbacks)}
    for index, group in enumerate(directory.group_addresses):
        addresses["group_addresses", index, "email"] = group.email
    for place, email in addresses.items():
        if email.lower() in mailboxes:
            yield LintFinding(
                place, f"`{email}` is a mailbox that tickets come in by, and is never mailed; name another"
            )


def _gaps(directory: Directory, role: str, start: datetime, end: datetime) -> Iterator[LintFinding]:
    place: FieldPath = ("roles", role)
    vacant = [shift for shift in compute_shifts(directory, role, None, start, end) if shift.holder is None]
    for gap in vacant[:_MOST_OF_A_KIND]:
        until = "on" if gap.ends_at == end else f"until {_told(gap.ends_at)}"
        message = f"nobody holds it from {_told(gap.starts_at)} {until}: the tier is vacant; name somebody"
        yield LintFinding(place, message)
    if len(vacant) > _MOST_OF_A_KIND:
        yield LintFinding(
            place, f"and {len(vacant) - _MOST_OF_A_KIND} more gaps; name somebody without dates as a default"
        )


def _never_reached(directory: Directory, start: datetime, end: datetime) -> Iterator[LintFinding]:
    """Rotations that others come before whenever they answer, from `start` on.

    A person below rotations is the default that docs/on-call.md advises, not one who is never reached. Overrides, which
    end, and calendars, which may not be had one night, leave something to those below them.
    """
    for role, entries in directory.roles.items():
        for index, entry in enumerate(entries):
            if entry.rotation is not None and _is_hidden(directory, role, index, start, end):
                message = "never answers: others come before it at all times; remove it, or give them an end"
                yield LintFinding(("roles", role, index), message)


def _is_hidden(directory: Directory, role: str, index: int, start: datetime, end: datetime) -> bool:
    entries = directory.roles[role]
    entry = entries[index]
    before = [
        place
        for place, other in enumerate(entries)
        if other.customer == entry.customer and (other.rank, place) < (entry.rank, index)
    ]
    from_, to = max(entry.span[0], start), min(entry.span[1], end)
    later = [entries[place].span[1] for place in before if to <= entries[place].span[1] < entry.span[1]]
    instants = (from_, *directory.edges(role, entry.customer, from_, to), *later) if from_ < to else ()
    answering = [at for at in instants if directory.answers(role, index, at)]
    written = directory.with_calendars({})
    return bool(answering) and all(any(written.answers(role, place, at) for place in before) for at in answering)


def _calendars(directory: Directory, start: datetime, end: datetime) -> Iterator[LintFinding]:
    for name, feed in directory.feeds.items():
        place: FieldPath = ("rotations", name, "calendar")
        for event in feed.nameless(start, end)[:_MOST_OF_A_KIND]:
            who = ", ".join(event.addresses) or "no attendee"
            message = (
                f"the event `{event.summary}` ({who}) of {_told(event.starts_at)} names nobody of people; "
                "add the person, or the address to their fallbacks"
            )
            yield LintFinding(place, message)
        for first, second in feed.overlapping(start, end)[:_MOST_OF_A_KIND]:
            message = (
                f"the event `{second.summary}` of {_told(second.starts_at)} overlaps with `{first.summary}` of "
                f"{_told(first.starts_at)}; the one that begins later counts, of two that begin together the shorter"
            )
            yield LintFinding(place, message, harmless=True)
        for first, second in feed.alike(start, end)[:_MOST_OF_A_KIND]:
            message = (
                f"the events `{first.summary}` and `{second.summary}` of {_told(first.starts_at)} begin and end "
                "together; let the one that counts begin later, or remove the other"
            )
            yield LintFinding(place, message)


def _told(at: datetime) -> str:
    return f"{to_utc(at):%Y-%m-%d %H:%M} UTC"
