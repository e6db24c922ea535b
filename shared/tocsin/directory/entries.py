"""People, role entries, overrides and group addresses of directory.yaml, each valid on its own."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import pairwise
from typing import Annotated, Final, Generic, Self, TypeVar

from pydantic import EmailStr, Field, model_validator

from tocsin.instants import Instant, render_instant
from tocsin.yaml_document import Identifier, Name, Phone, YamlModel, Zone, field_error

_ALWAYS: Final = datetime.min.replace(tzinfo=UTC)
_FOREVER: Final = datetime.max.replace(tzinfo=UTC)

_Email = Annotated[EmailStr, Field(examples=["dana.whitfield@example.com"])]
_From = Field(alias="from", examples=["2026-06-08T00:00:00Z"])
_To = Field(alias="to", examples=["2026-06-15T00:00:00Z"])


class Person(YamlModel):
    """A person who can be mailed."""

    name: Name
    """The name that mails show."""
    email: _Email
    """The e-mail address."""
    fallbacks: tuple[_Email, ...] = ()
    """Further addresses. They are tried in this order when `email` refuses a mail."""
    zone: Zone | None = None
    """The IANA time zone in which mails show instants, beside UTC. Defaults to the zone of the installation."""
    phone: Phone | None = None
    """The phone number, in quotes. The mails of the tier below show it."""

    @model_validator(mode="after")
    def _addresses_are_unique(self) -> Self:
        for index, address in enumerate(self.fallbacks):
            if address in (self.email, *self.fallbacks[:index]):
                raise field_error(("fallbacks", index), address, f"`{address}` is listed twice; keep one of the two")
        return self


class GroupAddress(YamlModel):
    """The address that gets a role's mail when no address of its holder accepts it."""

    role: Identifier
    """The role."""
    customer: Name | None = None
    """The customer whose mails go there. Defaults to all customers without a group address of their own."""
    email: _Email
    """The e-mail address."""


class ReportReaders(YamlModel):
    """The people who get a monthly report by mail."""

    customer: Name | None = None
    """The customer that the report is about. Defaults to all customers in one report."""
    to: Annotated[tuple[Identifier, ...], Field(min_length=1, examples=[["dana.whitfield"]])]
    """The people, by id."""


class RoleEntry(YamlModel):
    """A person or a rotation that holds a role."""

    person: Annotated[Identifier | None, Field(examples=["dana.whitfield"])] = None
    """The person, by id. Either a person or a rotation is required."""
    rotation: Annotated[Identifier | None, Field(examples=["primary"])] = None
    """The rotation, by name."""
    customer: Name | None = None
    """The customer for whom the entry applies. Defaults to all customers without an applicable entry of their own."""
    starts_at: Annotated[Instant | None, _From] = None
    """The instant from which the entry applies. Defaults to always."""
    ends_at: Annotated[Instant | None, _To] = None
    """The instant before which the entry applies. Defaults to forever."""

    @model_validator(mode="after")
    def _names_one_holder(self) -> Self:
        if self.person is None and self.rotation is None:
            raise field_error(("person",), None, "is missing; add it, or name a rotation")
        if self.person is not None and self.rotation is not None:
            raise field_error(("rotation",), self.rotation, "cannot be combined with a person; keep one of the two")
        _check_order(starts_at=self.starts_at, ends_at=self.ends_at)
        return self

    @property
    def span(self) -> tuple[datetime, datetime]:
        """The start (inclusive) and the end (exclusive)."""
        return self.starts_at or _ALWAYS, self.ends_at or _FOREVER

    @property
    def precedence(self) -> int:
        """The order among the entries of a role: 0 a person with both dates, 1 a rotation, 2 any other person."""
        if self.rotation is not None:
            return 1
        return 2 if self.starts_at is None or self.ends_at is None else 0


class Override(YamlModel):
    """Cover for a time: a person holds a role, or stands in for another person in every role that they hold."""

    person: Identifier
    """The person who covers, by id."""
    role: Identifier | None = None
    """The role that is covered. Either `role` or `instead_of` is required."""
    customer: Name | None = None
    """The customer for whom the role is covered. Defaults to all, including those with a holder of their own."""
    instead_of: Annotated[Identifier | None, Field(examples=["dana.whitfield"])] = None
    """The person who is covered, by id."""
    starts_at: Annotated[Instant, _From]
    """The instant from which the cover applies."""
    ends_at: Annotated[Instant, _To]
    """The instant before which the cover applies."""
    reason: Annotated[Name | None, Field(examples=["holiday"])] = None
    """The reason, which mails show."""

    @model_validator(mode="after")
    def _covers_one_thing(self) -> Self:
        if self.role is None and self.instead_of is None:
            raise field_error(("role",), None, "is missing; add it, or name a person as `instead_of`")
        if self.role is not None and self.instead_of is not None:
            raise field_error(("role",), self.role, "cannot be combined with `instead_of`; keep one of the two")
        if self.instead_of is not None and self.customer is not None:
            message = "cannot be combined with `instead_of`, which covers every role; name the role instead"
            raise field_error(("customer",), self.customer, message)
        if self.instead_of == self.person:
            raise field_error(("person",), self.person, f"`{self.person}` cannot cover for themselves; name another")
        _check_order(starts_at=self.starts_at, ends_at=self.ends_at)
        return self


def _check_order(*, starts_at: datetime | None, ends_at: datetime | None) -> None:
    if starts_at is not None and ends_at is not None and starts_at >= ends_at:
        message = f"is not after `from`, {render_instant(starts_at)}; write a later instant"
        raise field_error(("to",), ends_at, message)


Key = TypeVar("Key", bound=Hashable)


class IntervalIndex(Generic[Key]):
    """Finds the entry of a key that applies at an instant, where at most one does.

    It is built from (key, start, end, index) with the index of the entry in its list.
    """

    def __init__(self, intervals: Iterable[tuple[Key, datetime, datetime, int]]) -> None:
        by_key: dict[Key, list[tuple[datetime, datetime, int]]] = defaultdict(list)
        for key, starts_at, ends_at, index in intervals:
            by_key[key].append((starts_at, ends_at, index))
        self._by_key = {key: sorted(found) for key, found in by_key.items()}

    def at(self, key: Key, at: datetime) -> int | None:
        """The index of the key's entry that applies at the instant, or None."""
        intervals = self._by_key.get(key, ())
        row = bisect_right(intervals, at, key=lambda interval: interval[0]) - 1
        return intervals[row][2] if row >= 0 and at < intervals[row][1] else None

    def overlaps(self) -> Iterator[tuple[int, int]]:
        """The indices of neighbouring entries of a key that overlap, the earlier first."""
        for intervals in self._by_key.values():
            for (_, ends_at, first), (starts_at, _, second) in pairwise(intervals):
                if starts_at < ends_at:
                    yield first, second
