"""Who is on call, until when, and who then; and how long until nobody is. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Final

from tocsin.directory import Directory, Holder, Shift, compute_shifts, find_gap
from tocsin.instants import render_instant

FIRST: Final = datetime(1900, 1, 1, tzinfo=UTC)
LAST: Final = datetime(2100, 1, 1, tzinfo=UTC)
"""The instants that may be asked about."""

GAP_HORIZON: Final = timedelta(days=14)
_AHEAD: Final = timedelta(days=366)
_BACK: Final = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class OnCall:
    """`holder` (None: the role is vacant) until `until`, then `then`; `until` None: no change within a year."""

    holder: Holder | None
    until: datetime | None
    then: Holder | None


def on_call(directory: Directory, role: str, customer_id: str | None, at: datetime) -> OnCall:
    """Who holds the role at that instant, and what comes next."""
    coming = compute_shifts(directory, role, customer_id, at, at + _AHEAD)
    now, then = next(coming), next(coming, None)
    return OnCall(now.holder, then.starts_at if then else None, then.holder if then else None)


def around(directory: Directory, role: str, customer_id: str | None, now: datetime) -> list[Shift]:
    """The shifts of a role from the beginning of the year (UTC) that it was 90 days ago to a year ahead.

    A shift that began before is cut at an instant that stays the same all year, so that an event made of it does, too.
    """
    first = (now - _BACK).astimezone(UTC)
    start = datetime(first.year, 1, 1, tzinfo=UTC)
    end = (now + _AHEAD).astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return list(compute_shifts(directory, role, customer_id, start, end))


def unknown_events(directory: Directory, now: datetime) -> list[str]:
    """The events of calendars within two weeks that name nobody of the directory, in words: they put nobody on call."""
    return [
        f"rotation {name}: `{event.summary}` of {render_instant(event.starts_at)}"
        for name, feed in directory.calendar_schedules.items()
        for event in feed.unmatched(now, now + GAP_HORIZON)
    ]


def seconds_to_gap(directory: Directory, now: datetime) -> dict[str, float]:
    """By role: business seconds until nobody holds it for customers without a holder of their own; 0: now, infinite:
    not within two weeks.
    """
    gaps = {role: find_gap(directory, role, now, now + GAP_HORIZON) for role in directory.known_roles}
    return {role: (found.starts_at - now).total_seconds() if found else inf for role, found in gaps.items()}
