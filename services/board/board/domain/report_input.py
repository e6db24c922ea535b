"""The input of a report: the parts that it needs of the responses of sla-timer and the escalator. Pure.

Durations in responses are seconds; here they are exact to the microsecond.
"""

from datetime import timedelta
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BeforeValidator, Field
from tocsin.events import Category, Channel, ClockName, Customer, Severity
from tocsin.events.values import FrozenModel
from tocsin.instants import Instant


def _to_timedelta(value: object) -> object:
    return timedelta(microseconds=round(value * 1_000_000)) if isinstance(value, (int, float)) else value


Seconds = Annotated[timedelta, BeforeValidator(_to_timedelta)]


class ReportedInterval(FrozenModel):
    """A stretch of a clock's time; `reason` is `counted`, `paused`, `closed` or `outside business hours`."""

    begin: Instant = Field(alias="from")
    end: Instant = Field(alias="to")
    length: Seconds = Field(alias="seconds")
    reason: str


class ReportedAccount(FrozenModel):
    """The ledger of a clock. `truncated`: it has more intervals."""

    words: str
    intervals: tuple[ReportedInterval, ...]
    truncated: bool


class ReportedClock(FrozenModel):
    """A clock with an outcome in the period, as `GET /v1/outcomes` lists it."""

    ticket_id: UUID
    source: str
    external_id: str
    summary: str
    customer: Customer
    channel: Channel
    category: Category
    severity: Severity
    cycle: int
    clock: ClockName
    outcome: Literal["met", "breached", "cancelled"]
    outcome_at: Instant
    started_at: Instant
    due_at: Instant | None
    ended_at: Instant | None
    breached_at: Instant | None
    target: str
    target_time: Seconds = Field(alias="target_seconds")
    measure: str
    by_start: bool
    silent: bool
    net: Seconds = Field(alias="net_seconds")
    gross: Seconds = Field(alias="gross_seconds")
    paused: Seconds = Field(alias="paused_seconds")
    outside_hours: Seconds = Field(alias="outside_hours_seconds")
    closed: Seconds = Field(alias="closed_seconds")
    historic: bool
    voided: tuple[str, ...]
    unconfirmed: bool
    ledger: ReportedAccount | None = None

    @property
    def is_decided(self) -> bool:
        """Whether the clock is met or breached."""
        return self.outcome != "cancelled"

    @property
    def has_duration(self) -> bool:
        """Whether its net time is a duration to measure: the clock has ended, and silence did not decide it."""
        return self.is_decided and self.ended_at is not None and not self.silent


class ReportedTarget(FrozenModel):
    """The target of a clock for a severity."""

    clock: ClockName
    severity: Severity
    target: str
    target_time: Seconds = Field(alias="target_seconds")


class ReportedCategory(FrozenModel):
    """The measure of the resolution clock of a category."""

    category: Category
    measure: str


class ReportedTier(FrozenModel):
    """A tier of the escalation ladder."""

    tier: int
    role: str
    title: str


class ReportedTerms(FrozenModel):
    """The terms in force, as `GET /v1/terms` returns them."""

    policy_version: str
    zone: str
    targets: tuple[ReportedTarget, ...]
    categories: tuple[ReportedCategory, ...]
    ladder: tuple[ReportedTier, ...]


class ReportedAverage(FrozenModel):
    """The mean response time of a channel in a month, as `GET /v1/compliance` returns it."""

    channel: str
    customer: str | None
    month: str | None
    items: int
    unanswered: int
    mean_seconds: float | None
    target_time: Seconds = Field(alias="target_seconds")
    met: bool | None


class ReportedShare(FrozenModel):
    """The outcomes of a month by clock, as `GET /v1/compliance` returns them."""

    clock: ClockName
    month: str


class ReportedStep(FrozenModel):
    """A step of a ladder."""

    cycle: int
    run: int
    step: int
    tier: int
    role: str
    at: Instant
    voided: bool


class ReportedLadder(FrozenModel):
    """A ladder run, as `GET /v1/escalations` lists it."""

    ticket_id: UUID
    cycle: int
    run: int
    end_reason: str | None
    all_steps: tuple[ReportedStep, ...] = Field(alias="told")
    """Also the steps of earlier cycles, if a reopen kept the ladder."""

    @property
    def steps(self) -> tuple[ReportedStep, ...]:
        """Those that no late evidence voided, alone or with their whole run."""
        run = (self.cycle, self.run) if self.end_reason == "voided" else None
        return tuple(step for step in self.all_steps if not step.voided and (step.cycle, step.run) != run)
