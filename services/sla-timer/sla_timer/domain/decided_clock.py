"""One clock whose outcome is known: what it was measured by, and where its time went. Pure.

See docs/rules.md#3-20.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple, Self
from uuid import UUID

from tocsin.business_time import micros
from tocsin.events import ClockName, Severity, Ticket

from sla_timer.domain.clock import Clock, ClockOutcome
from sla_timer.domain.ledger import durations
from sla_timer.domain.ticket_evaluation import TicketRecord
from sla_timer.domain.timeline import ExcludedInterval, Timeline
from sla_timer.domain.timeline_events import EventKind

_VOIDED: Final[Mapping[EventKind, str]] = {
    EventKind.WARNED: "warned",
    EventKind.BREACHED: "breached",
    EventKind.MET: "met",
    EventKind.CANCELLED: "cancelled",
}


class OutcomeKey(NamedTuple):
    """The place of a clock's outcome in the list of all: by its instant, then by the clock."""

    outcome_at: datetime
    ticket_id: UUID
    cycle: int
    clock: ClockName


class StoredOutcome(NamedTuple):
    """The outcome of a clock as it is stored. `severity` governed it; `historic`: it is history."""

    key: OutcomeKey
    severity: Severity
    outcome: ClockOutcome
    historic: bool


@dataclass(frozen=True, slots=True)
class DecidedClock:
    """A clock with an outcome. The durations are microseconds, and with the net time add up to the gross time.

    `silent`: breached because nobody responded before the resolve (docs/rules.md#3-12), so that its durations are zero.
    `voided` are the events of the clock that late evidence voided. `unconfirmed`: the outcome was decided without a
    watermark, and is not confirmed yet.
    """

    stored: StoredOutcome
    ticket: Ticket
    clock: Clock
    excluded: tuple[ExcludedInterval, ...]
    paused: int
    outside_hours: int
    closed: int
    silent: bool
    voided: tuple[str, ...]
    unconfirmed: bool

    @classmethod
    def of(
        cls, stored: StoredOutcome, record: TicketRecord, timeline: Timeline, *, confirmed_through: datetime
    ) -> Self | None:
        """The clock of the timeline; null if the timeline does not contain it."""
        key = stored.key
        clock = next((one for one in timeline.clocks if (one.cycle, one.name) == (key.cycle, key.clock)), None)
        if clock is None:
            return None
        spent = durations(clock, timeline.excluded)
        voided = {
            _VOIDED[one.kind]
            for one in record.published
            if one.voided and (one.cycle, one.subject) == (key.cycle, key.clock) and one.kind in _VOIDED
        }
        return cls(
            stored=stored,
            ticket=record.ticket,
            clock=clock,
            excluded=timeline.excluded,
            paused=spent["paused"],
            outside_hours=spent["outside business hours"],
            closed=spent["closed"],
            silent=_is_silent(clock, micros(key.outcome_at)),
            voided=tuple(sorted(voided)),
            unconfirmed=key.outcome_at > confirmed_through,
        )


def _is_silent(clock: Clock, outcome_at: int) -> bool:
    return (
        clock.outcome is ClockOutcome.BREACHED
        and clock.name == "resolution"
        and clock.started_at == clock.ended_at == outcome_at
    )
