"""Properties of every timeline, over random stories and calendars."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sla_timer.domain.clock import ClockOutcome
from sla_timer.domain.evaluate import evaluate
from sla_timer.domain.fact_log import FactLog
from sla_timer.domain.ledger import ledger, remaining_json
from sla_timer.domain.policy_history import PolicyHistory
from sla_timer.domain.published_ladder import PublishedLadder
from sla_timer.domain.reconcile import reconcile
from sla_timer.domain.timeline import Timeline
from sla_timer.domain.timeline_events import LADDER, EventKey, EventKind
from sla_timer.domain.timeline_json import timeline_json
from support.fake_timer import FakeTimer, shipped_history
from support.search_budget import tries
from support.stories import DEFAULT_POLICY
from tocsin.business_time import SECOND, micros
from tocsin.events import Assignee, DeadlineEvent, Fact, FactType, Impact, LadderContinued
from tocsin.policy import load_policy

OPENED = datetime(2026, 7, 1, 12, tzinfo=UTC)
LATER = [kind for kind in FactType if kind is not FactType.OPENED]
OPENING_HOURS = (
    ("America/New_York", "monday-friday: 08:00-17:00"),
    ("Europe/Rome", "monday-friday: 08:00-12:00, 13:00-18:00"),
    ("Australia/Lord_Howe", "monday-saturday: 09:00-24:00"),
    ("Asia/Kolkata", "tuesday-sunday: 00:00-24:00"),
)
"""Calendars in zones with whole and half hours, north and south; the first is the shipped one."""
CALENDARS = st.integers(0, len(OPENING_HOURS) - 1)


REQUESTS = st.fixed_dictionaries(
    {"category": st.sampled_from(("incident", "onboarding", "project"))},
    optional={"starts_at": st.integers(-48, 1500).map(lambda hours: OPENED + timedelta(hours=hours))},
)
"""The fields of a ticket that decide what its resolution clock measures."""


@lru_cache
def history(calendar: int = 0) -> PolicyHistory:
    """The shipped policy on one of the calendars."""
    if calendar == 0:
        return shipped_history()
    zone, opened = OPENING_HOURS[calendar]
    text = DEFAULT_POLICY.read_text().replace("America/New_York", zone).replace(OPENING_HOURS[0][1], opened)
    return PolicyHistory.of([load_policy(text, "policy.yaml")], None)


@lru_cache
def history_with_holiday(holiday: date) -> PolicyHistory:
    text = DEFAULT_POLICY.read_text().replace("added: []", f"added: [{holiday}]")
    return PolicyHistory.of([load_policy(text, "policy.yaml")], None)


@st.composite
def stories(draw: st.DrawFn, most: int = 9) -> list[Fact]:
    """A ticket's numbered facts in the order of their instants, several at one instant now and then."""
    story = [_fact(1, FactType.OPENED, OPENED, draw(st.integers(1, 4)))]
    at = OPENED
    for number in range(2, 2 + draw(st.integers(0, most))):
        at += draw(
            st.one_of(
                st.just(timedelta(0)),
                st.integers(1, 72).map(lambda hours: timedelta(hours=hours)),
                st.integers(1, 10**10).map(lambda micros: timedelta(microseconds=micros)),
                st.integers(1, 10).map(lambda days: timedelta(days=days)),
            )
        )
        story.append(_fact(number, draw(st.sampled_from(LATER)), at, draw(st.integers(1, 4))))
    return story


def _fact(number: int, kind: FactType, at: datetime, severity: int) -> Fact:
    return Fact(
        number=number,
        event_id=str(number),
        type=kind,
        occurred_at=at,
        received_at=at,
        severity=severity if kind in (FactType.OPENED, FactType.SEVERITY_CHANGED) else None,
        resolution_kind="workaround" if kind is FactType.RESOLVED and severity == 4 else None,
        impact=Impact(business_risk="catastrophic") if kind is FactType.ASSESSED and severity < 4 else None,
        assignee=Assignee(name=f"Maya {severity}") if kind is FactType.ASSIGNED and severity < 4 else None,
    )


def log_of(story: Sequence[Fact], request: dict[str, Any], calendar: int = 0) -> FactLog:
    return FactLog.of(story, history(calendar), channel="email", **request)


def timeline_of(story: Sequence[Fact], until: datetime, request: dict[str, Any], calendar: int = 0) -> Timeline:
    return evaluate(log_of(story, request, calendar), history(calendar), micros(until))


@pytest.mark.rule("0.4")
@given(
    story=stories(),
    request=REQUESTS,
    calendar=CALENDARS,
    extra=st.integers(0, 400),
    random=st.randoms(use_true_random=False),
)
def test_order_of_arrival_and_duplicates_change_nothing(
    story: list[Fact], request: dict[str, Any], calendar: int, extra: int, random: Random
) -> None:
    until = story[-1].occurred_at + timedelta(hours=extra)
    shuffled = story + story[: extra % len(story)]
    random.shuffle(shuffled)
    assert timeline_of(shuffled, until, request, calendar) == timeline_of(story, until, request, calendar)


@pytest.mark.rule("0.5")
@given(story=stories(), request=REQUESTS, later=stories(), calendar=CALENDARS, extra=st.integers(0, 400))
def test_a_timeline_does_not_depend_on_later_facts(
    story: list[Fact], request: dict[str, Any], later: list[Fact], calendar: int, extra: int
) -> None:
    until = story[-1].occurred_at + timedelta(hours=extra)
    shift = until - OPENED + timedelta(microseconds=1)
    future = [
        fact.model_copy(update={"number": fact.number + 100, "occurred_at": fact.occurred_at + shift})
        for fact in later[1:]
    ]
    assert timeline_of([*story, *future], until, request, calendar) == timeline_of(story, until, request, calendar)


@given(story=stories(), request=REQUESTS, calendar=CALENDARS, extra=st.integers(0, 400))
def test_the_agenda_is_what_a_later_evaluation_finds(
    story: list[Fact], request: dict[str, Any], calendar: int, extra: int
) -> None:
    until = story[-1].occurred_at + timedelta(hours=extra)
    log = log_of(story, request, calendar)
    timeline = evaluate(log, history(calendar), micros(until), whole_agenda=True)
    nearest = evaluate(log, history(calendar), micros(until))
    assert nearest.agenda == timeline.agenda[: len(nearest.agenda)]
    assert nearest.next_due == timeline.next_due
    much_later = evaluate(log, history(calendar), micros(until + timedelta(days=400)))
    assert much_later.events == timeline.events + timeline.agenda
    assert not much_later.agenda


@pytest.mark.rule("4.2")
@given(
    severity=st.integers(1, 4),
    calendar=CALENDARS,
    starts=st.lists(st.integers(1, 10**12), min_size=2, max_size=8, unique=True),
    without=st.integers(0, 3),
)
def test_a_pause_never_makes_a_deadline_earlier(severity: int, calendar: int, starts: list[int], without: int) -> None:
    edges = [OPENED + timedelta(microseconds=micro) for micro in sorted(starts)]
    pauses = list(zip(edges[::2], edges[1::2], strict=False))
    fewer = [pause for index, pause in enumerate(pauses) if index != without % len(pauses)]
    assert _due_at(severity, pauses, calendar) >= _due_at(severity, fewer, calendar)


def _due_at(severity: int, pauses: Sequence[tuple[datetime, datetime]], calendar: int) -> int:
    story = [_fact(1, FactType.OPENED, OPENED, severity), _fact(2, FactType.RESPONDED, OPENED, severity)]
    for begin, end in pauses:
        story.append(_fact(len(story) + 1, FactType.PAUSED, begin, severity))
        story.append(_fact(len(story) + 1, FactType.RESUMED, end, severity))
    timeline = timeline_of(story, story[-1].occurred_at, {}, calendar)
    resolution = next(clock for clock in timeline.clocks if clock.name == "resolution")
    assert resolution.due_at is not None
    return resolution.due_at


@pytest.mark.rule("2.3")
@given(severity=st.integers(3, 4), minutes=st.integers(0, 20_000), day=st.integers(0, 9))
def test_an_added_holiday_never_makes_a_deadline_earlier(severity: int, minutes: int, day: int) -> None:
    opened_at = OPENED + timedelta(minutes=minutes)
    log = FactLog.of([_fact(1, FactType.OPENED, opened_at, severity)], history(), channel="portal")
    longer = evaluate(log, history_with_holiday((OPENED + timedelta(days=day)).date()), micros(opened_at))
    for more, less in zip(longer.clocks, evaluate(log, history(), micros(opened_at)).clocks, strict=True):
        assert more.due_at is not None
        assert less.due_at is not None
        assert more.due_at >= less.due_at


@pytest.mark.rule("3.20")
@given(story=stories(), request=REQUESTS, calendar=CALENDARS, extra=st.integers(0, 400))
def test_the_ledger_accounts_for_net_and_gross_time(
    story: list[Fact], request: dict[str, Any], calendar: int, extra: int
) -> None:
    timeline = timeline_of(story, story[-1].occurred_at + timedelta(hours=extra), request, calendar)
    for account, clock in zip(ledger(timeline), timeline_json(timeline)["clocks"], strict=True):
        counted = sum(_micros(one["seconds"]) for one in account["intervals"] if one["counted"])
        excluded = sum(_micros(one["seconds"]) for one in account["intervals"] if not one["counted"])
        assert counted == _micros(clock["net_seconds"])
        assert counted + excluded == _micros(clock["gross_seconds"])


@given(
    story=stories(),
    request=REQUESTS,
    calendar=CALENDARS,
    extra=st.integers(0, 400),
    ahead=st.integers(0, 10**12),
)
def test_a_clock_counts_its_remaining_intervals_while_no_fact_arrives(
    story: list[Fact], request: dict[str, Any], calendar: int, extra: int, ahead: int
) -> None:
    until = story[-1].occurred_at + timedelta(hours=extra)
    timeline = timeline_of(story, until, request, calendar)
    later = timeline_of(story, until + timedelta(microseconds=ahead), request, calendar)
    for clock, then in zip(timeline.clocks, later.clocks, strict=True):
        left = remaining_json(clock)
        intervals = [(_instant(one["from"]), _instant(one["to"])) for one in left["remaining"]]
        assert intervals == sorted(intervals)
        assert all(timeline.until <= begin < end for begin, end in intervals)
        assert bool(intervals) == (left["remaining_seconds"] > 0)
        if clock.outcome is not ClockOutcome.RUNNING or clock.due_at is None or clock.due_at <= timeline.until:
            assert intervals == []
        elif not clock.by_start and not clock.provisional:
            assert clock.net + _micros(left["remaining_seconds"]) == clock.target.due
            assert intervals[-1][1] == clock.due_at
        if intervals and then.end <= intervals[-1][1]:
            counted = sum(max(0, min(end, then.end) - begin) for begin, end in intervals)
            assert then.net == clock.net + counted


def _instant(text: str) -> int:
    return micros(datetime.fromisoformat(text))


def _micros(seconds: float) -> int:
    return round(seconds * SECOND)


@settings(max_examples=tries(100))
@given(story=stories(), request=REQUESTS, calendar=CALENDARS, pauses=st.lists(st.integers(1, 99), max_size=4))
def test_publishing_in_steps_from_the_agenda_equals_publishing_at_once(
    story: list[Fact], request: dict[str, Any], calendar: int, pauses: list[int]
) -> None:
    timer = FakeTimer(history(calendar), channel="email", **request)
    instants = sorted({fact.occurred_at for fact in story})
    for index, at in enumerate(instants):
        timer.receive([fact for fact in story if fact.occurred_at == at])
        following = instants[index + 1] if index + 1 < len(instants) else at + timedelta(days=60)
        # Time passes in parts, never beyond what the next fact could still change.
        for share in sorted(pauses):
            timer.pass_time(at + (following - at) * share / 100)
        timer.pass_time(following - timedelta(microseconds=1))
    end = instants[-1] + timedelta(days=60) - timedelta(microseconds=1)
    at_once = FakeTimer(history(calendar), channel="email", **request)
    at_once.receive(story, accepted_through=end)
    assert _without_continuations(timer.events) == _without_continuations(at_once.events)


@pytest.mark.rule("0.7")
@settings(max_examples=tries(100))
@given(story=stories(), request=REQUESTS, late=st.lists(st.integers(0, 400), min_size=9, max_size=9))
def test_after_late_evidence_the_valid_events_are_those_of_the_timeline(
    story: list[Fact], request: dict[str, Any], late: list[int]
) -> None:
    """Facts arrive with any delay; in the end no published event is untrue, and no true one is unpublished."""
    arrivals = sorted(
        ((fact.occurred_at + timedelta(hours=hours), fact) for fact, hours in zip(story[1:], late, strict=False)),
        key=lambda arrival: (arrival[0], arrival[1].number),
    )
    timer = FakeTimer(channel="email", **request)
    timer.receive(story[:1])
    for arrived_at, fact in arrivals:
        timer.pass_time(arrived_at - timedelta(microseconds=1))
        timer.receive([fact.model_copy(update={"received_at": arrived_at})], accepted_through=arrived_at)
    end = max([OPENED, *(arrived_at for arrived_at, _ in arrivals)]) + timedelta(days=30)
    timer.pass_time(end)
    timeline = timeline_of(story, end, request)
    valid = {key for key in timer.keys if not key.voided and key.voiding not in timer.keys}
    clocks = {(key.cycle, key.subject, key.kind) for key in valid if key.subject != LADDER}
    assert clocks == {(event.cycle, event.clock, event.kind) for event in timeline.events if event.clock is not None}
    # A step that late evidence adds before the end of an ended ladder is not published.
    ended = {event.cycle for event in timeline.events if event.kind is EventKind.ENDED}
    steps = {(event.cycle, event.step) for event in timeline.ladder_steps if event.cycle not in ended}
    assert steps <= {(key.cycle, key.step) for key in timer.keys if _is_step(key)}
    assert not timer.receive([]).events


def _without_continuations(events: Sequence[DeadlineEvent]) -> list[DeadlineEvent]:
    """Facts that are received together share one statement of how their ladder continues."""
    return [event for event in events if not isinstance(event, LadderContinued)]


def _is_step(key: EventKey) -> bool:
    return key.kind is EventKind.STEP_DUE and not key.voided


@given(story=stories(), request=REQUESTS, extra=st.integers(0, 400))
def test_evaluating_and_reconciling_again_changes_nothing(
    story: list[Fact], request: dict[str, Any], extra: int
) -> None:
    until = story[-1].occurred_at + timedelta(hours=extra)
    log = log_of(story, request)
    timeline = evaluate(log, history(), micros(until), whole_agenda=True)
    changes = reconcile(timeline, [], {})
    assert evaluate(log, history(), micros(until), whole_agenda=True) == timeline
    assert reconcile(timeline, [], {}) == changes
    published = [keyed.key for keyed in changes.new]
    ladders = {
        (key.cycle, key.run): PublishedLadder.stated_by(event) for key, event in changes.new if key.subject == LADDER
    }
    again = reconcile(timeline, published, ladders)
    assert (again.voided, again.new, again.agenda) == ((), (), changes.agenda)
