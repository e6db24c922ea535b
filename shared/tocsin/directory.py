"""Who holds which role, from when to when, for which customer (RULES 5: roles, not names)."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Final, Self

from pydantic import EmailStr, Field, model_validator

from tocsin.events.values import Instant, render_instant
from tocsin.policy.document import DocumentError, read
from tocsin.policy.refusal import Place, all_refused, refused
from tocsin.policy.written import Identifier, Name, Written

PAGE_ROLES: Final = (
    "service_desk_team_lead",
    "senior_it_operations_manager",
    "it_operations_director",
    "account_manager",
    "chief_operating_officer",
    "chief_executive_officer",
)
"""The roles of the page's ladder. Others must be named in `own_roles`, so that a slip of the pen is found."""

Email = Annotated[EmailStr, Field(examples=["dana.whitfield@example.com"])]

_ALWAYS: Final = datetime.min.replace(tzinfo=UTC)
_FOREVER: Final = datetime.max.replace(tzinfo=UTC)


class DirectoryError(DocumentError):
    """The directory is refused; a line of the message for each thing that is wrong."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a role; `rule` says by which entry: `default` or `customer acme`.

    `fallbacks` are the person's further addresses, tried in this order when `email` is refused.
    """

    person: str
    name: str
    email: str
    rule: str
    fallbacks: tuple[str, ...] = ()


class Person(Written):
    """Somebody who can be mailed."""

    name: Name
    email: Email
    fallbacks: tuple[Email, ...] = ()

    @model_validator(mode="after")
    def _no_address_twice(self) -> Self:
        addresses = (self.email, *self.fallbacks)
        for index, address in enumerate(self.fallbacks):
            if address in addresses[: index + 1]:
                raise refused(("fallbacks", index), address, f"`{address}` stands here already; keep one of the two")
        return self


class GroupAddress(Written):
    """Where a role's mail goes when none of its holder's own addresses takes it; of one customer, or of all others."""

    role: Identifier
    customer: Name | None = None
    email: Email


class Holding(Written):
    """A person in a role, from an instant until before another; without them, always and for ever."""

    person: Identifier
    customer: Name | None = None
    starts_at: Annotated[Instant | None, Field(alias="from", examples=["2026-06-08T00:00:00Z"])] = None
    ends_at: Annotated[Instant | None, Field(alias="to", examples=["2026-06-15T00:00:00Z"])] = None

    @model_validator(mode="after")
    def _ends_after_it_starts(self) -> Self:
        if self.starts_at is not None and self.ends_at is not None and self.starts_at >= self.ends_at:
            raise refused(("to",), self.ends_at, f"is not after `from`, {render_instant(self.starts_at)}; end later")
        return self

    @property
    def span(self) -> tuple[datetime, datetime]:
        """From when, until before when."""
        return self.starts_at or _ALWAYS, self.ends_at or _FOREVER


class Directory(Written):
    """People and the roles they hold. It is never built invalid: what is wrong raises a ValidationError."""

    people: dict[Identifier, Person]
    roles: dict[Identifier, tuple[Holding, ...]]
    own_roles: tuple[Identifier, ...] = ()
    group_addresses: tuple[GroupAddress, ...] = ()

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if found := [*self._unknown(), *self._overlapping(), *self._grouped()]:
            raise all_refused(found)
        return self

    def holder(self, role: str, customer_id: str | None, at: datetime) -> Holder | None:
        """Who holds that role for that customer at that instant: the customer's own holder before the general one.

        None: the role is vacant.
        """
        customers = (None,) if customer_id is None else (customer_id, None)
        for customer in customers:
            for starts_at, ends_at, index in self._holdings.get((role, customer), ()):
                if starts_at <= at < ends_at:
                    person = self.roles[role][index].person
                    rule = "default" if customer is None else f"customer {customer}"
                    found = self.people[person]
                    return Holder(person, found.name, found.email, rule, found.fallbacks)
        return None

    def group_address(self, role: str, customer_id: str | None) -> str | None:
        """The role's group address: the customer's own before the general one; None: it has none."""
        addresses = {group.customer: group.email for group in self.group_addresses if group.role == role}
        return addresses.get(customer_id) or addresses.get(None)

    @cached_property
    def _holdings(self) -> dict[tuple[str, str | None], list[tuple[datetime, datetime, int]]]:
        """The holdings of each role and customer by their start, with their place in the role's list."""
        holdings = defaultdict(list)
        for role, entries in self.roles.items():
            for index, entry in enumerate(entries):
                holdings[role, entry.customer].append((*entry.span, index))
        return {key: sorted(entries) for key, entries in holdings.items()}

    def _unknown(self) -> Iterator[tuple[Place, object, str]]:
        roles = {*PAGE_ROLES, *self.own_roles}
        for role, entries in self.roles.items():
            if role not in roles:
                message = f"is no role of the ladder; use one of {', '.join(PAGE_ROLES)}, or add it to own_roles"
                yield ("roles", role), role, message
            for index, entry in enumerate(entries):
                if entry.person not in self.people:
                    message = f"nobody is called `{entry.person}`; add the name and e-mail address under people"
                    yield ("roles", role, index, "person"), entry.person, message

    def _grouped(self) -> Iterator[tuple[Place, object, str]]:
        first: dict[tuple[str, str | None], int] = {}
        for index, group in enumerate(self.group_addresses):
            place: Place = ("group_addresses", index)
            if group.role not in (*PAGE_ROLES, *self.own_roles):
                message = f"is no role of the ladder; use one of {', '.join(PAGE_ROLES)}, or add it to own_roles"
                yield (*place, "role"), group.role, message
            if first.setdefault((group.role, group.customer), index) != index:
                yield place, None, f"entry {first[group.role, group.customer] + 1} is for the same; keep one of the two"

    def _overlapping(self) -> Iterator[tuple[Place, object, str]]:
        for (role, _), holdings in self._holdings.items():
            for (_, ends_at, first), (starts_at, _, second) in pairwise(holdings):
                if starts_at < ends_at:
                    former = self.roles[role][first].person
                    message = (
                        f"overlaps with `{former}`, entry {first + 1} of the list; let one end where the next begins"
                    )
                    yield ("roles", role, second), None, message


def load_directory(text: str, name: str) -> Directory:
    """The directory written in the YAML `text`; `name` is what errors call it.

    Raises DirectoryError: `FILE:LINE: FIELD: what is wrong; what would be right`, one line an error.
    """
    return read(text, name, Directory, DirectoryError)
