"""Clocks whose deadline comes next, and who would be notified if it passed. Pure."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from tocsin.directory import Directory, role_title
from tocsin.events import Tier

from board.domain.board_ticket import BoardClock, BoardTicket, ClockState

WITHIN_PATTERN: Final = r"^([1-9][0-9]{0,2}[mh]|([1-9]|[12][0-9]|3[01])d)$"
"""A duration in minutes or hours, up to 999, or in days, up to 31: `30m`, `4h`, `2d`."""
ASSIGNEE: Final = "assignee"
"""The recipient that stands for the assignee of the ticket."""

_UNITS: Final = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


class AtRiskState(StrEnum):
    """The state of a clock that can still be met. `WARNED`: the instant of its warning has passed."""

    RUNNING = "running"
    WARNED = "warned"


@dataclass(frozen=True, slots=True)
class ComingDeadline:
    """A running clock of an open ticket at an instant, with its deadline.

    `left` is the time left as the clock counts, `elapsed_left` the time until the deadline.
    """

    ticket: BoardTicket
    clock: BoardClock
    due_at: datetime
    left: timedelta
    elapsed_left: timedelta
    state: AtRiskState

    @property
    def position(self) -> tuple[timedelta, str, str]:
        """The position in a list by time left; unique, since one clock of a name runs per ticket."""
        return self.left, str(self.ticket.ticket_id), self.clock.name


@dataclass(frozen=True, slots=True)
class AtRiskPosition:
    """The end of a page of a list: the instant of the list, and the position of the page's last deadline."""

    as_of: datetime
    left: timedelta
    ticket_id: str
    clock: str

    @property
    def position(self) -> tuple[timedelta, str, str]:
        return self.left, self.ticket_id, self.clock


@dataclass(frozen=True, slots=True)
class BreachRecipient:
    """Who would be notified of a missed deadline. `tier` is null outside the ladder, `name` if the role is vacant."""

    tier: int | None
    role: str
    title: str
    name: str | None


def parse_within(text: str) -> timedelta:
    """The duration that a text of WITHIN_PATTERN states. Raises ValueError for any other text."""
    if re.fullmatch(WITHIN_PATTERN, text) is None:
        raise ValueError("must be a duration such as 30m, 4h or 2d, up to 999m, 999h or 31d")
    return int(text[:-1]) * _UNITS[text[-1]]


def coming_deadlines(ticket: BoardTicket, at: datetime) -> Iterator[ComingDeadline]:
    """The running clocks of the ticket whose deadline has not passed at `at`."""
    for clock in ticket.open_clocks if ticket.is_open else ():
        if clock.state is not ClockState.RUNNING or clock.due_at is None or clock.due_at < at:
            continue
        has_warned = clock.warn_at is not None and clock.warn_at <= at
        yield ComingDeadline(
            ticket=ticket,
            clock=clock,
            due_at=clock.due_at,
            left=_left(clock, at),
            elapsed_left=clock.due_at - at,
            state=AtRiskState.WARNED if has_warned else AtRiskState.RUNNING,
        )


def _left(clock: BoardClock, at: datetime) -> timedelta:
    left = clock.left(at) or timedelta(0)
    is_counting = bool(clock.remaining) and clock.remaining[0].begin == clock.evaluated_to
    # A later page of a list may find a newer response, whose intervals begin after the instant of the list.
    return left + clock.evaluated_to - at if is_counting and at < clock.evaluated_to else left


def at_risk(tickets: Iterable[BoardTicket], at: datetime, within: timedelta) -> list[ComingDeadline]:
    """The deadlines with at most `within` left as their clocks count, the most urgent first."""
    deadlines = (deadline for ticket in tickets for deadline in coming_deadlines(ticket, at))
    return sorted((one for one in deadlines if one.left <= within), key=lambda one: one.position)


def breach_recipients(
    ticket: BoardTicket, clock: BoardClock, directory: Directory | None, at: datetime
) -> tuple[BreachRecipient, ...]:
    """Who would be notified if the deadline of the clock passed, by the directory at `at`.

    A missed resolution starts the ladder at its first tier that is not vacant. While a ladder runs, it adds no step:
    the recipient is then its next tier (docs/rules.md#5-escalation-ladder).
    """
    if clock.name != "resolution":
        return tuple(_recipient(ticket, role, directory, at) for role in clock.missed_roles)
    tier = _next_tier(ticket, directory, at)
    return () if tier is None else (_recipient(ticket, tier.role, directory, at, tier=tier.number),)


def holder_name(ticket: BoardTicket, role: str, directory: Directory | None, at: datetime) -> str | None:
    """The name of the person who holds the role for the ticket's customer at `at`; None if it is vacant or unknown."""
    if role == ASSIGNEE:
        return ticket.assignee
    holder = None if directory is None else directory.holder(role, ticket.ticket.customer.id, at)
    return None if holder is None else holder.name


def title_of(ticket: BoardTicket, role: str) -> str:
    """The title of a role: that of its tier, or else its name in words."""
    return next((tier.title for tier in ticket.tiers if tier.role == role), role_title(role))


def _next_tier(ticket: BoardTicket, directory: Directory | None, at: datetime) -> Tier | None:
    ladder = ticket.ladder
    if ladder is not None and ladder.ended_at is None:
        upcoming = ladder.next
        if upcoming is None or upcoming.tier is None or upcoming.role is None:
            return None
        return Tier(number=upcoming.tier, role=upcoming.role, title=title_of(ticket, upcoming.role))
    held = (
        tier for tier in ticket.tiers if directory is None or holder_name(ticket, tier.role, directory, at) is not None
    )
    return next(held, None)


def _recipient(
    ticket: BoardTicket, role: str, directory: Directory | None, at: datetime, *, tier: int | None = None
) -> BreachRecipient:
    name = holder_name(ticket, role, directory, at)
    return BreachRecipient(tier=tier, role=role, title=title_of(ticket, role), name=name)
