"""Events of `tocsin.escalations.v1`: which role must be told what."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from tocsin.events.values import ClockName, EndReason, EscalationReason, FrozenModel, Severity, Ticket, Tier
from tocsin.instants import Instant

Count = Annotated[int, Field(ge=1)]
NotificationKind = Literal["escalation", "warning", "response_missed", "answer_missed"]


class NotifiedTier(FrozenModel):
    """A tier that was addressed earlier in the same ladder, and the instant at which its step was scheduled."""

    tier: Tier
    at: Instant


class UpcomingStep(FrozenModel):
    """What follows if nothing else happens: the tier told next, or `tier` null where the ladder is exhausted."""

    at: Instant
    tier: Tier | None = None


class EscalationEvent(FrozenModel):
    """What all events of this topic say. `run` null: about a clock, not about a ladder."""

    event_id: UUID
    ticket: Ticket
    cycle: Count
    run: Count | None = None
    severity: Severity
    at: Instant

    @property
    def ticket_id(self) -> UUID:
        return self.ticket.ticket_id


class Notify(EscalationEvent):
    """`notify`: tell who holds `role`. `event_id` names the notification for `withdraw` and `stand_down`; `at` is the
    scheduled instant.

    An escalation has `run`, `step`, `tier` and `reason`; the other kinds have `clock`. `skipped` are vacant tiers.
    """

    kind: NotificationKind
    role: str
    role_title: str
    clock: ClockName | None = None
    step: Count | None = None
    tier: Tier | None = None
    reason: EscalationReason | None = None
    target: str | None = None
    interval: str | None = None
    started_at: Instant | None = None
    due_at: Instant | None = None
    skipped: tuple[Tier, ...] = ()
    told_before: tuple[NotifiedTier, ...] = ()
    upcoming: UpcomingStep | None = None
    unconfirmed: bool = False


class Withdraw(EscalationEvent):
    """`withdraw`: the notifications are not needed any more; what is still queued of them is not sent."""

    notifications: tuple[UUID, ...]
    reason: EndReason


class StandDown(EscalationEvent):
    """`stand_down`: whoever was mailed one of `notifications` gets one mail that says why; the rest is not sent."""

    notifications: tuple[UUID, ...]
    reason: EndReason
    clock: ClockName | None = None


class Exhausted(EscalationEvent):
    """`exhausted`: nobody is left above; `reason` tells a ladder at its end from one whose upper tiers are vacant."""

    reason: Literal["ladder", "vacant"]
    skipped: tuple[Tier, ...] = ()
