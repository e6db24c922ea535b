"""What holds for every story that the escalator can be told (RULES 5)."""

from typing import Any

from escalator.domain.decisions import address
from escalator.domain.tiers import Case, Vacant
from hypothesis import given
from hypothesis import strategies as st
from support.deadline_events import LADDER, Telling
from tocsin.events import DeadlineEvent, EscalationEvent, Exhausted, Notify, StandDown, Withdraw

told = Telling()
MOVES = ("step", "step", "step", "held", "void", "end", "cycle", "run", "top")
vacancies = st.frozensets(st.integers(1, 6))
reasons = st.sampled_from(["resolved", "voided"])
instants = st.integers(0, 40).map(lambda quarters: quarters / 4)


@st.composite
def stories(draw: st.DrawFn) -> list[DeadlineEvent]:
    """Any order that sla-timer's rules allow and some that they do not: steps count up, the rest comes as it may."""
    events: list[DeadlineEvent] = []
    cycle, run, step, kept = 1, 1, 0, False
    for move in draw(st.lists(st.sampled_from(["step", "step", "step", "held", "void", "end", "cycle", "run", "top"]))):
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
                events.append(told.step(step, hours=at, **where))
            case "held":
                events.append(told.held(at, until=draw(st.none() | instants), **where))
            case "void":
                events.append(told.step_voided(draw(st.integers(1, 6)), at, **where))
            case "end":
                events.append(
                    told.ended(at, draw(st.sampled_from(["resolved", "voided"])), draw(st.booleans()), **where)
                )
            case "cycle":
                cycle, run, kept = cycle + 1, 1, draw(st.booleans())
                step = step if kept else 0
            case "run":
                run, step, kept = run + 1, 0, False
            case "top":
                events.append(told.exhausted(at, **where))
    return events


def run_through(events: list[DeadlineEvent], vacant: frozenset[int]) -> tuple[Case, list[EscalationEvent]]:
    case, decided = Case(), list[EscalationEvent]()
    for event in events:
        case, new = address(event, case, _vacancy(vacant))
        decided += new
    return case, decided


@given(stories(), vacancies)
def test_tiers_only_go_up_within_a_ladder(events: list[DeadlineEvent], vacant: frozenset[int]) -> None:
    case, _ = run_through(events, vacant)
    for ladder in case.ladders.values():
        numbers = [step.tier.number for _, step in case.told(ladder)]
        assert numbers == sorted(set(numbers))
        assert ladder.tier == (numbers[-1] if numbers else 0)


@given(stories(), vacancies)
def test_skipped_and_told_cover_the_ladder(events: list[DeadlineEvent], vacant: frozenset[int]) -> None:
    case, _ = run_through(events, vacant)
    for ladder in case.ladders.values():
        passed = [tier.number for _, step in case.told(ladder) for tier in (*step.skipped, step.tier)]
        passed += [tier.number for tier in ladder.skipped]
        assert passed == list(range(1, len(passed) + 1))
        if ladder.exhausted == "vacant":
            assert len(passed) == len(LADDER)


@given(stories(), vacancies)
def test_the_same_event_twice_changes_nothing(events: list[DeadlineEvent], vacant: frozenset[int]) -> None:
    case = Case()
    for event in events:
        case, _ = address(event, case, _vacancy(vacant))
        assert address(event, case, _vacancy(vacant)) == (case, ())


@given(stories(), vacancies)
def test_nobody_is_told_twice_and_nobody_stood_down_twice(events: list[DeadlineEvent], vacant: frozenset[int]) -> None:
    _, decided = run_through(events, vacant)
    notified = [event.event_id for event in decided if isinstance(event, Notify)]
    closed = [name for event in decided if isinstance(event, StandDown | Withdraw) for name in event.notifications]
    assert len(set(notified)) == len(notified)
    assert len(set(closed)) == len(closed)
    assert set(closed) <= set(notified)
    exhausted = [(event.cycle, event.run) for event in decided if isinstance(event, Exhausted)]
    assert len(set(exhausted)) == len(exhausted)


@given(stories(), vacancies)
def test_no_vacant_tier_is_addressed_and_none_below_a_filled_one_missed(
    events: list[DeadlineEvent], vacant: frozenset[int]
) -> None:
    _, decided = run_through(events, vacant)
    for event in decided:
        if isinstance(event, Notify) and event.tier is not None:
            assert event.tier.number not in vacant
            assert {tier.number for tier in event.skipped} <= vacant


def _vacancy(numbers: frozenset[int]) -> Vacant:
    return lambda tier, at: tier.number in numbers
