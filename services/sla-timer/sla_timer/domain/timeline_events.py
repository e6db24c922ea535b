"""The events of a timeline, about clocks and the escalation ladder, and their natural keys. Pure."""

from enum import StrEnum
from typing import Final, Literal, NamedTuple

from tocsin.events import ClockName, EndReason, EscalationReason, HeldBy

LADDER: Final = "ladder"
Subject = ClockName | Literal["ladder"]


class EventKind(StrEnum):
    """The event types of `tocsin.deadlines.v1` about clocks and ladders. Voiding is not one: it compares timelines.

    `CONTINUED` is not among the events of a timeline: it is published where none of these states how a ladder stands.
    """

    WARNED = "clock.warned"
    BREACHED = "clock.breached"
    MET = "clock.met"
    CANCELLED = "clock.cancelled"
    STEP_DUE = "ladder.step_due"
    HELD = "ladder.held"
    ENDED = "ladder.ended"
    EXHAUSTED = "ladder.exhausted"
    CONTINUED = "ladder.continued"


FALLS_DUE: Final = frozenset({EventKind.WARNED, EventKind.BREACHED, EventKind.STEP_DUE, EventKind.EXHAUSTED})
"""The kinds that occur because time passes, without a fact."""


class LadderAcknowledgement(NamedTuple):
    """An acknowledgement of a ladder: when, by whom, and until when it held the next step; null means unknown."""

    at: int
    by: str | None
    held_until: int | None


class TimelineEvent(NamedTuple):
    """An event that takes effect at the instant `at`. Instants are microseconds since the epoch.

    `clock` is set for an event of a clock, and null for one of the ladder; `step` and `reason` for a step of the
    ladder, `end_reason` for its end, `held_by` for a hold. `started_at` and `due_at` are those of the clock, for the
    ladder those of the resolution clock, null without one. `next_at`: when the ladder continues; null means unknown.
    `held`: a hold or an acknowledgement delays that. `exhausted_at`: when the ladder was exhausted, null unless it is.
    `actor` and `actor_reason` are who escalated, and why, in a step with the reason `explicit`; in a hold, who
    acknowledged. `acknowledgements` are the latest in this cycle, of a step those before it.
    """

    at: int
    kind: EventKind
    cycle: int
    severity: int
    clock: ClockName | None = None
    step: int | None = None
    reason: EscalationReason | None = None
    end_reason: EndReason | None = None
    held_by: HeldBy | None = None
    kept: bool = False
    started_at: int | None = None
    due_at: int | None = None
    next_at: int | None = None
    held: bool = False
    exhausted_at: int | None = None
    actor: str | None = None
    actor_reason: str | None = None
    acknowledgements: tuple[LadderAcknowledgement, ...] = ()


class EventKey(NamedTuple):
    """The natural key under which a timeline event is published: once, ever.

    `run` is 1, and one more each time the same event or ladder is published again after a voiding. `step` is the step,
    or the number of the hold within its cycle, or of the continuation within its run; otherwise 0. `voided`: the key of
    the event that voids the one with this key; of kind `ENDED`, the end of a run whose ladder was voided.
    """

    cycle: int
    run: int
    subject: Subject
    kind: EventKind
    step: int = 0
    voided: bool = False

    @property
    def voiding(self) -> "EventKey":
        """The key of the event that voids this one."""
        return self._replace(voided=True)


class KeyedEvent(NamedTuple):
    """A timeline event with the key under which it is, or will be, published."""

    key: EventKey
    event: TimelineEvent
