"""How an open ladder stands, as the last published event of its run states it. Pure."""

from typing import NamedTuple, Self

from tocsin.business_time import micros
from tocsin.events import (
    LadderContinued,
    LadderEvent,
    LadderExhausted,
    LadderHeld,
    LadderStepDue,
)

from sla_timer.domain.timeline_events import TimelineEvent


class PublishedLadder(NamedTuple):
    """An open ladder. `next_at` is in microseconds since the epoch; null means unknown, or that nothing follows."""

    severity: int
    held: bool
    next_at: int | None
    exhausted: bool

    @classmethod
    def stated_by(cls, event: TimelineEvent) -> Self:
        """The ladder as this event of a ladder states it."""
        return cls(event.severity, event.held, event.next_at, event.exhausted_at is not None)

    @classmethod
    def published_by(cls, event: LadderEvent) -> Self | None:
        """The ladder as this published event states it. None if it states none, as a voiding or an end."""
        match event:
            case LadderStepDue(next_at=next_at):
                held, exhausted = False, False
            case LadderHeld(until=next_at):
                held, exhausted = True, False
            case LadderContinued(next_at=next_at):
                held, exhausted = event.held, event.exhausted_at is not None
            case LadderExhausted():
                held, next_at, exhausted = False, None, True
            case _:
                return None
        return cls(event.severity, held, None if next_at is None else micros(next_at), exhausted)
