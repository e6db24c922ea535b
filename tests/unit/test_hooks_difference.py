"""An update is a difference: whatever the order and number of deliveries, the timeline is that of the tool's story."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from intake.hooks.difference import difference
from intake.hooks.mapping import Status
from intake.hooks.shown import Shown, in_order
from sla_timer.simulate import StoryRequest, simulate
from stories import shipped_policy
from tocsin.events import Fact, FactType

OPENED = datetime(2026, 6, 8, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
UNTIL = OPENED + timedelta(days=60)
STATUSES: tuple[Status, ...] = (
    "new",
    "in_progress",
    "responded",
    "waiting_customer",
    "resolved",
    "workaround",
    "cancelled",
)


def taken_in(arriving: Sequence[Shown], known: Sequence[Fact] = ()) -> list[Fact]:
    """The facts that intake has once these were delivered, in this order."""
    facts = list(known)
    seen: list[Shown] = []
    for one in arriving:
        if one not in seen:
            seen.append(one)
        first = in_order(seen)[0].severity or 2
        if not facts:
            facts.append(fact(1, FactType.OPENED, OPENED, severity=first))
        for request in difference(seen, facts, actor="tool", opened_with=None if known else first):
            assert request.event_id is not None
            assert request.event_id not in {earlier.event_id for earlier in facts}
            facts.append(
                Fact(
                    number=len(facts) + 1,
                    received_at=UNTIL,
                    event_id=request.event_id,
                    **request.model_dump(exclude={"event_id"}),
                )
            )
    return facts


def fact(number: int, kind: FactType, at: datetime, **fields: Any) -> Fact:
    return Fact(number=number, event_id=f"{kind}:{number}", type=kind, occurred_at=at, received_at=UNTIL, **fields)


def timeline(facts: Sequence[Fact]) -> dict[str, Any]:
    """What the facts come to, but for how often a ladder was told to be held while it was."""
    told = [item.model_dump(mode="json", exclude_none=True) for item in facts]
    story = {"facts": told, "until": UNTIL.isoformat()}
    answer = simulate(StoryRequest.model_validate_json(json.dumps(story)), [shipped_policy()])
    return answer | {"events": [event for event in answer["events"] if event["type"] != "ladder.held"]}


def shown(hours: float, status: Status | None = None, severity: int | None = None, **fields: Any) -> Shown:
    return Shown(at=OPENED + hours * HOUR, status=status, severity=severity, **fields)


@st.composite
def stories(draw: st.DrawFn) -> list[Shown]:
    """What a tool shows of a ticket in the course of time; it is not always consistent, and often coarse."""
    at = OPENED
    story = []
    if draw(st.booleans()):
        story.append(shown(0, draw(st.sampled_from(STATUSES)), draw(st.integers(1, 4)), key="first"))
    at += 2 * HOUR  # so that no instant of the tool's own is that of the opening
    for sequence in range(draw(st.integers(1, 6))):
        at += draw(st.sampled_from((0, 0.25, 0.5, 1, 2, 7, 24, 30, 100))) * HOUR
        status = draw(st.sampled_from((*STATUSES, None)))
        if story and story[-1].at == at and "cancelled" in (status, *(one.status for one in story if one.at == at)):
            at += timedelta(seconds=1)
        story.append(
            Shown(
                at=at,
                sequence=sequence,
                key=str(sequence),
                status=status,
                # Which of two severities of one instant counts is told where it is first told, not undone.
                severity=None if story and story[-1].at == at else draw(st.one_of(st.none(), st.integers(1, 4))),
                responded_at=draw(st.one_of(st.none(), st.just(at - timedelta(minutes=draw(st.integers(1, 90)))))),
                resolved_at=draw(st.one_of(st.none(), st.just(at - timedelta(minutes=draw(st.integers(0, 90)))))),
            )
        )
    return story


@settings(max_examples=400)
@given(stories(), st.data())
def test_any_order_and_any_number_of_deliveries_end_in_the_same_timeline(
    story: list[Shown], data: st.DataObject
) -> None:
    again = data.draw(st.lists(st.sampled_from(story), max_size=3))
    arriving = data.draw(st.permutations([*story, *again]))
    ordered, disordered = taken_in(story), taken_in(arriving)
    assert timeline(ordered) == timeline(disordered), [(f.type, f.occurred_at) for f in disordered]
