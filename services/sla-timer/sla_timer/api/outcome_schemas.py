"""The response models of the timer's API for reports: decided clocks, and terms."""

from collections.abc import Mapping
from typing import Any, Final, Literal, Self
from uuid import UUID

from pydantic import ConfigDict
from tocsin.business_time import SECOND
from tocsin.events import Category, Channel, ClockName, Customer, Severity
from tocsin.instants import Instant
from tocsin.policy import Target
from tocsin.runtime.http.responses import ResponseModel

from sla_timer.api.schemas import LEDGER_ACCOUNT_EXAMPLE, RESOLUTION_CLOCK_EXAMPLE, ClockResponse, LedgerAccountResponse
from sla_timer.handlers.outcomes import TermsInForce

_OUTCOME: Final[dict[str, Any]] = RESOLUTION_CLOCK_EXAMPLE | {
    "ticket_id": "1f2179db-15df-5301-954e-79cce3c08d79",
    "source": "connectwise",
    "external_id": "SR-1042",
    "summary": "Mail is down for the whole office",
    "customer": {"id": "acme", "name": "Acme Logistics"},
    "channel": "portal",
    "category": "incident",
    "severity": 1,
    "outcome_at": "2026-06-09T12:10:00.000000Z",
    "target": "24 hours",
    "target_seconds": 86400.0,
    "measure": "elapsed",
    "by_start": False,
    "silent": False,
    "paused_seconds": 0.0,
    "outside_hours_seconds": 0.0,
    "closed_seconds": 0.0,
    "historic": False,
    "voided": [],
    "unconfirmed": False,
    "ledger": LEDGER_ACCOUNT_EXAMPLE,
}
_TERMS: Final[dict[str, Any]] = {
    "policy_version": "1",
    "zone": "America/New_York",
    "targets": [
        {"clock": "response", "severity": 1, "target": "1 hour", "target_seconds": 3600.0, "measure": "elapsed"}
    ],
    "averages": [{"channel": "voicemail", "target_seconds": 3600.0}],
    "categories": [{"category": "project", "measure": "none"}],
    "ladder": [{"tier": 1, "role": "service_desk_team_lead", "title": "Service Desk Team Lead"}],
}


class OutcomeResponse(ClockResponse):
    """A clock with an outcome. `severity` governed the outcome; `outcome_at` decides to which period it belongs.

    `net_seconds`, `paused_seconds`, `outside_hours_seconds` and `closed_seconds` add up to `gross_seconds`. `by_start`:
    the deadline is the start of the work, not the target. `silent`: nobody had responded when the ticket was resolved,
    so the clock missed its target without having run. `voided` are the events of the clock that late evidence voided.
    `unconfirmed`: decided while intake was silent. `ledger` has the first 60 intervals; absent unless requested.
    """

    ticket_id: UUID
    source: str
    external_id: str
    summary: str
    customer: Customer
    channel: Channel
    category: Category
    severity: Severity
    outcome_at: Instant
    target: str
    target_seconds: float
    measure: str
    by_start: bool
    silent: bool
    paused_seconds: float
    outside_hours_seconds: float
    closed_seconds: float
    historic: bool
    voided: tuple[Literal["warned", "breached", "met", "cancelled"], ...]
    unconfirmed: bool
    ledger: LedgerAccountResponse | None = None


class OutcomeListResponse(ResponseModel):
    """A page of decided clocks. `next_cursor` is null on the last page.

    `complete_through` is the lowest watermark: no outcome up to it is missing. Null while a partition has none.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"items": [_OUTCOME], "next_cursor": None, "complete_through": "2026-06-09T12:30:00.000000Z"}]
        }
    )

    items: tuple[OutcomeResponse, ...]
    next_cursor: str | None
    complete_through: Instant | None


class TargetResponse(ResponseModel):
    """The target of a clock for a severity. `measure` is `elapsed` or the name of a business calendar."""

    clock: ClockName
    severity: Severity
    target: str
    target_seconds: float
    measure: str

    @classmethod
    def of(cls, clock: ClockName, severity: int, target: Target) -> Self:
        return cls(
            clock=clock,
            severity=severity,
            target=target.words,
            target_seconds=target.due / SECOND,
            measure=target.measure.name,
        )


class ChannelTargetResponse(ResponseModel):
    """The mean response time that a channel must stay under."""

    channel: str
    target_seconds: float


class CategoryMeasureResponse(ResponseModel):
    """What the resolution clock of a category measures; `none`: it has no resolution clock."""

    category: Category
    measure: Literal["target", "by_start", "none"]


class LadderTierResponse(ResponseModel):
    """A tier of the escalation ladder."""

    tier: int
    role: str
    title: str


class TermsResponse(ResponseModel):
    """The terms in force. `zone` is the time zone in which reports count months."""

    model_config = ConfigDict(json_schema_extra={"examples": [_TERMS]})

    policy_version: str
    zone: str
    targets: tuple[TargetResponse, ...]
    averages: tuple[ChannelTargetResponse, ...]
    categories: tuple[CategoryMeasureResponse, ...]
    ladder: tuple[LadderTierResponse, ...]

    @classmethod
    def of(cls, terms: TermsInForce) -> Self:
        rules = terms.rules
        by_clock: dict[ClockName, Mapping[int, Target]] = {
            "response": rules.response,
            "resolution": rules.resolution,
            "answer": dict.fromkeys(rules.response, rules.answer),
        }
        targets = [
            TargetResponse.of(clock, severity, target)
            for clock, by_severity in by_clock.items()
            for severity, target in sorted(by_severity.items())
        ]
        return cls(
            policy_version=terms.policy_version,
            zone=terms.zone,
            targets=tuple(targets),
            averages=tuple(
                ChannelTargetResponse(channel=channel, target_seconds=target / SECOND)
                for channel, target in rules.channels.items()
            ),
            categories=tuple(
                CategoryMeasureResponse(category=category, measure=measure)
                for category, measure in rules.measures.items()
            ),
            ladder=tuple(
                LadderTierResponse(tier=tier.number, role=tier.role, title=tier.title) for tier in rules.ladder
            ),
        )
