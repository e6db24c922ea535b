"""What a policy says: the page and everything that it leaves open, as it is written."""

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated

from pydantic import EmailStr, Field

from tocsin.business_time import Business
from tocsin.events import Category, Mailbox, Severity
from tocsin.instants import Instant
from tocsin.policy.calendar import Calendar
from tocsin.policy.severity import SeverityCriteria
from tocsin.policy.terms import Ladder, Share, Targets, Terms
from tocsin.yaml_document import Duration, Identifier, Name, YamlModel


class MailboxRule(YamlModel):
    """An address and what it is for. `it_contact_only` names where anyone else's request goes."""

    address: EmailStr
    purposes: Annotated[tuple[Category, ...], Field(min_length=1)]
    it_contact_only: bool = False
    otherwise: Mailbox | None = None


class PolicyDocument(Terms):
    """The fields of a policy, each well-formed by itself; whether they work together is not known yet."""

    version: Annotated[Name, Field(examples=["2026-1"])]
    in_force_from: Instant
    severities: dict[Severity, SeverityCriteria]
    roles: dict[Identifier, Name]
    calendars: dict[Identifier, Calendar]
    mailboxes: dict[Mailbox, MailboxRule]
    notice: dict[Category, Duration] = Field(default_factory=dict)
    machine_sources: dict[Name, Severity] = Field(default_factory=dict)
    customers: dict[Name, Terms] = Field(default_factory=dict)

    calendar: Identifier
    targets: Targets
    warning_share: Share
    ladder: Ladder

    @cached_property
    def clocks(self) -> Mapping[str, Business]:
        """The clock of every calendar, by its name."""
        return {name: calendar.business(name) for name, calendar in self.calendars.items()}
