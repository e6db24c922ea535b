"""Who is on call: each role now and next, for customers where it differs, handovers and vacancies ahead. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import nsmallest
from itertools import pairwise
from typing import Final

from tocsin.directory import Directory, Holder, Shift, compute_shifts, role_title

from board.domain.mail_reasons import rule_words
from board.domain.time_words import Moment, PageTime

HORIZON: Final = timedelta(days=14)
"""How far ahead handovers and vacancies are listed."""
STRIP: Final = timedelta(days=7)
_YEAR: Final = timedelta(days=366)
_MOST_HANDOVERS: Final = 20
_MOST_VACANCIES: Final = 20
_MOST_CUSTOMERS: Final = 200


@dataclass(frozen=True, slots=True)
class RoleOnCall:
    """Who holds a role now and next. `customer` is null for all customers without a special holder.

    `holder` is null if the role is vacant. `until` is null if nothing changes within a year; otherwise `following`
    holds the role then, null if nobody does.
    """

    title: str
    customer: str | None
    holder: Holder | None
    rule: str
    until: Moment | None
    following: Holder | None


@dataclass(frozen=True, slots=True)
class Handover:
    """An instant at which the holder of a role changes. `ago` says how far away it is."""

    at: Moment
    ago: str
    title: str
    customer: str | None
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class RoleVacancy:
    """A time in which nobody holds a role. `ends_at` is null if it lasts longer than the page looks ahead."""

    title: str
    starts_at: Moment
    ends_at: Moment | None
    is_now: bool


@dataclass(frozen=True, slots=True)
class RoleWeek:
    """The shifts of a role in the days that the page draws."""

    title: str
    shifts: tuple[Shift, ...]


def roles_on_call(directory: Directory, time: PageTime) -> list[RoleOnCall]:
    """Every role now and next, and below it the customers for whom another person holds it now or next."""
    found = []
    for role in directory.known_roles:
        general = _on_call(directory, role, None, time)
        found.append(general)
        for customer in customers_of(directory, role):
            special = _on_call(directory, role, customer, time)
            if _persons(special) != _persons(general):
                found.append(special)
    return found


def customers_of(directory: Directory, role: str) -> list[str]:
    """The customers for whom the directory says who holds the role, in alphabetical order."""
    named = [entry.customer for entry in directory.roles.get(role, ())]
    named += [cover.customer for cover in directory.overrides if cover.role == role]
    return sorted({customer for customer in named if customer is not None})[:_MOST_CUSTOMERS]


def handovers(directory: Directory, time: PageTime) -> list[Handover]:
    """The next changes of people within two weeks, the earliest first; at most 20."""
    changes = [
        (after.starts_at, role, customer, before.holder, after.holder)
        for role in directory.known_roles
        for customer in (None, *customers_of(directory, role))
        for before, after in pairwise(compute_shifts(directory, role, customer, time.now, time.now + HORIZON))
        if _person(before.holder) != _person(after.holder)
    ]
    first = nsmallest(_MOST_HANDOVERS * 4, changes, key=lambda change: (change[0], change[1], change[2] or ""))
    return [
        Handover(time.full(at), time.since(at), role_title(role), customer, _name(before), _name(after))
        for at, role, customer, before, after in _without_repeats(first)
    ][:_MOST_HANDOVERS]


def vacancies(directory: Directory, time: PageTime) -> list[RoleVacancy]:
    """The times within two weeks in which nobody holds a role, the earliest first; at most 20."""
    end = time.now + HORIZON
    gaps = [
        (shift.starts_at, role, shift)
        for role in directory.known_roles
        for shift in compute_shifts(directory, role, None, time.now, end)
        if shift.holder is None
    ]
    return [
        RoleVacancy(
            role_title(role),
            time.full(starts_at),
            time.full(gap.ends_at) if gap.ends_at < end else None,
            is_now=starts_at <= time.now,
        )
        for starts_at, role, gap in nsmallest(_MOST_VACANCIES, gaps, key=lambda gap: gap[:2])
    ]


def role_weeks(directory: Directory, begin: datetime) -> list[RoleWeek]:
    """The shifts of every role in the seven days from `begin`, for customers without a special holder."""
    return [
        RoleWeek(role_title(role), tuple(compute_shifts(directory, role, None, begin, begin + STRIP)))
        for role in directory.known_roles
    ]


def _on_call(directory: Directory, role: str, customer: str | None, time: PageTime) -> RoleOnCall:
    shifts = _by_person(compute_shifts(directory, role, customer, time.now, time.now + _YEAR))
    current, following = next(shifts), next(shifts, None)
    holder = current.holder
    return RoleOnCall(
        title=role_title(role),
        customer=customer,
        holder=holder,
        rule=rule_words(holder.rule).lstrip(", ") if holder else "",
        until=time.full(following.starts_at) if following else None,
        following=following.holder if following else None,
    )


def _by_person(shifts: Iterable[Shift]) -> Iterator[Shift]:
    """The shifts that begin with another person than the one before."""
    before: object = object()
    for shift in shifts:
        person = _person(shift.holder)
        if person != before:
            yield shift
        before = person


def _without_repeats(
    changes: Sequence[tuple[datetime, str, str | None, Holder | None, Holder | None]],
) -> Iterator[tuple[datetime, str, str | None, Holder | None, Holder | None]]:
    """Without the changes of a customer that are those of all customers."""
    general = {
        (at, role, _person(before), _person(after)) for at, role, customer, before, after in changes if customer is None
    }
    for at, role, customer, before, after in changes:
        if customer is None or (at, role, _person(before), _person(after)) not in general:
            yield at, role, customer, before, after


def _persons(found: RoleOnCall) -> tuple[str | None, str | None, datetime | None]:
    return _person(found.holder), _person(found.following), found.until.at if found.until else None


def _person(holder: Holder | None) -> str | None:
    return holder.person if holder else None


def _name(holder: Holder | None) -> str | None:
    return holder.name if holder else None
