"""The request and response models of the escalator's API."""

from typing import Annotated, Any, Final, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from tocsin.events import Customer, EndReason, EscalationReason, Severity, UpcomingStep, UuidInput
from tocsin.instants import Instant
from tocsin.runtime.http.responses import ResponseModel

from escalator.domain.tiers import (
    ExhaustedReason,
    IsVacant,
    LadderState,
    LadderStep,
    RunKey,
    TicketEscalation,
)
from escalator.store.ladders import LadderRow


class LadderStepResponse(ResponseModel):
    """A step and the tier it went to. In a kept ladder, `cycle` and `run` name the part it belongs to. `skipped` are
    the numbers of vacant tiers. `notification_id` is null for a historic step, which notified nobody; otherwise it is
    the `notification_id` of deliveries.
    """

    cycle: int
    run: int
    step: int
    tier: int
    role: str
    at: Instant
    reason: EscalationReason
    skipped: tuple[int, ...]
    voided: bool
    notification_id: UUID | None

    @classmethod
    def of(cls, key: RunKey, step: LadderStep) -> Self:
        return cls(
            cycle=key.cycle,
            run=key.run,
            step=step.step,
            tier=step.tier.number,
            role=step.tier.role,
            at=step.at,
            reason=step.reason,
            skipped=tuple(tier.number for tier in step.skipped),
            voided=step.voided,
            notification_id=step.notification,
        )


class NextStepResponse(ResponseModel):
    """The next step if no further fact arrives. `tier` is null if the ladder will be exhausted."""

    at: Instant
    tier: int | None
    role: str | None

    @classmethod
    def of(cls, upcoming: UpcomingStep) -> Self:
        tier = upcoming.tier
        return cls(at=upcoming.at, tier=tier.number if tier else None, role=tier.role if tier else None)


class AcknowledgementOfLadderResponse(ResponseModel):
    """An acknowledgement of the run. `held_until` is null while a pause makes it unknown."""

    at: Instant
    by: str | None
    held_until: Instant | None


_LADDER: Final[dict[str, Any]] = {
    "ticket_id": "1f2179db-15df-5301-954e-79cce3c08d79",
    "source": "connectwise",
    "external_id": "SR-1042",
    "summary": "Mail is down for the whole office",
    "customer": {"id": "acme", "name": "Acme Logistics"},
    "severity": 1,
    "due_at": "2026-06-09T13:00:00.000000Z",
    "cycle": 1,
    "run": 1,
    "kept": False,
    "state": "held",
    "tier": 2,
    "step": 2,
    "reason": "no_response",
    "told": [
        {
            "cycle": 1,
            "run": 1,
            "step": 1,
            "tier": 1,
            "role": "service_desk_team_lead",
            "at": "2026-06-09T13:00:00.000000Z",
            "reason": "no_response",
            "skipped": [],
            "voided": False,
            "notification_id": "135b6009-d0d5-5171-8867-f6835c971b2c",
        },
        {
            "cycle": 1,
            "run": 1,
            "step": 2,
            "tier": 2,
            "role": "senior_it_operations_manager",
            "at": "2026-06-09T14:00:00.000000Z",
            "reason": "no_response",
            "skipped": [],
            "voided": False,
            "notification_id": "6dce35f8-b8c4-5bb1-96f7-a64d1db43fa8",
        },
    ],
    "next": {"at": "2026-06-09T15:10:00.000000Z", "tier": 3, "role": "it_operations_director"},
    "acknowledgements": [
        {
            "at": "2026-06-09T14:10:00.000000Z",
            "by": "ruth.adeyemi",
            "held_until": "2026-06-09T15:10:00.000000Z",
        }
    ],
    "exhausted": None,
    "exhausted_at": None,
    "skipped": [],
    "ended_at": None,
    "end_reason": None,
}


class LadderResponse(ResponseModel):
    """One run of a ticket's ladder. `tier`, `step` and `reason` are those of the last step, null before the first.

    `told` are the steps taken; in a ladder that a reopen kept, first those of the cycles before. `next` is null if the
    next instant is unknown or nothing follows. `exhausted` says why nobody is left: the `ladder` is at its end, or all
    tiers above are `vacant`; `skipped` are then those tiers. `severity` governed at the run's last event, and `due_at`
    is the resolution deadline as of its last step. `acknowledgements` are those of this run.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [_LADDER]})

    ticket_id: UUID
    source: str
    external_id: str
    summary: str
    customer: Customer
    severity: Severity | None
    due_at: Instant | None
    cycle: int
    run: int
    kept: bool
    state: LadderState
    tier: int | None
    step: int | None
    reason: EscalationReason | None
    told: tuple[LadderStepResponse, ...]
    next: NextStepResponse | None
    acknowledgements: tuple[AcknowledgementOfLadderResponse, ...]
    exhausted: ExhaustedReason | None
    exhausted_at: Instant | None
    skipped: tuple[int, ...]
    ended_at: Instant | None
    end_reason: EndReason | None

    @classmethod
    def of(cls, row: LadderRow, escalation: TicketEscalation, is_vacant: IsVacant) -> Self:
        run = escalation.runs[row.key]
        steps = tuple(LadderStepResponse.of(key, step) for key, step in escalation.all_steps(run))
        last = steps[-1] if steps else None
        upcoming = run.upcoming(is_vacant)
        return cls(
            ticket_id=row.ticket_id,
            source=row.source,
            external_id=row.external_id,
            summary=row.summary,
            customer=row.customer,
            severity=run.severity,
            due_at=run.due_at,
            cycle=run.key.cycle,
            run=run.key.run,
            kept=run.kept,
            state=run.state,
            tier=last.tier if last else None,
            step=last.step if last else None,
            reason=last.reason if last else None,
            told=steps,
            next=NextStepResponse.of(upcoming) if upcoming else None,
            acknowledgements=tuple(map(AcknowledgementOfLadderResponse.model_validate, run.acknowledgements)),
            exhausted=run.exhausted,
            exhausted_at=run.exhausted_at,
            skipped=tuple(tier.number for tier in run.skipped),
            ended_at=run.ended_at,
            end_reason=run.end_reason,
        )


class LadderListResponse(ResponseModel):
    """A page of ladder runs. `next_cursor` is null on the last page."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"items": [_LADDER], "next_cursor": None}]})

    items: tuple[LadderResponse, ...]
    next_cursor: str | None


class CurrentLadderRequest(BaseModel):
    """A ticket, and a deadline event of it whose handling the caller waits for; null: none."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    ticket_id: UuidInput
    event_id: UuidInput | None = None


class CurrentLaddersRequest(BaseModel):
    """The tickets."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    items: Annotated[list[CurrentLadderRequest], Field(min_length=1, max_length=200)]


CURRENT_LADDERS_EXAMPLE: Final[dict[str, Any]] = {
    "items": [{"ticket_id": _LADDER["ticket_id"], "event_id": "0b1c5a0e-3f0e-5d59-8a53-6d1c7a3e2b11"}]
}


class CurrentLadderResponse(ResponseModel):
    """A ticket's current ladder, null if none has started. `handled`: the requested event was handled, and `ladder`
    shows its effect; always true if none was requested.
    """

    ticket_id: UUID
    handled: bool
    ladder: LadderResponse | None


class CurrentLadderListResponse(ResponseModel):
    """One item for each item of the request, in its order."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"items": [{"ticket_id": _LADDER["ticket_id"], "handled": True, "ladder": _LADDER}]}]
        }
    )

    items: tuple[CurrentLadderResponse, ...]
