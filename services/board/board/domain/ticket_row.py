"""A ticket's row on the board, as the texts and numbers of the template. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from tocsin.events import ClockName

from board.domain.board_ticket import (
    AT_RISK,
    BoardClock,
    BoardLadder,
    BoardTicket,
    ClockState,
    Stretch,
    TicketGroup,
)
from board.domain.time_words import PageTime, duration_words

HolderName = Callable[[str, str, datetime], str | None]
"""The name of who holds a role (first) for a customer id at an instant; None if the role is vacant or unknown."""

_CLOCK_WORDS: Final[dict[ClockName, str]] = {"response": "Response", "resolution": "Resolution", "answer": "Answer"}
_LADDER_WORDS: Final = {"held": "held", "exhausted": "exhausted"}
_MINUTE: Final = timedelta(minutes=1)
_THIS_WEEK: Final = timedelta(days=5)
_PAUSED_LAST: Final = timedelta(days=100_000)


@dataclass(frozen=True, slots=True)
class ShownInstant:
    """An instant for a `<time>` element."""

    iso: str
    text: str


@dataclass(frozen=True, slots=True)
class ClockBar:
    """A clock as a bar. `kind` is the class of its colour and sign; `used` and `warn` are percents of the target."""

    name: str
    kind: str
    text: str
    due: ShownInstant | None
    target: str
    used: int
    warn: int | None
    is_next: bool
    """Whether this clock decides the place of the ticket."""
    state: str
    target_seconds: int
    counted_seconds: int
    due_seconds: int | None
    """The deadline in seconds since 1970."""
    stretches: str
    """The stretches that still count: `BEGIN+LENGTH` in seconds, separated by spaces. Scripts compute the time left."""
    further_seconds: int
    """The time left after the last stretch."""


@dataclass(frozen=True, slots=True)
class StepWords:
    """A past or coming step: a person or a role, and when."""

    who: str
    role: str | None
    at: ShownInstant


@dataclass(frozen=True, slots=True)
class TicketRow:
    """A row. `sort` orders the rows of a group: the smallest first."""

    ticket_id: str
    group: TicketGroup
    sort: int
    severity: int
    customer: str
    customer_id: str
    summary: str
    external_id: str
    source: str
    assignee: str | None
    is_paused: bool
    is_evaluated: bool
    """Whether sla-timer has evaluated the ticket."""
    clocks: tuple[ClockBar, ...]
    tier: int | None
    ladder_state: str | None
    """`held` or `exhausted`; null while the ladder runs, or if none runs."""
    mailed: StepWords | None
    next: StepWords | None
    next_tier: int | None
    acknowledged: StepWords | None


def ticket_row(found: BoardTicket, times: PageTime, holder: HolderName) -> TicketRow:
    """The row of the ticket at `times.now`."""
    at, ticket = times.now, found.ticket
    ladder = found.ladder if found.ladder and found.ladder.ended_at is None else None
    next_clock = found.next_clock(at)
    mail = found.last_mail
    return TicketRow(
        ticket_id=str(ticket.ticket_id),
        group=found.group(at),
        sort=sort_key(found, at),
        severity=found.severity,
        customer=ticket.customer.name,
        customer_id=ticket.customer.id,
        summary=ticket.summary,
        external_id=ticket.external_id,
        source=ticket.source,
        assignee=found.assignee,
        is_paused=found.state == "paused",
        is_evaluated=bool(found.clocks),
        clocks=tuple(_bar(clock, times, is_next=clock is next_clock) for clock in found.open_clocks),
        tier=ladder.tier if ladder else None,
        ladder_state=_LADDER_WORDS.get(ladder.state) if ladder else None,
        mailed=StepWords(mail.name, role_words(mail.role), shown(mail.at, times)) if mail else None,
        next=_next(ladder, ticket.customer.id, times, holder) if ladder else None,
        next_tier=ladder.next.tier if ladder and ladder.next else None,
        acknowledged=_acknowledged(ladder, times) if ladder else None,
    )


def sort_key(found: BoardTicket, at: datetime) -> int:
    """Seconds: the least first. Overdue tickets, the longest overdue first; then by time left; then paused ones."""
    clock = found.next_clock(at)
    if clock is None:
        return 2 * _seconds(_PAUSED_LAST)
    if clock.is_overdue(at):
        return -_seconds(at - clock.due_at) - _seconds(_PAUSED_LAST) if clock.due_at else -2 * _seconds(_PAUSED_LAST)
    left = clock.left(at) or timedelta(0)
    return _seconds(left + _PAUSED_LAST if clock.state is ClockState.PAUSED else left)


def next_change(found: BoardTicket, at: datetime) -> datetime | None:
    """The first instant after `at` at which the ticket's group may change without a new fact."""
    return min((change for clock in found.open_clocks for change in _changes(clock) if change > at), default=None)


def role_words(role: str) -> str:
    """A role as people read it: `service_desk_team_lead` is `Service desk team lead`."""
    words = f" {role.replace('_', ' ')} ".replace(" it ", " IT ").strip()
    return words[:1].upper() + words[1:]


def shown(at: datetime, times: PageTime) -> ShownInstant:
    """`Mon 14:00`, with the date if that is not within this week, never `today`: a row may be shown for a day.

    `times.zone_words` names the zone.
    """
    local = times.local(at)
    day = f"{local:%a}" if abs(at - times.now) < _THIS_WEEK else times.short_day(at)
    year = "" if local.year == times.local(times.now).year else f" {local.year}"
    return ShownInstant(f"{at:%Y-%m-%dT%H:%M:%SZ}", f"{day}{year} {times.clock(at.replace(second=0, microsecond=0))}")


def left_words(left: timedelta) -> str:
    """`26 h 10 min`, `40 min`, `under 1 min`. Never days: a business day has fewer hours than a day."""
    hours, minutes = divmod(left // _MINUTE, 60)
    if not hours:
        return f"{minutes} min" if minutes else "under 1 min"
    return f"{hours} h {minutes} min" if minutes and hours < 100 else f"{hours} h"


def _bar(clock: BoardClock, times: PageTime, *, is_next: bool) -> ClockBar:
    at = times.now
    left = clock.left(at) or timedelta(0)
    overdue = clock.is_overdue(at)
    return ClockBar(
        name=_CLOCK_WORDS[clock.name],
        kind=_kind(clock, left, overdue=overdue),
        text=_left_text(clock, at, left, overdue=overdue),
        due=shown(clock.due_at, times) if clock.due_at else None,
        target=clock.target_words,
        used=100 if overdue else _percent(clock.target - left, clock.target),
        warn=_warn_percent(clock, at) if not overdue else None,
        is_next=is_next,
        state="overdue" if overdue else clock.state.value,
        target_seconds=_seconds(clock.target),
        counted_seconds=max(0, _seconds(clock.target - left)),
        due_seconds=int(clock.due_at.timestamp()) if clock.due_at else None,
        stretches=" ".join(_stretch_text(stretch) for stretch in clock.remaining if stretch.end > at),
        further_seconds=_seconds(clock.further),
    )


def _kind(clock: BoardClock, left: timedelta, *, overdue: bool) -> str:
    if overdue:
        return "silent" if clock.provisional and clock.name == "resolution" else "breached"
    if clock.state is ClockState.PAUSED:
        return "paused"
    return "at_risk" if left <= AT_RISK else "later"


def _left_text(clock: BoardClock, at: datetime, left: timedelta, *, overdue: bool) -> str:
    if overdue:
        return f"overdue by {duration_words(at - clock.due_at)}" if clock.due_at else "overdue"
    if clock.state is ClockState.PAUSED:
        return f"paused, {left_words(left)} left"
    return f"{left_words(left)} left"


def _warn_percent(clock: BoardClock, at: datetime) -> int | None:
    if clock.warn_at is None or clock.warn_at <= at or clock.state is ClockState.PAUSED:
        return None
    return _percent(clock.target - (clock.left(clock.warn_at) or timedelta(0)), clock.target)


def _percent(part: timedelta, whole: timedelta) -> int:
    return max(0, min(100, round(100 * (part / whole)))) if whole else 100


def _stretch_text(stretch: Stretch) -> str:
    return f"{int(stretch.begin.timestamp())}+{_seconds(stretch.end - stretch.begin)}"


def _next(ladder: BoardLadder, customer_id: str, times: PageTime, holder: HolderName) -> StepWords | None:
    coming = ladder.next
    if coming is None:
        return None
    if coming.role is None:
        return StepWords("nobody: the ladder ends", None, shown(coming.at, times))
    name, role = holder(coming.role, customer_id, coming.at), role_words(coming.role)
    return StepWords(name or role, role if name else None, shown(coming.at, times))


def _acknowledged(ladder: BoardLadder, times: PageTime) -> StepWords | None:
    if not ladder.acknowledgements:
        return None
    last = ladder.acknowledgements[-1]
    return StepWords(last.by or "somebody", None, shown(last.at, times))


def _changes(clock: BoardClock) -> list[datetime]:
    """When the clock becomes at risk, and the first instant at which it is overdue."""
    changes = []
    if clock.due_at is not None:
        changes.append(clock.due_at + timedelta(microseconds=1))
    left = AT_RISK - clock.further
    for stretch in reversed(clock.remaining if clock.state is ClockState.RUNNING and left >= timedelta(0) else ()):
        length = stretch.end - stretch.begin
        if length > left:  # if equal, the clock is at risk from the end of the stretch before
            changes.append(stretch.end - left)
            break
        left -= length
    return changes


def _seconds(duration: timedelta) -> int:
    return duration // timedelta(seconds=1)
