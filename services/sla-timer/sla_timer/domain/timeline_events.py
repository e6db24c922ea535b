"""What a timeline tells: one value for each thing that happened to a ticket's clocks and its ladder."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal, NamedTuple

from tocsin.events import ClockName, EndReason, EscalationReason

LADDER: Final = "ladder"
VOIDED: Final = "voided-"
HeldBy = Literal["response", "severity_changed", "acknowledged", "policy"]


class Kind(StrEnum):
    """The types of events of `tocsin.deadlines.v1` that a timeline knows (voiding compares two timelines)."""

    WARNED = "clock.warned"
    BREACHED = "clock.breached"
    MET = "clock.met"
    CANCELLED = "clock.cancelled"
    STEP_DUE = "ladder.step_due"
    HELD = "ladder.held"
    ENDED = "ladder.ended"
    EXHAUSTED = "ladder.exhausted"


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened at the effective instant `at`; instants in microseconds since the epoch.

    `clock` is set for a clock, `step` for a step of the ladder. `started_at` and `due_at` are the clock's as
    they stood, for the ladder the resolution clock's. `next_at` is when the ladder goes on, None where unknown.
    """

    at: int
    kind: Kind
    cycle: int
    severity: int
    clock: ClockName | None = None
    step: int | None = None
    reason: EscalationReason | EndReason | None = None
    held_by: HeldBy | None = None
    kept: bool = False
    started_at: int | None = None
    due_at: int | None = None
    next_at: int | None = None


class Item(NamedTuple):
    """The natural key of something told: once within its run, ever. `subject` is a clock or `ladder`.

    What voids it has a key of its own, `voided-` before the kind. `step` counts the steps, and the holds, of a cycle.
    """

    cycle: int
    run: int
    subject: str
    kind: str
    step: int = 0
