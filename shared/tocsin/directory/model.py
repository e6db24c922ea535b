"""The directory: people, roles and rotations, and who holds a role at an instant.

The order of the rules is that of docs/rules.md#5-18 and docs/decisions/0015-role-holder-precedence.md.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Annotated, Final, Self

from pydantic import Field, PrivateAttr, model_validator

from tocsin.business_time import load_zone
from tocsin.directory.calendar_schedule import CalendarSchedule, YearlyCalendar
from tocsin.directory.entries import GroupAddress, IntervalIndex, Override, Person, ReportReaders, RoleEntry
from tocsin.directory.errors import DirectoryError
from tocsin.directory.rotation import CalendarLocation, Rotation
from tocsin.directory.schedule import Schedule, Turn, WeeklyHours
from tocsin.directory.validation import find_problems
from tocsin.yaml_document import Identifier, Name, YamlModel, field_errors, load_document

STANDARD_ROLES: Final = (
    "service_desk_team_lead",
    "senior_it_operations_manager",
    "it_operations_director",
    "account_manager",
    "chief_operating_officer",
    "chief_executive_officer",
)
"""The roles of the escalation ladder (docs/rules.md#5-1). A directory declares others in `own_roles`."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a role. `rule` says why: `default`, `customer acme`, `rotation primary, week of 2026-06-08`,
    `customer acme: rotation ...` or `override: ...`.

    `fallbacks`, `zone` and `phone` are those of the person.
    """

    person: str
    name: str
    email: str
    rule: str
    fallbacks: tuple[str, ...] = ()
    zone: str | None = None
    phone: str | None = None


@dataclass(frozen=True, slots=True)
class Assignment:
    """Who is assigned to a role before anyone covers for them, and by which rule."""

    person: str
    rule: str


class Directory(YamlModel):
    """Who holds which role, and when. An invalid directory cannot be constructed: it raises a ValidationError.

    The iCalendars of rotations are added with `with_calendars`. A rotation without its iCalendar never applies.
    """

    people: dict[Identifier, Person]
    """The people, by the ids that the other sections use."""
    roles: dict[Identifier, tuple[RoleEntry, ...]]
    """The holders of each role. A person with `from` and `to` goes first, then rotations in this order, then others."""
    own_roles: tuple[Identifier, ...] = ()
    """Roles beyond the six of the escalation ladder. A role that is not declared is an error."""
    rotations: Annotated[dict[Identifier, Rotation], Field(default_factory=dict)]
    """The rotations that roles use, by name."""
    overrides: tuple[Override, ...] = ()
    """Cover for a time. It goes before all other holders."""
    group_addresses: tuple[GroupAddress, ...] = ()
    """The addresses that get a role's mail when no address of its holder accepts it."""
    reports: tuple[ReportReaders, ...] = ()
    """Who gets the report of each month by mail, about which customers."""
    tenant: Name = "default"
    """The tenant whose people these are. API keys of other tenants see only the names of who is on call."""
    _calendar_schedules: dict[str, CalendarSchedule] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _is_valid(self) -> Self:
        problems = find_problems(
            people=self.people,
            roles=self.roles,
            rotations=self.rotations,
            overrides=self.overrides,
            group_addresses=self.group_addresses,
            reports=self.reports,
            known_roles=self.known_roles,
        )
        if found := list(problems):
            raise field_errors(found)
        return self

    def with_calendars(self, calendars: Mapping[str, YearlyCalendar]) -> Self:
        """The same directory with the iCalendars of its rotations, by the rotations' names."""
        directory = self.model_copy()
        directory._calendar_schedules = {
            name: CalendarSchedule(calendar, self.people, load_zone(self.rotations[name].zone))
            for name, calendar in calendars.items()
        }
        return directory

    def holder(self, role: str, customer_id: str | None, at: datetime) -> Holder | None:
        """Who holds the role for the customer at the instant. None if the role is vacant."""
        assignment = self._assignment(role, customer_id, at)
        if assignment is None:
            return None
        person, rule = assignment.person, assignment.rule
        while (index := self._cover_of_people.at(person, at)) is not None:
            cover = self.overrides[index]
            person, rule = cover.person, _override_rule(cover, f"instead of {self.people[person].name} ")
        found = self.people[person]
        return Holder(person, found.name, found.email, rule, found.fallbacks, found.zone, found.phone)

    def changes(self, role: str, customer_id: str | None, start: datetime, end: datetime) -> list[datetime]:
        """Every instant in (start, end) at which the holder may change, sorted."""
        spans = [(cover.starts_at, cover.ends_at) for cover in self.overrides if cover.role in (role, None)]
        found: set[datetime] = set()
        for customer in {customer_id, None}:
            for index in self._entries.get((role, customer), ()):
                entry = self.roles[role][index]
                spans.append(entry.span)
                if entry.rotation is not None:
                    starts_at, ends_at = max(start, entry.span[0]), min(end, entry.span[1])
                    found.update(self._rotation_changes(entry.rotation, starts_at, ends_at))
        found.update(at for span in spans for at in span)
        return sorted(at for at in found if start < at < end)

    def applies(self, role: str, index: int, at: datetime) -> bool:
        """Whether that entry of the role has a holder at the instant, whatever goes before it."""
        return self._entry_assignment(role, index, at) is not None

    def group_address(self, role: str, customer_id: str | None) -> str | None:
        """The customer's group address of the role, or else the general one, or None."""
        addresses = {group.customer: group.email for group in self.group_addresses if group.role == role}
        return addresses.get(customer_id) or addresses.get(None)

    def person_at(self, address: str) -> str | None:
        """The id of the person with that address, whatever its case, or None."""
        return self._people_by_address.get(address.lower())

    @property
    def known_roles(self) -> tuple[str, ...]:
        """The standard roles, then the directory's own."""
        return tuple(dict.fromkeys((*STANDARD_ROLES, *self.own_roles)))

    @property
    def calendar_locations(self) -> dict[str, tuple[CalendarLocation, str]]:
        """Where the iCalendars of rotations are, each with the rotation's zone, by the rotations' names."""
        return {
            name: (rotation.calendar, rotation.zone)
            for name, rotation in self.rotations.items()
            if rotation.calendar is not None
        }

    @property
    def calendar_schedules(self) -> Mapping[str, CalendarSchedule]:
        """The schedules of the iCalendars that have been added, by the rotations' names."""
        return self._calendar_schedules

    def _assignment(self, role: str, customer_id: str | None, at: datetime) -> Assignment | None:
        """The first rule that applies, before anyone covers for its person."""
        customers = (None,) if customer_id is None else (customer_id, None)
        for customer in customers:
            if (index := self._cover_of_roles.at((role, customer), at)) is not None:
                cover = self.overrides[index]
                return Assignment(cover.person, _override_rule(cover, ""))
        for customer in customers:
            for index in self._entries.get((role, customer), ()):
                if (assignment := self._entry_assignment(role, index, at)) is not None:
                    return assignment
        return None

    def _entry_assignment(self, role: str, index: int, at: datetime) -> Assignment | None:
        entry = self.roles[role][index]
        starts_at, ends_at = entry.span
        if not starts_at <= at < ends_at:
            return None
        customer = f"customer {entry.customer}" if entry.customer is not None else None
        if entry.person is not None:
            return Assignment(entry.person, customer or "default")
        turn = self._turn(entry.rotation, at) if entry.rotation is not None else None
        if turn is None:
            return None
        rule = f"rotation {entry.rotation}, {turn.words}"
        return Assignment(turn.person, f"{customer}: {rule}" if customer else rule)

    def _turn(self, rotation: str, at: datetime) -> Turn | None:
        schedule, hours = self._schedule(rotation), self._hours[rotation]
        if schedule is None or (hours is not None and not hours.includes(at)):
            return None
        return schedule.turn(at)

    def _rotation_changes(self, rotation: str, start: datetime, end: datetime) -> Iterator[datetime]:
        for changing in (self._schedule(rotation), self._hours[rotation]):
            if changing is not None and start < end:
                yield from changing.changes(start, end)

    def _schedule(self, rotation: str) -> Schedule | None:
        return self._schedules[rotation] or self._calendar_schedules.get(rotation)

    @cached_property
    def _people_by_address(self) -> dict[str, str]:
        """Several people may share an address: the first one counts."""
        return {
            address.lower(): name
            for name, person in reversed(self.people.items())
            for address in (*person.fallbacks, person.email)
        }

    @cached_property
    def _schedules(self) -> dict[str, Schedule | None]:
        return {name: rotation.schedule for name, rotation in self.rotations.items()}

    @cached_property
    def _hours(self) -> dict[str, WeeklyHours | None]:
        return {name: rotation.hours for name, rotation in self.rotations.items()}

    @cached_property
    def _entries(self) -> dict[tuple[str, str | None], list[int]]:
        """The entries of each role and customer, as indices into the role's list, in order of precedence."""
        entries: dict[tuple[str, str | None], list[int]] = defaultdict(list)
        for role, of_role in self.roles.items():
            for index in sorted(range(len(of_role)), key=lambda index: of_role[index].precedence):
                entries[role, of_role[index].customer].append(index)
        return dict(entries)

    @cached_property
    def _cover_of_roles(self) -> IntervalIndex[tuple[str, str | None]]:
        return IntervalIndex(
            ((cover.role, cover.customer), cover.starts_at, cover.ends_at, index)
            for index, cover in enumerate(self.overrides)
            if cover.role is not None
        )

    @cached_property
    def _cover_of_people(self) -> IntervalIndex[str]:
        """By the person who is covered. Validation rules out cycles."""
        return IntervalIndex(
            (cover.instead_of, cover.starts_at, cover.ends_at, index)
            for index, cover in enumerate(self.overrides)
            if cover.instead_of is not None
        )


def role_title(role: str) -> str:
    """The title of a role of which only the name is known: `it_director` is `IT Director`."""
    return " ".join("IT" if word == "it" else word.capitalize() for word in role.split("_"))


def load_directory(text: str, name: str) -> Directory:
    """Return the directory that the YAML `text` holds. `name` is the file name in errors. Raises DirectoryError."""
    return load_document(text, name, Directory, DirectoryError)


def _override_rule(cover: Override, whom: str) -> str:
    reason = f" ({cover.reason})" if cover.reason else ""
    return f"override: {whom}until {cover.ends_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC{reason}"
