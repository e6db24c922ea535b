"""Who is on call, until when, and who follows; and how long until nobody is. Pure."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Final

from tocsin.directory import Directory, Holder, Shift, compute_shifts, find_gap
from tocsin.events import Notify
from tocsin.instants import render_instant

from notifier.domain.delivery import MailRequest
from notifier.domain.template_context import Involved
from notifier.errors import InstantOutOfRangeError, UnknownRoleError

GAP_HORIZON: Final = timedelta(days=14)
_FIRST: Final = datetime(1900, 1, 1, tzinfo=UTC)
_END: Final = datetime(2100, 1, 1, tzinfo=UTC)
_AHEAD: Final = timedelta(days=366)
_BACK: Final = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class OnCall:
    """`holder` holds the role (None: it is vacant) until `until` (None: for a year at least), then `next_holder`.

    `group_address` is the role's last fallback address.
    """

    holder: Holder | None
    until: datetime | None
    next_holder: Holder | None
    group_address: str | None


def on_call(directory: Directory, role: str, customer_id: str | None, at: datetime) -> OnCall:
    """Who holds the role at that instant, and who follows. Raises UnknownRoleError and InstantOutOfRangeError."""
    check_role(directory, role)
    if not _FIRST <= at < _END:
        raise InstantOutOfRangeError
    coming = compute_shifts(directory, role, customer_id, at, at + _AHEAD)
    current, following = next(coming), next(coming, None)
    return OnCall(
        holder=current.holder,
        until=following.starts_at if following else None,
        next_holder=following.holder if following else None,
        group_address=directory.group_address(role, customer_id),
    )


def involved_people(notification: MailRequest, directory: Directory) -> Involved:
    """The people whom the mail of `notification` names beside its recipients."""
    if not isinstance(notification, Notify):
        return Involved()
    actors = (notification.requested_by, *(known.by for known in notification.acknowledgements))
    names = {actor: directory.people[actor].name for actor in actors if actor in directory.people}
    upcoming = notification.upcoming
    if upcoming is None or upcoming.tier is None:
        return Involved(names=names)
    return Involved(directory.holder(upcoming.tier.role, notification.ticket.customer.id, upcoming.at), names)


def check_role(directory: Directory, role: str) -> None:
    """Raises UnknownRoleError."""
    if role not in directory.known_roles:
        raise UnknownRoleError(directory.known_roles)


def calendar_shifts(directory: Directory, role: str, customer_id: str | None, now: datetime) -> list[Shift]:
    """The shifts of a role for a published calendar, to a year ahead. Raises UnknownRoleError.

    They start on 1 January (UTC), at least 90 days ago. A shift cut at that instant stays the same all year, and so
    does its event.
    """
    check_role(directory, role)
    start = datetime((now - _BACK).astimezone(UTC).year, 1, 1, tzinfo=UTC)
    end = (now + _AHEAD).astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return list(compute_shifts(directory, role, customer_id, start, end))


def unknown_events(directory: Directory, now: datetime) -> list[str]:
    """Descriptions of the calendar events within two weeks whose person is not in the directory: nobody is on call."""
    return [
        f"rotation {name}: `{event.summary}` of {render_instant(event.starts_at)}"
        for name, feed in directory.calendar_schedules.items()
        for event in feed.unmatched(now, now + GAP_HORIZON)
    ]


@dataclass(frozen=True, slots=True)
class UnreadableEventCounts:
    """How many events of a calendar cannot be read: those that would put somebody on call, and the others."""

    on_call: int
    other: int


def left_out_counts(directory: Directory, now: datetime) -> dict[str, UnreadableEventCounts]:
    """By rotation with a calendar: the events that cannot be read (docs/rules.md#5-32)."""
    counts = {}
    for name, schedule in directory.calendar_schedules.items():
        on_call_events = [bool(people) for _, people in schedule.left_out(now)]
        counts[name] = UnreadableEventCounts(on_call=on_call_events.count(True), other=on_call_events.count(False))
    return counts


def unreadable_events(directory: Directory, rotations: Collection[str], at: datetime) -> list[str]:
    """Descriptions of the events of these rotations that would put somebody on call at `at` or later, but cannot be
    read (docs/rules.md#5-32).
    """
    return [
        f"rotation {name}: {event.message(people)}"
        for name, schedule in directory.calendar_schedules.items()
        if name in rotations
        for event, people in schedule.left_out(at)
        if people
    ]


def rotations_of(directory: Directory, role: str, customer_id: str | None) -> list[str]:
    """The rotations that may decide who holds the role for the customer, in their order in the directory."""
    entries = directory.roles.get(role, ())
    used = {entry.rotation for entry in entries if entry.customer in (None, customer_id)}
    return [name for name in directory.rotations if name in used]


def held_roles(directory: Directory, ladder: Iterable[str], now: datetime) -> dict[str, bool]:
    """By role of the directory and of the `ladder`: whether somebody holds it now.

    For customers without a holder of their own.
    """
    return {role: directory.holder(role, None, now) is not None for role in (*directory.known_roles, *ladder)}


def seconds_to_gap(directory: Directory, now: datetime) -> dict[str, float]:
    """By role: business seconds until nobody holds it (0: now, infinite: not within two weeks).

    For customers without a holder of their own.
    """
    gaps = {role: find_gap(directory, role, now, now + GAP_HORIZON) for role in directory.known_roles}
    return {role: (found.starts_at - now).total_seconds() if found else inf for role, found in gaps.items()}
