"""Events of `tocsin.deadlines.v1`: what happened to the clocks and the ladder of a ticket (docs/rules.md#3-clocks)."""

from typing import Literal
from uuid import UUID

from tocsin.events.values import (
    ClockName,
    Count,
    EndReason,
    EscalationReason,
    FrozenModel,
    Severity,
    Ticket,
    Tier,
)
from tocsin.instants import Instant


class Acknowledgement(FrozenModel):
    """An acknowledgement of a ladder."""

    at: Instant
    """The instant of the acknowledgement."""
    by: str | None = None
    """Who acknowledged."""
    held_until: Instant | None = None
    """The instant until which it held the next step. Null while a pause makes it unknown."""


HeldBy = Literal["response", "severity_changed", "acknowledged", "policy"]


class DeadlineEvent(FrozenModel):
    """The fields of every event of this topic."""

    event_id: UUID
    ticket: Ticket
    cycle: Count
    """The cycle of the ticket: 1 from its opening, one more from each reopening."""
    run: Count
    """1, and one more each time that this is published again in its cycle after it was voided."""
    severity: Severity
    """The severity that governs."""
    at: Instant
    """The effective or scheduled instant, by the rules. It may lie before the instant of publishing."""
    historic: bool = False
    """Whether this belongs to imported history and mails nobody."""
    unconfirmed: bool = False
    """Whether this was evaluated without a watermark, because intake was silent. Late facts may void it."""
    suggested_severity: Severity | None = None
    """The more severe severity that the impact suggests. Null unless the severity is disputed."""

    @property
    def ticket_id(self) -> UUID:
        return self.ticket.ticket_id


class ClockEvent(DeadlineEvent):
    """The fields of every event about a clock."""

    clock: ClockName
    started_at: Instant | None = None
    """The instant from which the clock runs."""
    due_at: Instant | None = None
    """The deadline. Null while a pause makes it unknown."""
    target: str | None = None
    """The target in words, such as `5 business days`."""


class ClockWarned(ClockEvent):
    """`clock.warned`: a clock reached its warning."""

    roles: tuple[str, ...] = ()
    """The roles that get the warning."""


class ClockBreached(ClockEvent):
    """`clock.breached`: a clock passed its deadline."""

    roles: tuple[str, ...] = ()
    """The roles that are informed. Empty for the resolution clock, which starts the ladder."""


class ClockMet(ClockEvent):
    """`clock.met`: a clock was met by its deadline."""


class ClockCancelled(ClockEvent):
    """`clock.cancelled`: the ticket was withdrawn before the clock was met or breached."""


class ClockVoided(ClockEvent):
    """`clock.voided`: late evidence shows that a published event about this clock did not happen."""

    kind: Literal["warned", "breached", "met", "cancelled"]
    """The kind of the event that is voided."""
    voids: UUID
    """The id of the event that is voided."""
    stand_down: bool = False
    """Whether everyone who was mailed about it gets a stand-down mail."""


class LadderEvent(DeadlineEvent):
    """The fields of every event about a ladder, which is identified by ticket, cycle and run."""

    kept: bool = False
    """Whether a reopening kept the ladder of the cycle before."""


class LadderStepDue(LadderEvent):
    """`ladder.step_due`: a step of the ladder is due."""

    step: Count
    """The number of the step within its run."""
    reason: EscalationReason
    """The reason for the step: a breached resolution, silence, or an explicit escalation."""
    ladder: tuple[Tier, ...]
    """The tiers of the policy's ladder, in order."""
    interval: str
    """The time between two tiers in words, such as `1 hour`."""
    target: str | None = None
    """The resolution target in words, such as `24 hours`. Null if the ticket's category has no resolution clock."""
    started_at: Instant | None = None
    """The instant from which the resolution clock runs."""
    due_at: Instant | None = None
    """The resolution deadline at this step: missed, provisional or future. Null while a pause makes it unknown."""
    next_at: Instant | None = None
    """The instant of the next step if no further fact arrives. Null if it is unknown."""
    requested_by: str | None = None
    """Who requested the explicit escalation, in a step with the reason `explicit`."""
    requested_reason: str | None = None
    """The reason that was stated for it."""
    acknowledgements: tuple[Acknowledgement, ...] = ()
    """The latest 20 acknowledgements of this run before this step, in order."""
    mail_exhausted: bool = True
    """Whether everyone whom the run mailed gets a mail if the ladder is exhausted because no tier is left to notify."""


class LadderStepVoided(LadderEvent):
    """`ladder.step_voided`: late evidence shows that a step was not due. Its run continues."""

    step: Count
    """The number of the step within its run."""


class LadderHeld(LadderEvent):
    """`ladder.held`: the next step waits for a later instant."""

    by: HeldBy
    """The cause of the hold."""
    until: Instant | None = None
    """The instant of the next step. Null while a pause makes it unknown."""
    acknowledged_by: str | None = None
    """Who acknowledged, if an acknowledgement is the cause."""


class LadderContinued(LadderEvent):
    """`ladder.continued`: how an open ladder stands after a change that no other event states.

    A reopening kept it, or its severity or the instant of its next step changed.
    """

    held: bool = False
    """Whether a hold or an acknowledgement delays the next step."""
    next_at: Instant | None = None
    """The instant of the next step if no further fact arrives. Null if it is unknown, or the ladder is exhausted."""
    exhausted_at: Instant | None = None
    """The instant at which the ladder was exhausted. Null unless it is."""
    acknowledgements: tuple[Acknowledgement, ...] = ()
    """The latest 20 acknowledgements of this run, in order."""


class LadderEnded(LadderEvent):
    """`ladder.ended`: a run of the ladder ended, and mails nobody further."""

    reason: EndReason
    """Why the run ended."""
    stand_down: bool = True
    """Whether everyone whom the run mailed gets a stand-down mail."""


class LadderExhausted(LadderEvent):
    """`ladder.exhausted`: one interval after its last tier, the ladder has no further tier."""

    target: str | None = None
    """The resolution target in words, such as `24 hours`. Null if the ticket's category has no resolution clock."""
    mail: bool = True
    """Whether everyone whom the run mailed gets a mail that says so."""


class EscalationRequested(DeadlineEvent):
    """`escalation.requested`: a new ticket was rightly routed to the escalations mailbox."""

    role: str
    """The role that is informed."""


class RequestRerouted(DeadlineEvent):
    """`request.rerouted`: a mail was rerouted to another mailbox, and its sender is informed."""
