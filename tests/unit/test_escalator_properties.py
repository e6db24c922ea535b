"""Properties of every sequence of deadline events (docs/rules.md#5-escalation-ladder)."""

from typing import Any

import pytest
from escalator.domain.decisions import decide
from escalator.domain.tiers import IsVacant, TicketEscalation
from hypothesis import given
from hypothesis import strategies as st
from support.deadline_events import LADDER, DeadlineEventFactory
from tocsin.events import DeadlineEvent, EscalationEvent, Exhausted, Notify, StandDown, Withdraw

timer = DeadlineEventFactory()
MOVES = ("step", "step", "step", "held", "continued", "void", "end", "cycle", "run", "top")
vacant_numbers = st.frozensets(st.integers(1, 6))
instants = st.integers(0, 40).map(lambda quarters: quarters / 4)


@st.composite
def event_sequences(draw: st.DrawFn) -> list[DeadlineEvent]:
    """Every order that sla-timer can publish, and more: steps count up, everything else is random."""
    events: list[DeadlineEvent] = []
    cycle, run, step, kept = 1, 1, 0, False
    for move in draw(st.lists(st.sampled_from(MOVES))):
        where: dict[str, Any] = {
            "cycle": cycle,
            "run": run,
            "kept": kept,
            "historic": draw(st.booleans()) and not events,
        }
        at = draw(instants)
        match move:
            case "step":
                step += 1
                events.append(timer.step(step, hours=at, **where))
            case "held":
                events.append(timer.held(at, until=draw(st.none() | instants), **where))
            case "continued":
                following, exhausted = draw(st.none() | instants), draw(st.none() | instants)
                events.append(timer.continued(at, following, exhausted=exhausted, held=draw(st.booleans()), **where))
            case "void":
                events.append(timer.step_voided(draw(st.integers(1, 6)), at, **where))
            case "end":
                events.append(
                    timer.ended(at, draw(st.sampled_from(["resolved", "voided"])), draw(st.booleans()), **where)
                )
            case "cycle":
                cycle, run, kept = cycle + 1, 1, draw(st.booleans())
                step = step if kept else 0
            case "run":
                run, step, kept = run + 1, 0, False
            case "top":
                events.append(timer.exhausted(at, **where))
    return events


def run_through(events: list[DeadlineEvent], vacant: frozenset[int]) -> tuple[TicketEscalation, list[EscalationEvent]]:
    escalation, decided = TicketEscalation(), list[EscalationEvent]()
    for event in events:
        escalation, new = decide(event, escalation, _vacancy(vacant))
        decided += new
    return escalation, decided


@given(event_sequences(), vacant_numbers)
def test_tiers_only_go_up_within_a_ladder(events: list[DeadlineEvent], vacant: frozenset[int]) -> None:
    escalation, _ = run_through(events, vacant)
    for run in escalation.runs.values():
        numbers = [step.tier.number for _, step in escalation.all_steps(run)]
        assert numbers == sorted(set(numbers))
        assert run.tier == (numbers[-1] if numbers else 0)


@given(event_sequences(), vacant_numbers)
def test_notified_and_skipped_tiers_cover_the_ladder_from_the_bottom(
    events: list[DeadlineEvent], vacant: frozenset[int]
) -> None:
    escalation, _ = run_through(events, vacant)
    for run in escalation.runs.values():
        passed = [tier.number for _, step in escalation.all_steps(run) for tier in (*step.skipped, step.tier)]
        passed += [tier.number for tier in run.skipped]
        assert passed == list(range(1, len(passed) + 1))
        if run.exhausted == "vacant":
            assert len(passed) == len(LADDER)


@given(event_sequences(), vacant_numbers)
def test_a_repeated_event_changes_nothing(events: list[DeadlineEvent], vacant: frozenset[int]) -> None:
    escalation = TicketEscalation()
    for event in events:
        escalation, _ = decide(event, escalation, _vacancy(vacant))
        assert decide(event, escalation, _vacancy(vacant)) == (escalation, ())


@given(event_sequences(), vacant_numbers)
@pytest.mark.rule("4.20")
def test_nothing_is_notified_or_closed_twice(events: list[DeadlineEvent], vacant: frozenset[int]) -> None:
    _, decided = run_through(events, vacant)
    notified = [event.event_id for event in decided if isinstance(event, Notify | Exhausted)]
    closed = [name for event in decided if isinstance(event, StandDown | Withdraw) for name in event.notifications]
    assert len(set(notified)) == len(notified)
    assert len(set(closed)) == len(closed)
    assert set(closed) <= set(notified)
    exhausted = [(event.cycle, event.run) for event in decided if isinstance(event, Exhausted)]
    assert len(set(exhausted)) == len(exhausted)


@given(event_sequences(), vacant_numbers)
@pytest.mark.rule("5.19")
def test_only_vacant_tiers_are_skipped(events: list[DeadlineEvent], vacant: frozenset[int]) -> None:
    _, decided = run_through(events, vacant)
    for event in decided:
        if isinstance(event, Notify) and event.tier is not None:
            assert event.tier.number not in vacant
            assert {tier.number for tier in event.skipped} <= vacant


def _vacancy(numbers: frozenset[int]) -> IsVacant:
    return lambda tier, at: tier.number in numbers
