"""Events of `tocsin.deadlines.v1`: what happened to a ticket's clocks and its ladder (RULES 3 to 5).

Every instant named `at` is the effective, scheduled one: when it happened or fell due by the rules, not when it was
noticed. `run` counts how often the same thing of a cycle has been told anew after it was voided (1, 2, ...).
"""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from tocsin.events.values import ClockName, EndReason, EscalationReason, FrozenModel, Severity, Ticket, Tier
from tocsin.instants import Instant

Count = Annotated[int, Field(ge=1)]
HeldBy = Literal["response", "severity_changed", "acknowledged", "policy"]


class DeadlineEvent(FrozenModel):
    """What all events of this topic say."""

    event_id: UUID
    ticket: Ticket
    cycle: Count
    run: Count
    severity: Severity
    at: Instant
    historic: bool = False
    unconfirmed: bool = False

    @property
    def ticket_id(self) -> UUID:
        return self.ticket.ticket_id


class ClockEvent(DeadlineEvent):
    """About one clock. `started_at`, `due_at` are null where they do not apply; `target` is in the policy's words."""

    clock: ClockName
    started_at: Instant | None = None
    due_at: Instant | None = None
    target: str | None = None


class ClockWarned(ClockEvent):
    """`clock.warned`: the warning instant passed. `roles` are told (policy)."""

    roles: tuple[str, ...] = ()


class ClockBreached(ClockEvent):
    """`clock.breached`, effective `at`. `roles` get the FYI mail of a missed response or answer."""

    roles: tuple[str, ...] = ()


class ClockMet(ClockEvent):
    """`clock.met`."""


class ClockCancelled(ClockEvent):
    """`clock.cancelled`: the ticket was withdrawn before the clock was met or breached."""


class ClockVoided(ClockEvent):
    """`clock.voided`: late evidence shows that the told event `voids` would not have happened (RULES 4)."""

    kind: Literal["warned", "breached", "met", "cancelled"]
    voids: UUID
    stand_down: bool = False


class LadderEvent(DeadlineEvent):
    """About the ladder of (cycle, run). `kept` is true where a reopen kept the ladder of the cycle before."""

    kept: bool = False


class LadderStepDue(LadderEvent):
    """`ladder.step_due`: step `step` is scheduled `at`. `ladder` is the policy's, in order of tiers.

    `started_at`, `due_at`: the resolution clock's, as it stood at this step: missed, provisional, or, for an explicit
    escalation, perhaps still to come; null while a pause makes it unknown. `next_at`: when the next step follows if
    nothing else happens; null is unknown.
    """

    step: Count
    reason: EscalationReason
    ladder: tuple[Tier, ...]
    interval: str
    target: str | None = None
    started_at: Instant | None = None
    due_at: Instant | None = None
    next_at: Instant | None = None


class LadderStepVoided(LadderEvent):
    """`ladder.step_voided`: late evidence shows that this step was not due yet. Its run goes on."""

    step: Count


class LadderHeld(LadderEvent):
    """`ladder.held`: the next step waits until `until` (null while a pause makes that unknown)."""

    by: HeldBy
    until: Instant | None = None


class LadderEnded(LadderEvent):
    """`ladder.ended`: nobody is told any more in this run; whoever was gets one stand-down mail if `stand_down`."""

    reason: EndReason
    stand_down: bool = True


class LadderExhausted(LadderEvent):
    """`ladder.exhausted`: one interval after the last tier nobody is left to tell (RULES 5)."""
