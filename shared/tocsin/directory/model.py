"""The directory: people, the roles they hold, and whose turn it is, by one order of rules (decision 0015)."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Annotated, Final, Self

from pydantic import Field, PrivateAttr, model_validator

from tocsin.business_time import load_zone
from tocsin.directory.consistency import problems
from tocsin.directory.entries import GroupAddress, Override, Person, RoleEntry
from tocsin.directory.ical_import import ICalendar
from tocsin.directory.ical_schedule import CalendarSchedule
from tocsin.directory.intervals import IntervalIndex
from tocsin.directory.rotation import CalendarLocation, Rotation
from tocsin.directory.schedule import Schedule, Turn, WeeklyHours
from tocsin.yaml_document import Identifier, YamlModel, field_errors

STANDARD_ROLES: Final = (
    "service_desk_team_lead",
    "senior_it_operations_manager",
    "it_operations_director",
    "account_manager",
    "chief_operating_officer",
    "chief_executive_officer",
)
"""The roles of the page's ladder. Others must be named in `own_roles`, so that a slip of the pen is found."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a role; `rule` says why in words: `default`, `customer acme`, `rotation primary, week of 2026-06-08`,
    `customer acme: rotation ...` or `override: ...`.

    `fallbacks` are the person's further addresses, tried in this order when `email` is refused; `zone` is the time zone
    of theirs in which mails tell instants, if they named one.
    """

    person: str
    name: str
    email: str
    rule: str
    fallbacks: tuple[str, ...] = ()
    zone: str | None = None


@dataclass(frozen=True, slots=True)
class Assignment:
    """Who holds a role before anybody stands in for them, and why."""

    person: str
    rule: str


class Directory(YamlModel):
    """People and the roles they hold. It is never built invalid: what is wrong raises a ValidationError.

    The calendars of its rotations are given by `with_calendars`; a rotation whose calendar is not known answers
    nothing, so the next rule does.
    """

    people: dict[Identifier, Person]
    roles: dict[Identifier, tuple[RoleEntry, ...]]
    own_roles: tuple[Identifier, ...] = ()
    rotations: Annotated[dict[Identifier, Rotation], Field(default_factory=dict)]
    overrides: tuple[Override, ...] = ()
    group_addresses: tuple[GroupAddress, ...] = ()
    _feeds: dict[str, CalendarSchedule] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        known = {*STANDARD_ROLES, *self.own_roles}
        if found := list(
            problems(self.people, self.roles, self.rotations, self.overrides, self.group_addresses, known)
        ):
            raise field_errors(found)
        return self

    def with_calendars(self, calendars: Mapping[str, ICalendar]) -> Self:
        """The same directory with the calendars of its rotations, by the rotations' names."""
        reading = self.model_copy()
        reading._feeds = {
            name: CalendarSchedule(calendar, self.people, load_zone(self.rotations[name].zone))
            for name, calendar in calendars.items()
        }
        return reading

    def holder(self, role: str, customer_id: str | None, at: datetime) -> Holder | None:
        """Who holds that role for that customer at that instant. None: the role is vacant.

        An override comes before the customer's own entries, these before the general ones (decision 0015).
        """
        answer = self.answer(role, customer_id, at)
        if answer is None:
            return None
        person, rule = answer.person, answer.rule
        while (index := self._stand_ins.at(person, at)) is not None:
            cover = self.overrides[index]
            person, rule = cover.person, _covering(cover, f"instead of {self.people[person].name} ")
        found = self.people[person]
        return Holder(person, found.name, found.email, rule, found.fallbacks, found.zone)

    def answer(self, role: str, customer_id: str | None, at: datetime) -> Assignment | None:
        """The first rule that answers, before anybody stands in for its person."""
        customers = (None,) if customer_id is None else (customer_id, None)
        for customer in customers:
            if (index := self._covers.at((role, customer), at)) is not None:
                cover = self.overrides[index]
                return Assignment(cover.person, _covering(cover, ""))
        for customer in customers:
            for index in self._entries.get((role, customer), ()):
                if (answer := self._answer(role, index, at)) is not None:
                    return answer
        return None

    def answers(self, role: str, index: int, at: datetime) -> bool:
        """Whether that entry of the role has an answer at that instant, whatever comes before it."""
        return self._answer(role, index, at) is not None

    def group_address(self, role: str, customer_id: str | None) -> str | None:
        """The role's group address: the customer's own before the general one; None: it has none."""
        addresses = {group.customer: group.email for group in self.group_addresses if group.role == role}
        return addresses.get(customer_id) or addresses.get(None)

    def edges(self, role: str, customer_id: str | None, start: datetime, end: datetime) -> list[datetime]:
        """Every instant in (start, end), sorted, at which the answer may become another."""
        spans = [(cover.starts_at, cover.ends_at) for cover in self.overrides if cover.role in (role, None)]
        found: set[datetime] = set()
        for customer in {customer_id, None}:
            for index in self._entries.get((role, customer), ()):
                entry = self.roles[role][index]
                spans.append(entry.span)
                if entry.rotation is not None:
                    found.update(self._turns_of(entry.rotation, max(start, entry.span[0]), min(end, entry.span[1])))
        found.update(at for span in spans for at in span)
        return sorted(at for at in found if start < at < end)

    @property
    def sources(self) -> dict[str, tuple[CalendarLocation, str]]:
        """Where the calendars of rotations come from, each with its rotation's zone, by the rotations' names."""
        return {
            name: (rotation.calendar, rotation.zone)
            for name, rotation in self.rotations.items()
            if rotation.calendar is not None
        }

    @property
    def known_roles(self) -> tuple[str, ...]:
        """The roles of the page, then those of one's own."""
        return tuple(dict.fromkeys((*STANDARD_ROLES, *self.own_roles)))

    @property
    def feeds(self) -> Mapping[str, CalendarSchedule]:
        """What the calendars say that are known, by the rotations' names."""
        return self._feeds

    def _answer(self, role: str, index: int, at: datetime) -> Assignment | None:
        entry = self.roles[role][index]
        starts_at, ends_at = entry.span
        if not starts_at <= at < ends_at:
            return None
        own = f"customer {entry.customer}" if entry.customer is not None else None
        if entry.person is not None:
            return Assignment(entry.person, own or "default")
        turn = self._turn(entry.rotation or "", at)
        if turn is None:
            return None
        words = f"rotation {entry.rotation}, {turn.words}"
        return Assignment(turn.person, f"{own}: {words}" if own else words)

    def _turn(self, rotation: str, at: datetime) -> Turn | None:
        schedule, week = self._schedule(rotation), self._weeks[rotation]
        if schedule is None or (week is not None and not week.includes(at)):
            return None
        return schedule.turn(at)

    def _turns_of(self, rotation: str, start: datetime, end: datetime) -> Iterator[datetime]:
        for changing in (self._schedule(rotation), self._weeks[rotation]):
            if changing is not None and start < end:
                yield from changing.edges(start, end)

    def _schedule(self, rotation: str) -> Schedule | None:
        return self._schedules.get(rotation) or self._feeds.get(rotation)

    @cached_property
    def _schedules(self) -> dict[str, Schedule]:
        made = {name: rotation.schedule for name, rotation in self.rotations.items()}
        return {name: schedule for name, schedule in made.items() if schedule is not None}

    @cached_property
    def _weeks(self) -> dict[str, WeeklyHours | None]:
        return {name: rotation.week for name, rotation in self.rotations.items()}

    @cached_property
    def _entries(self) -> dict[tuple[str, str | None], list[int]]:
        """The entries of each role and customer, as places in the role's list, in the order in which they answer."""
        entries: dict[tuple[str, str | None], list[int]] = defaultdict(list)
        for role, holdings in self.roles.items():
            for index in sorted(range(len(holdings)), key=lambda index: holdings[index].rank):
                entries[role, holdings[index].customer].append(index)
        return dict(entries)

    @cached_property
    def _covers(self) -> IntervalIndex[tuple[str, str | None]]:
        """The overrides of roles."""
        return IntervalIndex(
            ((cover.role, cover.customer), cover.starts_at, cover.ends_at, index)
            for index, cover in enumerate(self.overrides)
            if cover.role is not None
        )

    @cached_property
    def _stand_ins(self) -> IntervalIndex[str]:
        """The overrides of people, by whom they cover. No circle of them is ever built."""
        return IntervalIndex(
            (cover.instead_of, cover.starts_at, cover.ends_at, index)
            for index, cover in enumerate(self.overrides)
            if cover.instead_of is not None
        )


def _covering(cover: Override, whom: str) -> str:
    reason = f" ({cover.reason})" if cover.reason else ""
    return f"override: {whom}until {cover.ends_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC{reason}"
