"""The order of a ticket's facts, and what each fact does to its status (docs/rules.md#0-facts-and-timelines)."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tocsin.events import Fact, FactType
from tocsin.lifecycle import (
    AppliedFact,
    StatusChange,
    TicketStatus,
    apply,
    in_order,
    is_automatic_response,
    replay,
    status_of,
    without_automatic_responses,
)

NOON = datetime(2026, 6, 8, 12, tzinfo=UTC)
OPEN = TicketStatus(severity=3)
ANSWERED = TicketStatus(severity=3, responded=True)
PAUSED = TicketStatus(severity=3, paused=True)
CANCELLED = TicketStatus(severity=3, closed=True)
RESOLVED = TicketStatus(severity=3, responded=True, closed=True)
WORKAROUND = StatusChange(FactType.RESOLVED, workaround=True)


def change(kind: FactType, severity: int = 0) -> StatusChange:
    return StatusChange(kind, severity)


def fact(number: int, kind: str, minutes: int = 0, **fields: Any) -> Fact:
    return Fact(
        number=number,
        event_id=f"e{number}",
        type=FactType(kind),
        occurred_at=NOON + timedelta(minutes=minutes),
        received_at=NOON + timedelta(days=1),
        **fields,
    )


@pytest.mark.rule("0.8")
@pytest.mark.parametrize(
    ("before", "happened", "after"),
    [
        (OPEN, change(FactType.RESPONDED), ANSWERED),
        (OPEN, change(FactType.SEVERITY_CHANGED, 1), TicketStatus(severity=1)),
        (OPEN, change(FactType.PAUSED), PAUSED),
        (PAUSED, change(FactType.RESUMED), OPEN),
        (PAUSED, change(FactType.RESPONDED), TicketStatus(severity=3, responded=True, paused=True)),
        (OPEN, change(FactType.RESOLVED), RESOLVED),
        (PAUSED, change(FactType.RESOLVED), RESOLVED),
        (OPEN, WORKAROUND, RESOLVED),
        (PAUSED, change(FactType.CANCELLED), CANCELLED),
        (CANCELLED, change(FactType.SEVERITY_CHANGED, 1), TicketStatus(severity=1, closed=True)),
        (CANCELLED, change(FactType.REOPENED), TicketStatus(severity=3, cycle=2)),
        (RESOLVED, change(FactType.REOPENED), TicketStatus(severity=3, responded=True, cycle=2)),
        (OPEN, change(FactType.ACKNOWLEDGED), OPEN),
        (PAUSED, change(FactType.ESCALATED), PAUSED),
        (OPEN, change(FactType.ASSESSED), OPEN),
        (CANCELLED, change(FactType.ASSESSED), CANCELLED),
        (CANCELLED, change(FactType.ASSIGNED), CANCELLED),
    ],
)
def test_a_possible_fact_changes_the_status(before: TicketStatus, happened: StatusChange, after: TicketStatus) -> None:
    assert apply(before, happened) == after


@pytest.mark.rule("3.6")
@pytest.mark.parametrize(
    ("pattern", "actors", "others"),
    [
        ("autoresponder", ["autoresponder"], ["Autoresponder", "autoresponder2", "an autoresponder", ""]),
        (
            "*@noreply.example.com",
            ["desk@noreply.example.com", "@noreply.example.com"],
            ["desk@noreply.example.com.it"],
        ),
        ("mailer-*-bot", ["mailer-7-bot", "mailer--bot", "mailer-a-b-bot"], ["mailer-bot", "mailer-7-bot "]),
        (
            "*robot*of*desk*",
            ["the robot of a desk", "robotofdesk", "robot of of desk desk"],
            ["desk of robot", "robot"],
        ),
        ("a?[b].", ["a?[b]."], ["axb", "a?b", "a?[b]x"]),
        ("*", ["anyone", "", "two\nlines"], []),
    ],
)
def test_an_actor_matches_exactly_or_by_an_asterisk(pattern: str, actors: list[str], others: list[str]) -> None:
    for actor in actors + others:
        response = fact(2, "responded", 1, actor=actor)
        assert is_automatic_response(response, [pattern]) == (actor in actors), actor
        assert is_automatic_response(response, ["somebody", pattern]) == (actor in actors)


@pytest.mark.rule("3.6")
def test_only_responses_with_an_actor_are_automatic() -> None:
    facts = [
        fact(1, "opened", severity=3),
        fact(2, "responded", 1, actor="robot"),
        fact(3, "responded", 2),
        fact(4, "resolved", 3, actor="robot"),
    ]
    assert without_automatic_responses(facts, ["robot", "*"]) == [facts[0], facts[2], facts[3]]
    assert without_automatic_responses(facts, []) == facts
    assert not status_of(without_automatic_responses(facts[:2], ["robot"])).responded


POSSIBLE_WHILE_CLOSED = (FactType.REOPENED, FactType.SEVERITY_CHANGED, FactType.ASSESSED, FactType.ASSIGNED)


@pytest.mark.rule("0.8", "3.14")
@pytest.mark.parametrize(
    ("status", "impossible"),
    [
        (OPEN, change(FactType.OPENED, 3)),
        (OPEN, change(FactType.RESUMED)),
        (OPEN, change(FactType.REOPENED)),
        (OPEN, change(FactType.SEVERITY_CHANGED, 3)),
        (OPEN, change(FactType.SEVERITY_CHANGED)),
        (PAUSED, change(FactType.PAUSED)),
        (ANSWERED, change(FactType.RESPONDED)),
        (TicketStatus(severity=1), WORKAROUND),
        *[(CANCELLED, change(kind)) for kind in FactType if kind not in POSSIBLE_WHILE_CLOSED],
    ],
)
def test_an_impossible_fact_changes_nothing(status: TicketStatus, impossible: StatusChange) -> None:
    assert apply(status, impossible) is None


@pytest.mark.rule("0.1")
def test_facts_are_immutable() -> None:
    opened = fact(1, "opened", severity=3)
    with pytest.raises(ValidationError, match="frozen"):
        opened.severity = 1  # type: ignore[misc]  # this is what must not work


@pytest.mark.rule("0.4")
def test_facts_apply_by_the_instant_they_occurred_and_then_by_their_number() -> None:
    facts = [fact(4, "paused", 5), fact(2, "resolved", 5), fact(3, "responded", 1), fact(1, "opened", severity=3)]
    assert [one.number for one in in_order(facts)] == [1, 3, 2, 4]


@pytest.mark.rule("0.3")
def test_a_fact_older_than_the_opening_applies_at_the_opening() -> None:
    facts = [fact(1, "opened", severity=3), fact(2, "severity_changed", severity=1), fact(3, "paused", -60)]
    assert [one.number for one in in_order(facts)] == [1, 2, 3]


def test_facts_without_the_opening_have_no_order() -> None:
    with pytest.raises(ValueError, match="opening"):
        in_order([fact(2, "responded")])


def test_a_replay_reports_impossible_facts() -> None:
    opened, resumed = fact(1, "opened", severity=3), fact(2, "resumed", 1)
    paused, resolved = fact(3, "paused", 2), fact(4, "resolved", 3)
    assert list(replay([opened, resumed, paused, resolved])) == [
        AppliedFact(resumed, OPEN, None),
        AppliedFact(paused, OPEN, PAUSED),
        AppliedFact(resolved, PAUSED, RESOLVED),
    ]


def test_a_severity_of_the_same_instant_decides_whether_a_workaround_counts() -> None:
    opened, workaround = fact(1, "opened", severity=1), fact(3, "resolved", 5, resolution_kind="workaround")
    assert status_of([opened, workaround]) == TicketStatus(severity=1)
    assert status_of([opened, workaround, fact(2, "severity_changed", 5, severity=2)]).closed
    assert not status_of([opened, workaround, fact(4, "severity_changed", 5, severity=2)]).closed


@given(
    drawn=st.lists(
        st.tuples(st.sampled_from(list(FactType)), st.integers(-5, 20), st.integers(1, 4), st.booleans()), max_size=8
    ),
    seed=st.integers(0, 99),
)
def test_the_order_of_arrival_does_not_matter(drawn: list[tuple[FactType, int, int, bool]], seed: int) -> None:
    facts = [fact(1, "opened", severity=2)]
    for kind, minutes, severity, workaround in drawn:
        resolution = ("workaround" if workaround else "resolved") if kind is FactType.RESOLVED else None
        facts.append(fact(len(facts) + 1, kind, minutes, severity=severity, resolution_kind=resolution))
    shuffled = facts[:]
    Random(seed).shuffle(shuffled)
    assert status_of(shuffled) == status_of(facts)
    assert list(replay(shuffled)) == list(replay(facts))
