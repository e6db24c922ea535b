"""Reconciling updates with facts: whatever the order and number of deliveries, the timeline is the same."""

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
from intake.domain.webhooks.update import TicketUpdate, sort_updates
from sla_timer.domain.simulate import SimulationRequest, simulate
from support.search_budget import tries
from support.stories import shipped_policy
from tocsin.events import Fact, FactType
from tocsin.lifecycle import TicketStatus, status_of

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


def deliver(updates: Sequence[TicketUpdate], posted: Sequence[Fact] = ()) -> list[Fact]:
    """The facts of the ticket once these updates have been delivered in this order."""
    facts = list(posted)
    delivered: list[TicketUpdate] = []
    for update in updates:
        if update not in delivered:
            delivered.append(update)
        opened_with = sort_updates(delivered)[0].severity or 2
        if not facts:
            facts.append(fact(1, FactType.OPENED, OPENED, severity=opened_with))
        for event in reconcile(delivered, facts, actor="tool", opened_with=None if posted else opened_with):
            assert event.event_id not in {earlier.event_id for earlier in facts}
            facts.append(Fact(number=len(facts) + 1, received_at=UNTIL, **event.model_dump()))
    return facts


def fact(number: int, kind: FactType, at: datetime, **fields: Any) -> Fact:
    return Fact(number=number, event_id=f"{kind}:{number}", type=kind, occurred_at=at, received_at=UNTIL, **fields)


def timeline(facts: Sequence[Fact]) -> dict[str, Any]:
    """The timeline of these facts, without repeated holds of a ladder."""
    story = {"facts": [each.model_dump(mode="json", exclude_none=True) for each in facts], "until": UNTIL.isoformat()}
    answer = simulate(SimulationRequest.model_validate_json(json.dumps(story)), [shipped_policy()])
    events = [event for event in answer["events"] if event["type"] != "ladder.held"]
    found: dict[str, Any] = to_the_second(answer | {"events": events})
    return found


def to_the_second(value: Any) -> Any:
    """Without fractions of seconds: a late fact may be a microsecond early, and no instant here ends a second."""
    if isinstance(value, dict):
        return {name: to_the_second(item) for name, item in value.items()}
    if isinstance(value, list):
        return [to_the_second(item) for item in value]
    if isinstance(value, float):
        return round(value, 3)
    return re.sub(r"\.\d{6}Z$", "Z", value) if isinstance(value, str) else value


def final_status(facts: Sequence[Fact]) -> TicketStatus:
    """The status after all facts, but for the number of cycles and whether there was a response."""
    return status_of(facts)._replace(cycle=1, responded=True)


def at(hours: float, status: Status | None = None, severity: int | None = None, **fields: Any) -> TicketUpdate:
    return TicketUpdate(at=OPENED + hours * HOUR, status=status, severity=severity, **fields)


@st.composite
def stories(draw: st.DrawFn, shortest: float = 0.25, statuses: Sequence[Status] = STATUSES) -> list[TicketUpdate]:
    """The updates of a ticket in the order of time; they are not always consistent, and often incomplete."""
    story = []
    if draw(st.booleans()):
        story.append(at(0, draw(st.sampled_from(STATUSES)), draw(st.integers(1, 4)), delivery_key="first"))
    now = OPENED + 2 * HOUR  # so that the tool's own instants are after the opening
    for sequence in range(draw(st.integers(1, 6))):
        now += draw(st.sampled_from((shortest, 0.25, 0.5, 1, 2, 7, 24, 30, 100))) * HOUR
        status = draw(st.sampled_from((*statuses, None)))
        story.append(
            TicketUpdate(
                at=now,
                sequence=sequence,
                delivery_key=str(sequence),
                status=status,
                severity=None if status == "workaround" else draw(st.one_of(st.none(), st.integers(1, 4))),
                responded_at=draw(st.one_of(st.none(), st.just(now - timedelta(seconds=draw(st.integers(1, 5400)))))),
                resolved_at=draw(st.one_of(st.none(), st.just(now - timedelta(seconds=draw(st.integers(0, 5400)))))),
            )
        )
    return story


def shuffled(data: st.DataObject, story: list[TicketUpdate]) -> list[TicketUpdate]:
    """The updates of a story in any order, some twice."""
    repeated = data.draw(st.lists(st.sampled_from(story), max_size=3))
    return data.draw(st.permutations([*story, *repeated]))


@settings(max_examples=tries(80))
@given(stories(), st.data())
def test_every_order_and_number_of_deliveries_leads_to_the_same_timeline(
    story: list[TicketUpdate], data: st.DataObject
) -> None:
    assert timeline(deliver(shuffled(data, story))) == timeline(deliver(story))


@settings(max_examples=tries(30))
@given(stories(shortest=0, statuses=[status for status in STATUSES if status != "workaround"]), st.data())
def test_updates_of_one_instant_lead_to_the_status_of_the_last_one(
    story: list[TicketUpdate], data: st.DataObject
) -> None:
    """Their timelines may differ: the delivery order decides under which severity a clock ended at that instant."""
    assert final_status(deliver(story)) == final_status(deliver(shuffled(data, story)))


@settings(max_examples=tries(30))
@given(stories(shortest=0), st.data())
def test_a_known_story_adds_no_facts(story: list[TicketUpdate], data: st.DataObject) -> None:
    facts = deliver(shuffled(data, story))
    assert reconcile(story, facts, actor="tool", opened_with=sort_updates(story)[0].severity or 2) == []


@settings(max_examples=tries(30))
@given(stories())
def test_the_last_update_decides_the_status(story: list[TicketUpdate]) -> None:
    found = final_status(deliver(story))
    severities = [update.severity for update in story if update.severity is not None]
    if severities:
        assert found.severity == severities[-1]
    status = next((update.status for update in reversed(story) if update.status is not None), None)
    if status not in (None, "workaround"):
        assert found.closed == (status in ("resolved", "cancelled"))
        assert found.paused == (status == "waiting_customer")


def kinds(facts: Sequence[Fact]) -> list[str]:
    return [f"{each.type}@{(each.occurred_at - OPENED) / HOUR:g}" for each in facts]


def test_a_pause_that_a_late_resolve_makes_impossible_is_added_again() -> None:
    facts = deliver([at(0, "new", 3), at(4, "waiting_customer"), at(2, "resolved")])
    assert kinds(facts) == ["opened@0", "responded@4", "paused@4", "resolved@2", "reopened@4", "paused@4"]


def test_a_late_response_of_the_same_instant_counts_although_the_ticket_was_cancelled_then() -> None:
    cancelled = at(1, "cancelled", sequence=2, delivery_key="2")
    facts = deliver([at(0, "new", 3), cancelled, at(1, "responded", sequence=1, delivery_key="1")])
    assert kinds(facts) == ["opened@0", "cancelled@1", "reopened@1", "responded@1", "cancelled@1"]


def test_the_tools_own_instants_are_used() -> None:
    done = at(9, "resolved", 3, responded_at=OPENED + HOUR, resolved_at=OPENED + 5 * HOUR)
    assert kinds(deliver([done])) == ["opened@0", "responded@1", "resolved@5"]


def test_the_actor_of_a_later_update_did_not_resolve_the_ticket() -> None:
    bob, carol = (
        at(hours, "resolved", resolved_at=OPENED + HOUR, actor=actor) for hours, actor in ((1, "bob"), (2, "carol"))
    )
    for story, actor in (([bob, carol], "bob"), ([carol, bob], "tool")):
        (resolved,) = (each for each in deliver([at(0, severity=2), *story]) if each.type is FactType.RESOLVED)
        assert resolved.actor == actor


@pytest.mark.parametrize(
    ("updates", "expected"),
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
            [("ann", None, 1), ("bob", None, 3), ("cid", None, 1)],
            ["severity_changed ann", "severity_changed bob", "severity_changed cid"],
        ),
    ],
)
def test_each_actor_of_one_instant_is_named_for_their_own_changes(
    updates: Sequence[tuple[str, Status | None, int | None]], expected: Sequence[str]
) -> None:
    story = [
        at(1, status, severity, actor=actor, tool_status=f"{actor}'s", sequence=sequence, delivery_key=actor)
        for sequence, (actor, status, severity) in enumerate(updates)
    ]
    opened = fact(1, FactType.OPENED, OPENED, severity=2)
    events = reconcile([at(0, severity=2), *story], [opened], actor="tool", opened_with=2)
    assert [f"{event.type} {event.actor}" for event in events] == expected
    assert all(event.reason == (None if event.severity else f"{event.actor}'s") for event in events)


def test_an_update_leaves_what_it_does_not_state() -> None:
    story = [at(0, "new", 3), at(1, "waiting_customer"), at(2), at(3, severity=2)]
    assert kinds(deliver(story)) == ["opened@0", "responded@1", "paused@1", "severity_changed@3"]


@pytest.mark.rule("3.14")
def test_a_workaround_is_added_once_the_severity_allows_it() -> None:
    story = [at(0, "new", 1), at(2, "workaround")]
    assert kinds(deliver(story)) == ["opened@0"]
    assert kinds(deliver([*story, at(1, severity=2)])) == ["opened@0", "severity_changed@1", "resolved@2"]


def test_facts_posted_by_others_are_not_repeated() -> None:
    posted = [
        fact(1, FactType.OPENED, OPENED, severity=2),
        fact(2, FactType.RESPONDED, OPENED + HOUR),
        fact(3, FactType.RESOLVED, OPENED + 2 * HOUR, resolution_kind="resolved"),
    ]
    assert kinds(deliver([at(3, "resolved", 2)], posted)[3:]) == []
    assert kinds(deliver([at(3, "responded", 1)], posted)[3:]) == ["reopened@3", "severity_changed@3"]


@pytest.mark.rule("3.6")
def test_neither_facts_nor_updates_of_automatic_actors_are_responses() -> None:
    opened = fact(1, FactType.OPENED, OPENED, severity=2)
    receipt = fact(2, FactType.RESPONDED, OPENED + HOUR, actor="robot")
    story = [
        at(1, "responded", actor="robot"),
        at(2, "waiting_customer", actor="robot"),
        at(3, "responded", actor="Bob"),
    ]
    for known in ([opened], [opened, receipt]):
        found = reconcile(story, known, actor="tool", automatic_actors=["rob*"])
        assert [(event.type, event.occurred_at, event.actor) for event in found] == [
            ("paused", OPENED + 2 * HOUR, "robot"),
            ("responded", OPENED + 3 * HOUR, "Bob"),
            ("resumed", OPENED + 3 * HOUR, "Bob"),
        ]
        derived = [
            Fact(number=10 + number, received_at=UNTIL, **event.model_dump()) for number, event in enumerate(found)
        ]
        assert reconcile(story, [*known, *derived], actor="tool", automatic_actors=["rob*"]) == []
    assert [event.type for event in reconcile(story, [opened], actor="tool")] == ["responded", "paused", "resumed"]
    unnamed = [at(1, "responded")]
    assert reconcile(unnamed, [opened], actor="tool", automatic_actors=["tool"]) == []


@pytest.mark.rule("3.6")
def test_a_person_who_acts_at_the_instant_of_an_automatic_actor_has_responded() -> None:
    opened = fact(1, FactType.OPENED, OPENED, severity=2)
    story = [
        at(1, "responded", actor="robot", sequence=1, delivery_key="1"),
        at(1, "responded", sequence=2, delivery_key="2"),
    ]
    [event] = reconcile(story, [opened], actor="tool", automatic_actors=["robot"])
    assert (event.type, event.actor) == ("responded", "tool")


def test_the_tools_clock_decides_the_order_even_if_it_is_ahead() -> None:
    closed = at(1, "resolved", seen_at=OPENED + 3 * HOUR)
    before = at(1.5, "in_progress", seen_at=OPENED + 2 * HOUR)
    assert final_status(deliver([at(0, "new", 3), closed, before])).closed
