"""A ticket as the read model stores it: state, clocks, ladder, and the person who was mailed last. Pure.

Times left are counted on each clock: `remaining` are the stretches that count until the deadline, so what is left at
any instant needs no calendar (docs/decisions/0048-a-read-model-of-topics-and-responses.md).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from tocsin.events import Acknowledgement, ClockName, EscalationReason, Severity, Ticket, Tier

AT_RISK: Final = timedelta(hours=4)
"""A running clock with at most this much time left is at risk."""


class ClockState(StrEnum):
    """The state of a clock: as sla-timer's API names its outcome."""

    RUNNING = "running"
    PAUSED = "paused"
    MET = "met"
    BREACHED = "breached"
    CANCELLED = "cancelled"


class TicketPhase(StrEnum):
    """The state of a ticket, from its facts alone."""

    OPEN = "open"
    PAUSED = "paused"
    RESOLVED = "resolved"
    CANCELLED = "cancelled"


class TicketGroup(StrEnum):
    """The groups of the board, the most urgent first."""

    BREACHED = "breached"
    SILENT = "silent"
    AT_RISK = "at_risk"
    LATER = "later"


@dataclass(frozen=True, slots=True)
class Stretch:
    """Time from `begin` to `end`, in which a clock counts."""

    begin: datetime
    end: datetime

    def after(self, at: datetime) -> timedelta:
        """How much of it lies after `at`."""
        return max(timedelta(0), self.end - max(self.begin, at))


@dataclass(frozen=True, slots=True)
class BoardClock:
    """A clock of one cycle. `counted` is what it had counted at `evaluated_to`; `remaining` follows from there."""

    cycle: int
    name: ClockName
    state: ClockState
    provisional: bool
    historic: bool
    voided: bool
    started_at: datetime
    warn_at: datetime | None
    due_at: datetime | None
    """Null while a pause makes it unknown."""
    ended_at: datetime | None
    breached_at: datetime | None
    target_words: str
    target: timedelta
    counted: timedelta
    evaluated_to: datetime
    remaining: tuple[Stretch, ...]
    further: timedelta = timedelta(0)
    """The time left after the last of `remaining`, of which sla-timer lists at most 100."""
    missed_roles: tuple[str, ...] = ()
    """The roles that are informed if it is missed. None for the resolution clock, which starts the ladder."""

    @property
    def is_open(self) -> bool:
        """Whether the clock has not ended: it runs, is paused, or is breached and not yet answered by a fact."""
        return self.ended_at is None

    def left(self, at: datetime) -> timedelta | None:
        """The time left at `at` on this clock; zero if it is overdue, null if it has ended."""
        if not self.is_open:
            return None
        if self.state is ClockState.PAUSED:
            return max(timedelta(0), self.target - self.counted)
        return sum((stretch.after(at) for stretch in self.remaining), self.further)

    def is_overdue(self, at: datetime) -> bool:
        """Whether the deadline has passed at `at`, or the clock is known to be breached."""
        return self.is_open and (self.state is ClockState.BREACHED or (self.due_at is not None and self.due_at < at))


@dataclass(frozen=True, slots=True)
class UpcomingTier:
    """The next step of a ladder if no further fact arrives. `tier` is null if the ladder is exhausted then."""

    at: datetime
    tier: int | None
    role: str | None


@dataclass(frozen=True, slots=True)
class BoardStep:
    """A step of the ladder and the tier that it notified."""

    step: int
    tier: int
    role: str
    at: datetime
    reason: EscalationReason
    voided: bool
    notification_id: UUID | None


@dataclass(frozen=True, slots=True)
class BoardLadder:
    """The current ladder, as the escalator's API has it."""

    cycle: int
    run: int
    state: str
    """`running`, `held`, `exhausted` or `ended`."""
    steps: tuple[BoardStep, ...]
    next: UpcomingTier | None
    acknowledgements: tuple[Acknowledgement, ...]
    exhausted_at: datetime | None
    ended_at: datetime | None

    @property
    def tier(self) -> int | None:
        """The tier that was notified last, null before the first step."""
        taken = [step for step in self.steps if not step.voided]
        return taken[-1].tier if taken else None


@dataclass(frozen=True, slots=True)
class LastMail:
    """The person who was mailed last about the ticket."""

    name: str
    role: str
    at: datetime


@dataclass(frozen=True, slots=True)
class BoardTicket:
    """A ticket on the board."""

    ticket: Ticket
    severity: Severity
    state: TicketPhase
    assignee: str | None
    """The name of the assignee now."""
    facts: int
    """How many facts have arrived."""
    historic: bool
    """Whether the ticket was imported as history."""
    clocks: tuple[BoardClock, ...]
    """By cycle, then response, resolution, answer. Empty until sla-timer has evaluated the ticket."""
    ladder: BoardLadder | None
    last_mail: LastMail | None
    version: int
    """Increases with every change of the ticket."""
    tiers: tuple[Tier, ...] = ()
    """The tiers of the policy's ladder for its customer, in order."""

    @property
    def ticket_id(self) -> UUID:
        return self.ticket.ticket_id

    @property
    def is_open(self) -> bool:
        return self.state in (TicketPhase.OPEN, TicketPhase.PAUSED)

    @property
    def open_clocks(self) -> tuple[BoardClock, ...]:
        """The clocks that have not ended."""
        return tuple(clock for clock in self.clocks if clock.is_open)

    def next_clock(self, at: datetime) -> BoardClock | None:
        """The open clock with the least time left at `at`; an overdue one first. Null if no clock is open."""
        return min(self.open_clocks, key=lambda clock: _urgency(clock, at), default=None)

    def group(self, at: datetime) -> TicketGroup:
        """The group in which the board shows the ticket at `at`."""
        overdue = [clock for clock in self.open_clocks if clock.is_overdue(at)]
        if any(clock.provisional and clock.name == "resolution" for clock in overdue):
            return TicketGroup.SILENT
        if overdue:
            return TicketGroup.BREACHED
        running = (clock for clock in self.open_clocks if clock.state is ClockState.RUNNING)
        return TicketGroup.AT_RISK if _is_at_risk(running, at) else TicketGroup.LATER


def _is_at_risk(clocks: Iterable[BoardClock], at: datetime) -> bool:
    return any((left := clock.left(at)) is not None and left <= AT_RISK for clock in clocks)


def _urgency(clock: BoardClock, at: datetime) -> tuple[bool, bool, timedelta]:
    overdue = clock.is_overdue(at)
    since = at - clock.due_at if overdue and clock.due_at else timedelta(0)
    return (not overdue, clock.state is ClockState.PAUSED, -since if overdue else clock.left(at) or timedelta(0))
