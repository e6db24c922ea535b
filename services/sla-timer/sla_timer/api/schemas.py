"""The request and response models of the timer's API."""

from typing import Annotated, Any, Final, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from tocsin.events import ClockName, EndReason, EscalationReason, HeldBy, Tier, UuidInput
from tocsin.instants import Instant
from tocsin.runtime.http.responses import ResponseModel

from sla_timer.domain.clock import ClockOutcome
from sla_timer.domain.compliance import Grouping, OutcomeShare
from sla_timer.domain.timeline_events import EventKind

_OPENED_AT: Final = "2026-06-08T12:00:00.000000Z"
_RESPONDED_AT: Final = "2026-06-08T12:10:00.000000Z"
_RESPONSE_DUE_AT: Final = "2026-06-08T13:00:00.000000Z"
_DUE_AT: Final = "2026-06-09T12:10:00.000000Z"
_UNTIL: Final = "2026-06-09T12:30:00.000000Z"
_RESPONSE_CLOCK: Final[dict[str, Any]] = {
    "cycle": 1,
    "clock": "response",
    "provisional": False,
    "started_at": _OPENED_AT,
    "warn_at": "2026-06-08T12:45:00.000000Z",
    "due_at": _RESPONSE_DUE_AT,
    "ended_at": _RESPONDED_AT,
    "breached_at": None,
    "outcome": "met",
    "gross_seconds": 600.0,
    "net_seconds": 600.0,
}
RESOLUTION_CLOCK_EXAMPLE: Final[dict[str, Any]] = {
    "cycle": 1,
    "clock": "resolution",
    "provisional": False,
    "started_at": _RESPONDED_AT,
    "warn_at": "2026-06-09T06:10:00.000000Z",
    "due_at": _DUE_AT,
    "ended_at": None,
    "breached_at": _DUE_AT,
    "outcome": "breached",
    "gross_seconds": 87600.0,
    "net_seconds": 87600.0,
}
SIMULATION_EXAMPLE: Final[dict[str, Any]] = {
    "facts": [
        {"type": "opened", "occurred_at": "2026-06-08T12:00:00Z", "severity": 1},
        {"type": "responded", "occurred_at": "2026-06-08T12:10:00Z"},
    ],
    "until": "2026-06-09T12:30:00Z",
}
_TIMELINE: Final[dict[str, Any]] = {
    "policy_version": "1",
    "severity": 1,
    "first_responded_at": _RESPONDED_AT,
    "next_at": "2026-06-09T13:10:00.000000Z",
    "next": "step:2",
    "clocks": [_RESPONSE_CLOCK, RESOLUTION_CLOCK_EXAMPLE],
    "ladder": [{"step": 1, "tier": 1, "at": _DUE_AT, "reason": "resolution_breached"}],
    "exhausted_at": None,
    "events": [
        {"at": _RESPONDED_AT, "type": "clock.met", "cycle": 1, "clock": "response", "due_at": _RESPONSE_DUE_AT},
        {
            "at": "2026-06-09T06:10:00.000000Z",
            "type": "clock.warned",
            "cycle": 1,
            "clock": "resolution",
            "due_at": _DUE_AT,
        },
        {"at": _DUE_AT, "type": "clock.breached", "cycle": 1, "clock": "resolution", "due_at": _DUE_AT},
        {"at": _DUE_AT, "type": "ladder.step_due", "cycle": 1, "step": 1, "reason": "resolution_breached"},
    ],
}
LEDGER_ACCOUNT_EXAMPLE: Final[dict[str, Any]] = {
    "cycle": 1,
    "clock": "resolution",
    "started_at": _RESPONDED_AT,
    "target": "24 hours",
    "target_seconds": 86400.0,
    "measure": "elapsed",
    "due_at": _DUE_AT,
    "counted_seconds": 87600.0,
    "excluded_seconds": 0.0,
    "intervals": [{"from": _RESPONDED_AT, "to": _UNTIL, "counted": True, "seconds": 87600.0, "reason": "counted"}],
    "truncated": False,
    "words": f"24 hours from {_RESPONDED_AT}, counted around the clock outside pauses and closed times: due {_DUE_AT}",
}
_TICKET_CLOCKS: Final[dict[str, Any]] = _TIMELINE | {
    "clocks": [clock | {"historic": False, "voided": False} for clock in (_RESPONSE_CLOCK, RESOLUTION_CLOCK_EXAMPLE)],
    "ticket_id": "1f2179db-15df-5301-954e-79cce3c08d79",
    "facts": 2,
    "accepted_through": _UNTIL,
    "told_to": _UNTIL,
    "unconfirmed": False,
    "ledger": [LEDGER_ACCOUNT_EXAMPLE],
}
CLOCKS_EXAMPLE: Final[dict[str, Any]] = {"ticket_ids": [_TICKET_CLOCKS["ticket_id"]]}
_CURRENT_CLOCKS: Final[dict[str, Any]] = {
    **{name: value for name, value in _TICKET_CLOCKS.items() if name not in ("events", "ledger")},
    "next_at": "2026-06-09T06:10:00.000000Z",
    "next": "warning:resolution",
    "clocks": [
        _RESPONSE_CLOCK
        | {"historic": False, "voided": False, "target": "1 hour", "target_seconds": 3600.0, "measure": "elapsed"}
        | {"remaining": [], "remaining_seconds": 0.0, "remaining_truncated": False, "missed_roles": []},
        RESOLUTION_CLOCK_EXAMPLE
        | {"breached_at": None, "outcome": "running", "gross_seconds": 3600.0, "net_seconds": 3600.0}
        | {"historic": False, "voided": False, "target": "24 hours", "target_seconds": 86400.0, "measure": "elapsed"}
        | {
            "remaining": [{"from": "2026-06-08T13:10:00.000000Z", "to": _DUE_AT}],
            "remaining_seconds": 82800.0,
            "remaining_truncated": False,
            "missed_roles": [],
        },
    ],
    "ladder": [],
    "tiers": [
        {"number": 1, "role": "service_desk_team_lead", "title": "Service Desk Team Lead"},
        {"number": 2, "role": "senior_it_operations_manager", "title": "Senior IT Operations Manager"},
    ],
    "accepted_through": "2026-06-08T13:10:00.000000Z",
    "told_to": "2026-06-08T13:10:00.000000Z",
}
_COMPLIANCE: Final[dict[str, Any]] = {
    "from": "2026-01-01T00:00:00.000000Z",
    "to": "2027-01-01T00:00:00.000000Z",
    "items": [{"clock": "response", "met": 3, "breached": 1, "cancelled": 0, "percent_met": 75.0}],
    "channels": [
        {
            "channel": "voicemail",
            "customer": None,
            "month": "2026-06",
            "items": 3,
            "unanswered": 0,
            "mean_seconds": 3580.0,
            "target_seconds": 3600.0,
            "met": True,
        }
    ],
}


class ClockResponse(ResponseModel):
    """One clock of one cycle. `due_at` is null while a pause makes it unknown, `warn_at` also without a warning.

    `provisional`: the resolution clock before the first response. `breached_at` is the first breach, kept in later
    cycles. `gross_seconds` run from the start to `ended_at`, or to the instant of the evaluation; `net_seconds` are
    those of them that the clock counted.
    """

    cycle: int
    clock: ClockName
    provisional: bool
    started_at: Instant
    warn_at: Instant | None
    due_at: Instant | None
    ended_at: Instant | None
    breached_at: Instant | None
    outcome: ClockOutcome
    gross_seconds: float
    net_seconds: float


class TicketClockResponse(ClockResponse):
    """A clock of a stored ticket. `historic`: it was decided before the ticket was imported, and mailed nobody.

    `voided`: late evidence has voided an event of this clock.
    """

    historic: bool
    voided: bool


class TimelineStepResponse(ResponseModel):
    """A step of the ladder. `tier` equals `step`: only the escalator knows which tiers are vacant."""

    step: int
    tier: int
    at: Instant
    reason: EscalationReason


TimelineEventType = Literal[
    EventKind.WARNED,
    EventKind.BREACHED,
    EventKind.MET,
    EventKind.CANCELLED,
    EventKind.STEP_DUE,
    EventKind.HELD,
    EventKind.ENDED,
    EventKind.EXHAUSTED,
]
"""The kinds of events that a timeline contains."""


class TimelineEventResponse(ResponseModel):
    """An event at its effective instant. Fields that do not apply to its type are absent."""

    at: Instant
    type: TimelineEventType
    cycle: int
    clock: ClockName | None = None
    due_at: Instant | None = None
    step: int | None = None
    reason: EscalationReason | EndReason | None = None
    by: HeldBy | None = None
    until: Instant | None = None


class TimelineSummaryResponse(ResponseModel):
    """A timeline without its events. `next` is what falls due next: `warning:CLOCK`, `breach:CLOCK`, `step:N` or
    `exhausted`.

    `clocks` are sorted by cycle, then response, resolution, answer. `ladder` has the steps of all ladders of the
    ticket, `exhausted_at` the last instant at which one was exhausted.
    """

    policy_version: str
    severity: int
    first_responded_at: Instant | None
    next_at: Instant | None
    next: str | None
    clocks: tuple[ClockResponse, ...]
    ladder: tuple[TimelineStepResponse, ...]
    exhausted_at: Instant | None


class TimelineResponse(TimelineSummaryResponse):
    """A timeline. `next` is what falls due next: `warning:CLOCK`, `breach:CLOCK`, `step:N` or `exhausted`.

    `clocks` are sorted by cycle, then response, resolution, answer. `ladder` has the steps of all ladders of the
    ticket, `exhausted_at` the last instant at which one was exhausted.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [_TIMELINE]})

    events: tuple[TimelineEventResponse, ...]


class LedgerIntervalResponse(ResponseModel):
    """A stretch of time, whether it counted, and why."""

    from_: Instant = Field(alias="from")
    to: Instant
    counted: bool
    seconds: float
    reason: Literal["counted", "paused", "closed", "outside business hours"]


class LedgerAccountResponse(ResponseModel):
    """Why a clock's deadline is what it is. Counted and excluded seconds add up to the gross time.

    `intervals` are the first 1,000; `truncated` says that there are more.
    """

    cycle: int
    clock: ClockName
    started_at: Instant
    target: str
    target_seconds: float
    measure: str
    due_at: Instant | None
    counted_seconds: float
    excluded_seconds: float
    intervals: tuple[LedgerIntervalResponse, ...]
    truncated: bool
    words: str


class EvaluationResponse(ResponseModel):
    """The stored ticket, and the instant to which it was evaluated.

    `facts` is the highest fact number, `accepted_through` the watermark of the ticket's partition.
    `unconfirmed`: intake is silent, so the timeline was evaluated beyond the watermark.
    """

    ticket_id: UUID
    facts: int
    accepted_through: Instant | None
    told_to: Instant
    unconfirmed: bool


class TicketClocksResponse(TimelineResponse, EvaluationResponse):
    """The timeline of a stored ticket, evaluated to `told_to`, and the ledger of its clocks.

    `facts` is the highest fact number, `accepted_through` the watermark of the ticket's partition.
    `unconfirmed`: intake is silent, so the timeline was evaluated beyond the watermark.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [_TICKET_CLOCKS]})

    clocks: tuple[TicketClockResponse, ...]
    ledger: tuple[LedgerAccountResponse, ...]


class CurrentClocksRequest(BaseModel):
    """The ids of tickets, from intake's responses. A repeated id is ignored."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    ticket_ids: Annotated[list[UuidInput], Field(min_length=1, max_length=200)]


class RemainingIntervalResponse(ResponseModel):
    """A stretch of time that a clock will count."""

    from_: Instant = Field(alias="from")
    to: Instant


class CurrentClockResponse(TicketClockResponse):
    """A clock of a stored ticket, its target, and the time that is left.

    `measure` is `elapsed` or the name of a business calendar. `remaining` are the intervals that the clock counts from
    `told_to` to `due_at` if no further fact arrives: the first 100; `remaining_truncated` says that there are more.
    `remaining_seconds` is the sum of all of them. It is 0 for a clock that has ended or is breached, overdue or paused.
    Otherwise `net_seconds` and `remaining_seconds` add up to the target, unless the clock is `provisional` or its
    deadline is the start of the work.

    `missed_roles` are informed if the clock is missed; `assignee` is the ticket's. There are none for the resolution
    clock, which starts the ladder.
    """

    target: str
    target_seconds: float
    measure: str
    remaining: tuple[RemainingIntervalResponse, ...]
    remaining_seconds: float
    remaining_truncated: bool
    missed_roles: tuple[str, ...]


class CurrentClocksResponse(TimelineSummaryResponse, EvaluationResponse):
    """The timeline of a stored ticket without its events, evaluated to `told_to`. `tiers` are those of the policy's
    ladder for its customer, in order.
    """

    clocks: tuple[CurrentClockResponse, ...]
    tiers: tuple[Tier, ...]


class CurrentClocksListResponse(ResponseModel):
    """The tickets that have arrived, in the order of the request."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"items": [_CURRENT_CLOCKS]}]})

    items: tuple[CurrentClocksResponse, ...]


class OutcomeShareResponse(ResponseModel):
    """The outcomes of a group of clocks. Fields that the report is not grouped by are absent.

    `percent_met` is met out of met and breached, null where there is neither.
    """

    clock: str
    severity: int | None = None
    customer: str | None = None
    month: str | None = None
    met: int
    breached: int
    cancelled: int
    percent_met: float | None

    @classmethod
    def of(cls, share: OutcomeShare, groupings: frozenset[Grouping]) -> Self:
        groups = {name.value: getattr(share, name) for name in Grouping if name in groupings}
        return cls(
            **groups | {"clock": share.clock},
            met=share.met,
            breached=share.breached,
            cancelled=share.cancelled,
            percent_met=share.percent_met,
        )


class ChannelAverageResponse(ResponseModel):
    """The mean response time of a channel's tickets by the month of their opening; `met`: strictly below the target.

    A customer with a target of their own has entries of their own; where `customer` is null, it is the general target,
    and the tickets are those of all others. `unanswered` are open tickets without a response. A channel without any
    ticket has one entry whose `month`, `mean_seconds` and `met` are null.
    """

    channel: str
    customer: str | None
    month: str | None
    items: int
    unanswered: int
    mean_seconds: float | None
    target_seconds: float
    met: bool | None


class ComplianceResponse(ResponseModel):
    """A compliance report for the period `[from, to)`."""

    model_config = ConfigDict(json_schema_extra={"examples": [_COMPLIANCE]})

    from_: Instant = Field(alias="from")
    to: Instant
    items: tuple[OutcomeShareResponse, ...]
    channels: tuple[ChannelAverageResponse, ...]
