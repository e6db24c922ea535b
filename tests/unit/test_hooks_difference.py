"""An update is a difference: whatever the order and number of deliveries, the timeline is that of the tool's story."""

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from intake.domain.webhooks.config.integrations import Status
from intake.domain.webhooks.reconcile import reconcile
from intake.domain.webhooks.ticket_state import Effect, State, effects
from intake.domain.webhooks.update import TicketUpdate, in_order
from sla_timer.domain.simulate import SimulationRequest, simulate
from support.search_budget import tries
from support.stories import shipped_policy
from tocsin.events import Fact, FactType

OPENED = datetime(2026, 6, 8, 12, 0, 7, 123456, tzinfo=UTC)
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


def taken_in(arriving: Sequence[TicketUpdate], known: Sequence[Fact] = ()) -> list[Fact]:
    """The facts that intake has once these were delivered, in this order."""
    facts = list(known)
    seen: list[TicketUpdate] = []
    for one in arriving:
        if one not in seen:
            seen.append(one)
        first = in_order(seen)[0].severity or 2
        if not facts:
            facts.append(fact(1, FactType.OPENED, OPENED, severity=first))
        for request in reconcile(seen, facts, actor="tool", opened_with=None if known else first):
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
    answer = simulate(SimulationRequest.model_validate_json(json.dumps(story)), [shipped_policy()])
    events = [event for event in answer["events"] if event["type"] != "ladder.held"]
    whole: dict[str, Any] = _to_the_second(answer | {"events": events})
    return whole


def _to_the_second(value: Any) -> Any:
    """What was late to be told of an instant may stand a microsecond before it; no instant here ends a second."""
    if isinstance(value, dict):
        return {name: _to_the_second(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_to_the_second(item) for item in value]
    if isinstance(value, float):
        return round(value, 3)
    return re.sub(r"\.\d{6}Z$", "Z", value) if isinstance(value, str) else value


def stands(facts: Sequence[Fact]) -> State:
    later = sorted(facts[1:], key=lambda fact: (fact.occurred_at, fact.number))
    return effects(State(facts[0].severity or 0), map(Effect.of, later))[0]._replace(responded=True)


def shown(hours: float, status: Status | None = None, severity: int | None = None, **fields: Any) -> TicketUpdate:
    return TicketUpdate(at=OPENED + hours * HOUR, status=status, severity=severity, **fields)


@st.composite
def stories(draw: st.DrawFn, shortest: float = 0.25, statuses: Sequence[Status] = STATUSES) -> list[TicketUpdate]:
    """What a tool shows of a ticket in the course of time; it is not always consistent, and often coarse."""
    story = []
    if draw(st.booleans()):
        story.append(shown(0, draw(st.sampled_from(STATUSES)), draw(st.integers(1, 4)), key="first"))
    at = OPENED + 2 * HOUR  # so that no instant of the tool's own is that of the opening
    for sequence in range(draw(st.integers(1, 6))):
        at += draw(st.sampled_from((shortest, 0.25, 0.5, 1, 2, 7, 24, 30, 100))) * HOUR
        status = draw(st.sampled_from((*statuses, None)))
        story.append(
            TicketUpdate(
                at=at,
                sequence=sequence,
                key=str(sequence),
                status=status,
                severity=None if status == "workaround" else draw(st.one_of(st.none(), st.integers(1, 4))),
                responded_at=draw(st.one_of(st.none(), st.just(at - timedelta(seconds=draw(st.integers(1, 5400)))))),
                resolved_at=draw(st.one_of(st.none(), st.just(at - timedelta(seconds=draw(st.integers(0, 5400)))))),
            )
        )
    return story


def disordered(data: st.DataObject, story: list[TicketUpdate]) -> list[TicketUpdate]:
    """The story's deliveries as they may come: some twice, in any order."""
    again = data.draw(st.lists(st.sampled_from(story), max_size=3))
    return data.draw(st.permutations([*story, *again]))


@settings(max_examples=tries(80))
@given(stories(), st.data())
def test_any_order_and_any_number_of_deliveries_end_in_the_same_timeline(
    story: list[TicketUpdate], data: st.DataObject
) -> None:
    assert timeline(taken_in(disordered(data, story))) == timeline(taken_in(story))


@settings(max_examples=tries(30))
@given(stories(shortest=0, statuses=[status for status in STATUSES if status != "workaround"]), st.data())
def test_where_several_were_of_one_instant_the_ticket_stands_as_the_last_one_showed_it(
    story: list[TicketUpdate], data: st.DataObject
) -> None:
    """Zero time lies between them: which severity governed a clock that ended just then is told by who came first."""
    facts, others = taken_in(story), taken_in(disordered(data, story))
    assert stands(facts) == stands(others)


@settings(max_examples=tries(30))
@given(stories(shortest=0), st.data())
def test_what_is_known_brings_no_fact(story: list[TicketUpdate], data: st.DataObject) -> None:
    facts = taken_in(disordered(data, story))
    assert reconcile(story, facts, actor="tool", opened_with=in_order(story)[0].severity or 2) == []


@settings(max_examples=tries(30))
@given(stories())
def test_after_its_last_sighting_a_ticket_stands_as_that_showed_it(story: list[TicketUpdate]) -> None:
    told = stands(taken_in(story))
    severities = [one.severity for one in story if one.severity is not None]
    if severities:
        assert told.severity == severities[-1]
    status = next((one.status for one in reversed(story) if one.status is not None), None)
    if status not in (None, "workaround"):
        assert told.closed == (status in ("resolved", "cancelled"))
        assert told.paused == (status == "waiting_customer")


def kinds(facts: Sequence[Fact]) -> list[str]:
    return [f"{item.type}@{(item.occurred_at - OPENED) / HOUR:g}" for item in facts]


def test_a_pause_that_a_late_resolve_has_made_impossible_is_told_again() -> None:
    pause, resolve = shown(4, "waiting_customer"), shown(2, "resolved")
    facts = taken_in([shown(0, "new", 3), pause, resolve])
    assert kinds(facts) == ["opened@0", "responded@4", "paused@4", "resolved@2", "reopened@4", "paused@4"]
    assert len({item.event_id for item in facts}) == len(facts)


def test_the_tools_own_instants_count() -> None:
    done = shown(9, "resolved", 3, responded_at=OPENED + HOUR, resolved_at=OPENED + 5 * HOUR)
    assert kinds(taken_in([done])) == ["opened@0", "responded@1", "resolved@5"]


def test_who_only_changed_a_ticket_later_did_not_end_it() -> None:
    bob, carol = (
        shown(hours, "resolved", resolved_at=OPENED + HOUR, actor=who) for hours, who in ((1, "bob"), (2, "carol"))
    )
    for story, who in (([bob, carol], "bob"), ([carol, bob], "tool")):
        (resolved,) = (fact for fact in taken_in([shown(0, severity=2), *story]) if fact.type is FactType.RESOLVED)
        assert resolved.actor == who


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            [("ann", "waiting_customer", None), ("bob", "resolved", None), ("cid", None, 1)],
            ["responded ann", "paused ann", "resolved bob", "severity_changed cid"],
        ),
        (
            [("ann", "waiting_customer", None), ("bob", "in_progress", None), ("cid", "waiting_customer", None)],
            ["responded ann", "paused ann", "resumed bob", "paused cid"],
        ),
        (
            [("ann", "resolved", None), ("bob", "in_progress", None), ("cid", "resolved", None)],
            ["resolved ann", "reopened bob", "resolved cid"],
        ),
        (
            [("ann", None, 1), ("bob", None, 3), ("cid", None, 1)],
            ["severity_changed ann", "severity_changed bob", "severity_changed cid"],
        ),
    ],
)
def test_of_those_who_changed_a_ticket_within_one_instant_each_is_named_for_what_they_did(
    said: Sequence[tuple[str, Status | None, int | None]], told: Sequence[str]
) -> None:
    seen = [
        shown(1, status, severity, actor=actor, word=f"{actor}'s", sequence=place, key=actor)
        for place, (actor, status, severity) in enumerate(said)
    ]
    first = shown(0, severity=2)
    opened = fact(1, FactType.OPENED, OPENED, severity=2)
    made = reconcile([first, *seen], [opened], actor="tool", opened_with=2)
    assert [f"{one.type} {one.actor}" for one in made] == told
    assert all(one.reason == (None if one.severity else f"{one.actor}'s") for one in made)


def test_what_is_not_said_stays() -> None:
    story = [shown(0, "new", 3), shown(1, "waiting_customer"), shown(2), shown(3, severity=2)]
    assert kinds(taken_in(story)) == ["opened@0", "responded@1", "paused@1", "severity_changed@3"]


def test_a_workaround_waits_until_it_is_none_on_severity_1() -> None:
    story = [shown(0, "new", 1), shown(2, "workaround")]
    assert kinds(taken_in(story)) == ["opened@0"]
    assert kinds(taken_in([*story, shown(1, severity=2)])) == ["opened@0", "severity_changed@1", "resolved@2"]


def test_what_was_posted_by_others_is_known() -> None:
    posted = [
        fact(1, FactType.OPENED, OPENED, severity=2),
        fact(2, FactType.RESPONDED, OPENED + HOUR),
        fact(3, FactType.RESOLVED, OPENED + 2 * HOUR, resolution_kind="resolved"),
    ]
    assert kinds(taken_in([shown(3, "resolved", 2)], posted)[3:]) == []
    assert kinds(taken_in([shown(3, "responded", 1)], posted)[3:]) == ["reopened@3", "severity_changed@3"]


def test_a_tool_whose_clock_is_ahead_still_gives_the_order() -> None:
    closed = shown(1, "resolved", seen_at=OPENED + 3 * HOUR)
    before = shown(1.5, "in_progress", seen_at=OPENED + 2 * HOUR)
    assert stands(taken_in([shown(0, "new", 3), closed, before])).closed
