"""People, who holds a role, cover, group addresses, as they are written; each tells what is wrong with it alone."""

from datetime import UTC, datetime
from typing import Annotated, Final, Self

from pydantic import EmailStr, Field, model_validator

from tocsin.instants import Instant, render_instant
from tocsin.yaml_document import Identifier, Name, YamlModel, Zone, field_error

ALWAYS: Final = datetime.min.replace(tzinfo=UTC)
FOREVER: Final = datetime.max.replace(tzinfo=UTC)

Email = Annotated[EmailStr, Field(examples=["dana.whitfield@example.com"])]
_From = Field(alias="from", examples=["2026-06-08T00:00:00Z"])
_To = Field(alias="to", examples=["2026-06-15T00:00:00Z"])


class Person(YamlModel):
    """Somebody who can be mailed; `fallbacks` are tried in this order when `email` is refused.

    `zone`: in which their mails tell instants, beside UTC; without one, in that of the installation.
    """

    name: Name
    email: Email
    fallbacks: tuple[Email, ...] = ()
    zone: Zone | None = None

    @model_validator(mode="after")
    def _no_address_twice(self) -> Self:
        for index, address in enumerate(self.fallbacks):
            if address in (self.email, *self.fallbacks[:index]):
                raise field_error(
                    ("fallbacks", index), address, f"`{address}` stands here already; keep one of the two"
                )
        return self


class GroupAddress(YamlModel):
    """Where a role's mail goes when none of its holder's own addresses takes it; of one customer, or of all others."""

    role: Identifier
    customer: Name | None = None
    email: Email


class RoleEntry(YamlModel):
    """A person or a rotation in a role, from an instant until before another; without them, always and for ever."""

    person: Annotated[Identifier | None, Field(examples=["dana.whitfield"])] = None
    rotation: Annotated[Identifier | None, Field(examples=["primary"])] = None
    customer: Name | None = None
    starts_at: Annotated[Instant | None, _From] = None
    ends_at: Annotated[Instant | None, _To] = None

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if self.person is None and self.rotation is None:
            raise field_error(("person",), None, "is missing; state it, or name a rotation")
        if self.person is not None and self.rotation is not None:
            raise field_error(("rotation",), self.rotation, "stands beside a person; keep one of the two")
        _ends_after_it_starts(self.starts_at, self.ends_at)
        return self

    @property
    def span(self) -> tuple[datetime, datetime]:
        """From when, until before when."""
        return self.starts_at or ALWAYS, self.ends_at or FOREVER

    @property
    def rank(self) -> int:
        """Which kind of entry answers first: 0 a person with both dates, 1 a rotation, 2 any other person."""
        if self.rotation is not None:
            return 1
        return 2 if self.starts_at is None or self.ends_at is None else 0


class Override(YamlModel):
    """Cover for a while: `person` holds a role, or stands in for somebody (`instead_of`) wherever they hold one."""

    person: Identifier
    role: Identifier | None = None
    customer: Name | None = None
    instead_of: Annotated[Identifier | None, Field(examples=["dana.whitfield"])] = None
    starts_at: Annotated[Instant, _From]
    ends_at: Annotated[Instant, _To]
    reason: Annotated[Name | None, Field(examples=["holiday"])] = None

    @model_validator(mode="after")
    def _covers_one_thing(self) -> Self:
        if (self.role is None) == (self.instead_of is None):
            wrong = "is missing; state it" if self.role is None else "stands beside `instead_of`; keep one of the two"
            raise field_error(("role",), self.role, f"{wrong}" + ("" if self.role else ", or somebody as `instead_of`"))
        if self.instead_of is not None and self.customer is not None:
            message = "stands beside `instead_of`, which covers everything a person holds; name the role instead"
            raise field_error(("customer",), self.customer, message)
        if self.instead_of == self.person:
            raise field_error(("person",), self.person, f"`{self.person}` cannot stand in for themselves; name another")
        _ends_after_it_starts(self.starts_at, self.ends_at)
        return self


def _ends_after_it_starts(starts_at: datetime | None, ends_at: datetime | None) -> None:
    if starts_at is not None and ends_at is not None and starts_at >= ends_at:
        raise field_error(("to",), ends_at, f"is not after `from`, {render_instant(starts_at)}; end later")
