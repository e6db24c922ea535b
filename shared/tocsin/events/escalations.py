"""Events of `tocsin.escalations.v1`: notifications of roles, and their withdrawal."""

from typing import Literal
from uuid import UUID

from tocsin.events.deadlines import Acknowledgement
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

NotificationKind = Literal[
    "escalation", "warning", "response_missed", "answer_missed", "escalation_request", "rerouted"
]


class NotifiedTier(FrozenModel):
    """A tier that was notified earlier in the same run."""

    tier: Tier
    at: Instant
    """The scheduled instant of its step."""


class UpcomingStep(FrozenModel):
    """The next step of the ladder if no further fact arrives."""

    at: Instant
    """The scheduled instant of the step."""
    tier: Tier | None = None
    """The tier that it notifies. Null if the ladder is exhausted then."""


class EscalationEvent(FrozenModel):
    """The fields of every event of this topic."""

    event_id: UUID
    """The id of the event. That of a `notify` event is the id of the notification."""
    ticket: Ticket
    cycle: Count
    """The cycle of the ticket: 1 from its opening, one more from each reopening."""
    run: Count | None = None
    """The run of the ladder within the cycle. Null for an event about a clock."""
    severity: Severity
    """The severity that governs."""
    at: Instant
    """The effective or scheduled instant, by the rules."""

    @property
    def ticket_id(self) -> UUID:
        return self.ticket.ticket_id


class Notify(EscalationEvent):
    """`notify`: a role is to be notified.

    An escalation has `run`, `step`, `tier` and `reason`. Other kinds have `clock`.
    """

    kind: NotificationKind
    """The kind of notification."""
    role: str
    """The role in the directory, or `assignee` or `contact` of the ticket."""
    role_title: str
    """The title of the role, as people read it."""
    clock: ClockName | None = None
    """The clock that the notification is about."""
    step: Count | None = None
    """The number of the step within its run."""
    tier: Tier | None = None
    """The tier that the step notifies."""
    reason: EscalationReason | None = None
    """The reason for the step: a breached resolution, silence, or an explicit escalation."""
    target: str | None = None
    """The target of the clock in words, such as `24 hours`."""
    interval: str | None = None
    """The time between two tiers in words, such as `1 hour`."""
    started_at: Instant | None = None
    """The instant from which the clock runs."""
    due_at: Instant | None = None
    """The deadline of the clock. Null while a pause makes it unknown."""
    skipped: tuple[Tier, ...] = ()
    """The tiers that were skipped because nobody holds their role."""
    told_before: tuple[NotifiedTier, ...] = ()
    """The tiers that were notified earlier in the same run."""
    upcoming: UpcomingStep | None = None
    """The next step of the ladder if no further fact arrives. Null if it is unknown."""
    unconfirmed: bool = False
    """Whether this was evaluated without a watermark, because intake was silent."""
    suggested_severity: Severity | None = None
    """The more severe severity that the impact suggests. Null unless the severity is disputed."""
    requested_by: str | None = None
    """Who requested the explicit escalation, in a step with the reason `explicit`."""
    requested_reason: str | None = None
    """The reason that was stated for it."""
    acknowledgements: tuple[Acknowledgement, ...] = ()
    """The acknowledgements of this run before this step, in order."""


class Withdraw(EscalationEvent):
    """`withdraw`: notifications are no longer needed. Mails that are still queued are not sent."""

    notifications: tuple[UUID, ...]
    """The ids of the notifications."""
    reason: EndReason
    """Why they are no longer needed."""


class StandDown(EscalationEvent):
    """`stand_down`: everyone who was mailed gets one mail that says why no further action is needed.

    Mails that are still queued are not sent.
    """

    notifications: tuple[UUID, ...]
    """The ids of the notifications that are no longer needed."""
    reason: EndReason
    """Why no further action is needed."""
    clock: ClockName | None = None
    """The clock that the notifications were about. Null if they were about a ladder."""


class Exhausted(EscalationEvent):
    """`exhausted`: no tier is left to notify."""

    reason: Literal["ladder", "vacant"]
    """Whether the ladder is at its end, or all tiers above the last one notified are vacant."""
    skipped: tuple[Tier, ...] = ()
    """The tiers that were skipped because nobody holds their role."""
    notifications: tuple[UUID, ...] = ()
    """The notifications of the run. Everyone whom they mailed gets a mail of kind `exhausted`, if `mail` is true."""
    mail: bool = True
    """Whether the people who were mailed get a mail that says so."""
    target: str | None = None
    """The resolution target in words, such as `24 hours`. Null if the ticket's category has no resolution clock."""
    due_at: Instant | None = None
    """The resolution deadline as of the last step. Null while a pause makes it unknown."""
    suggested_severity: Severity | None = None
    """The more severe severity that the impact suggests. Null unless the severity is disputed."""
