"""The policy as it is written: the page and everything that it leaves open, as data."""

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Self

from pydantic import EmailStr, Field, model_validator

from tocsin.business_time import Business
from tocsin.events.values import Category, Instant, Mailbox, Severity
from tocsin.policy.calendar import Calendar
from tocsin.policy.checks import problems
from tocsin.policy.compiling import compile_rules
from tocsin.policy.refusal import all_refused
from tocsin.policy.rules import Rules
from tocsin.policy.severity import Criteria
from tocsin.policy.terms import Ladder, Share, Targets, Terms
from tocsin.policy.written import Duration, Identifier, Name, Written


class MailboxRule(Written):
    """An address and what it is for. `it_contact_only` names where anyone else's request goes."""

    address: EmailStr
    purposes: Annotated[tuple[Category, ...], Field(min_length=1)]
    it_contact_only: bool = False
    otherwise: Mailbox | None = None


class Policy(Terms):
    """One version of the service levels. It is never built invalid: what could not work raises a ValidationError."""

    version: Annotated[Name, Field(examples=["2026-1"])]
    in_force_from: Instant
    severities: dict[Severity, Criteria]
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

    @model_validator(mode="after")
    def _could_work(self) -> Self:
        if found := list(problems(self)):
            raise all_refused(found)
        return self

    def rules(self, customer_id: str | None) -> Rules:
        """What is promised to that customer; to one without terms of its own, what is promised to everybody."""
        customer = customer_id if customer_id in self.customers else None
        rules = self._compiled.get(customer)
        if rules is None:
            rules = self._compiled[customer] = compile_rules(self, customer)
        return rules

    @cached_property
    def clocks(self) -> Mapping[str, Business]:
        """The clock of every calendar, by its name."""
        return {name: calendar.business(name) for name, calendar in self.calendars.items()}

    @cached_property
    def _compiled(self) -> dict[str | None, Rules]:
        return {}
