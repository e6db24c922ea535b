"""Simulation: facts in, timeline out, both as JSON. The same for HTTP and for the command line. Pure."""

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from tocsin.business_time import micros
from tocsin.characters import Id, Line
from tocsin.events import Category, Channel, Fact, FactType, SeverityInput
from tocsin.instants import InstantInput
from tocsin.policy import Policy

from sla_timer.domain.evaluate import evaluate
from sla_timer.domain.fact_log import FactLog
from sla_timer.domain.policy_history import PolicyHistory
from sla_timer.domain.timeline_json import JsonObject, timeline_json
from sla_timer.errors import SimulationError


class SimulatedFact(BaseModel):
    """One fact. Fields that do not affect a timeline are ignored, so that stored facts can be pasted."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        json_schema_extra={  # as `_require_severity` checks
            "if": {"properties": {"type": {"enum": [FactType.OPENED, FactType.SEVERITY_CHANGED]}}},
            "then": {"properties": {"severity": {"type": "integer"}}, "required": ["severity"]},
        },
    )

    type: Annotated[FactType, Field(strict=False)]
    occurred_at: InstantInput
    severity: SeverityInput | None = None
    resolution_kind: Literal["resolved", "workaround"] = "resolved"
    channel: Channel = "portal"
    category: Category = "incident"
    starts_at: InstantInput | None = None
    actor: Line | None = None
    sender_is_it_contact: bool = False

    @model_validator(mode="after")
    def _require_severity(self) -> Self:
        if self.severity is None and self.type in (FactType.OPENED, FactType.SEVERITY_CHANGED):
            raise ValueError(f"severity: a fact of type `{self.type}` needs a severity from 1 to 4")
        return self

    def numbered(self, number: int) -> Fact:
        """The fact as intake would publish it, received when it occurred."""
        return Fact(
            number=number,
            event_id=str(number),
            type=self.type,
            occurred_at=self.occurred_at,
            received_at=self.occurred_at,
            actor=self.actor,
            severity=self.severity,
            resolution_kind=self.resolution_kind,
        )


class SimulationRequest(BaseModel):
    """The facts of a ticket in intake's order, the instant to evaluate them to, and the customer, for their terms."""

    model_config = ConfigDict(frozen=True, strict=True)

    facts: Annotated[
        list[SimulatedFact],
        Field(
            min_length=1,
            max_length=10_000,
            json_schema_extra={  # the first, and only the first, is `opened`
                "allOf": [{"prefixItems": [{"properties": {"type": {"const": FactType.OPENED}}}]}],
                "contains": {"properties": {"type": {"const": FactType.OPENED}}},
                "maxContains": 1,
            },
        ),
    ]
    until: InstantInput
    customer: Annotated[Id, Field(max_length=10_000)] | None = None

    @model_validator(mode="after")
    def _check_opening(self) -> Self:
        opening, *others = self.facts
        if opening.type is not FactType.OPENED:
            raise ValueError("facts[0].type: the first fact must be `opened`")
        if any(fact.type is FactType.OPENED for fact in others):
            raise ValueError("facts: a ticket can be opened only once; use `reopened` to open it again")
        if self.until < opening.occurred_at:
            raise ValueError("until: must not be before the opening")
        return self

    def fact_log(self, policies: PolicyHistory) -> FactLog:
        """The facts as a timeline reads them, with the escalation that intake adds (docs/rules.md#5-16)."""
        opening, *later = self.facts
        if opening.category == "mishandled_request" and opening.sender_is_it_contact:
            later.insert(0, SimulatedFact(type=FactType.ESCALATED, occurred_at=opening.occurred_at))
        return FactLog.of(
            (fact.numbered(number) for number, fact in enumerate([opening, *later], 1)),
            policies,
            channel=opening.channel,
            category=opening.category,
            starts_at=opening.starts_at,
        )


def simulate(request: SimulationRequest, policies: Sequence[Policy]) -> JsonObject:
    """The timeline of these facts, by these versions of the policy. Raises SimulationError."""
    history = PolicyHistory.of(policies, request.customer)
    try:
        timeline = evaluate(request.fact_log(history), history, micros(request.until))
        return timeline_json(timeline)
    except ValueError as error:
        raise SimulationError(str(error)) from error
