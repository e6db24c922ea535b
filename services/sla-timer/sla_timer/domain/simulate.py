"""Stories in, timelines out, as JSON: simulation by HTTP and command line, and the clocks of a live ticket."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from tocsin.business_time import SECOND, micros
from tocsin.business_time import render as render_anew
from tocsin.events import Category, Channel, FactType, SeverityInput
from tocsin.instants import InstantInput
from tocsin.policy import Policy

from sla_timer.domain.clock import Clock
from sla_timer.domain.fact_log import Rulebook, Step, Story
from sla_timer.domain.timeline import Timeline
from sla_timer.domain.timeline_events import Happening, Kind

Answer = dict[str, Any]
# The same instants come again and again in one answer.
render = lru_cache(maxsize=1024)(render_anew)


class StoryFact(BaseModel):
    """One fact of a story. Fields that a timeline does not use are passed over: recorded facts can be pasted."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        json_schema_extra={  # what `_severity_is_given` asks for
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
    sender_is_it_contact: bool = False

    @model_validator(mode="after")
    def _severity_is_given(self) -> Self:
        if self.severity is None and self.type in (FactType.OPENED, FactType.SEVERITY_CHANGED):
            raise ValueError(f"severity: a fact of type {self.type} needs a severity from 1 to 4")
        return self


class StoryRequest(BaseModel):
    """A story: its facts in intake's order, the instant to which it is told, and whose policy it is told by."""

    model_config = ConfigDict(frozen=True, strict=True)

    facts: Annotated[
        list[StoryFact],
        Field(
            min_length=1,
            max_length=10_000,
            json_schema_extra={  # the first is the one that opens
                "allOf": [{"prefixItems": [{"properties": {"type": {"const": FactType.OPENED}}}]}],
                "contains": {"properties": {"type": {"const": FactType.OPENED}}},
                "maxContains": 1,
            },
        ),
    ]
    until: InstantInput
    customer: Annotated[str | None, Field(max_length=10_000)] = None

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        opening, *others = self.facts
        if opening.type is not FactType.OPENED:
            raise ValueError("facts[0].type: the first fact must be `opened`")
        if any(fact.type is FactType.OPENED for fact in others):
            raise ValueError("facts: a ticket is opened once; what opens it again is `reopened`")
        if self.until < opening.occurred_at:
            raise ValueError("until: the story cannot be told to an instant before its opening")
        return self


def simulate(request: StoryRequest, policies: Sequence[Policy]) -> Answer:
    """The timeline of a story, as DESIGN's contracts give it. Raises ValueError where a calendar does not reach."""
    until = micros(request.until)
    opening = request.facts[0]
    facts = request.facts
    if opening.category == "mishandled_request" and opening.sender_is_it_contact:
        # Intake gives such a ticket this very fact (RULES 5, the last clause).
        facts = [opening, StoryFact(type=FactType.ESCALATED, occurred_at=opening.occurred_at), *facts[1:]]
    steps = (
        Step(micros(fact.occurred_at), number, fact.type, fact.severity or 0, fact.resolution_kind == "workaround")
        for number, fact in enumerate(facts, start=1)
        # Later facts are not seen, not even by what comes next.
        if fact.occurred_at <= request.until
    )
    story = Story(steps, opening.channel)
    rulebook = Rulebook(policies, request.customer)
    return answer(Timeline(story, rulebook).tell(until), until)


def answer(timeline: Timeline, until: int) -> Answer:
    """What stands at `until`, to which the timeline has been told. Tells it on, to look at what comes next."""
    body: Answer = {
        "policy_version": timeline.rulebook.versions[timeline.version],
        "severity": timeline.severity,
        "first_responded_at": _instant(timeline.responded_at),
        "next_at": None,
        "next": None,
        "clocks": [_clock(timeline, clock, until) for clock in timeline.clocks],
        "ladder": [
            {"step": told.step, "tier": told.step, "at": render(told.at), "reason": told.reason}
            for told in timeline.happenings
            if told.kind is Kind.STEP_DUE
        ],
        "exhausted_at": _instant(timeline.exhausted_at),
        "events": [_event(happening) for happening in timeline.happenings],
    }
    upcoming = timeline.upcoming()
    if upcoming is not None:
        body["next_at"] = render(upcoming.at)
        body["next"] = _name(upcoming)
    return body


def _clock(timeline: Timeline, clock: Clock, until: int) -> Answer:
    end = until if clock.ended_at is None else clock.ended_at
    net = clock.net_until(until) if clock.ended_at is None else clock.net
    return {
        "cycle": clock.cycle,
        "clock": clock.name,
        "provisional": clock.provisional,
        "started_at": render(clock.started_at),
        "warn_at": _instant(clock.warn),
        "due_at": _instant(clock.due),
        "ended_at": _instant(clock.ended_at),
        "breached_at": _instant(clock.breached_at),
        "outcome": timeline.outcome(clock),
        "gross_seconds": (end - clock.started_at) / SECOND,
        "net_seconds": net / SECOND,
    }


def _event(happening: Happening) -> Answer:
    event: Answer = {"at": render(happening.at), "type": happening.kind, "cycle": happening.cycle}
    if happening.clock is not None:
        event["clock"] = happening.clock
        event["due_at"] = _instant(happening.due_at)
    if happening.step is not None:
        event["step"] = happening.step
    if happening.reason is not None:
        event["reason"] = happening.reason
    if happening.held_by is not None:
        event["by"] = happening.held_by
        event["until"] = _instant(happening.next_at)
    return event


def _name(happening: Happening) -> str:
    match happening.kind:
        case Kind.WARNED:
            return f"warning:{happening.clock}"
        case Kind.BREACHED:
            return f"breach:{happening.clock}"
        case Kind.STEP_DUE:
            return f"step:{happening.step}"
        case _:
            return "exhausted"


def _instant(at: int | None) -> str | None:
    return None if at is None else render(at)
