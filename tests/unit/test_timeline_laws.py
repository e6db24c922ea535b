"""Laws of the timeline, over random stories and calendars."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from sla_timer.domain.fact_log import Rulebook, Story
from sla_timer.domain.ledger import ledger
from sla_timer.domain.simulate import answer
from sla_timer.domain.timeline import Timeline
from sla_timer.domain.timeline_events import VOIDED, Item, Kind
from support.fake_timer import Teller
from support.search_budget import tries
from support.stories import DEFAULT_POLICY, shipped_policy
from tocsin.business_time import SECOND, micros
from tocsin.events import Fact, FactType
from tocsin.policy import load_policy

OPENED = datetime(2026, 7, 1, 12, tzinfo=UTC)
LATER = [kind for kind in FactType if kind is not FactType.OPENED]


OPEN_OTHERWISE = (
    ("America/New_York", "monday-friday: 08:00-17:00"),
    ("Europe/Rome", "monday-friday: 08:00-12:00, 13:00-18:00"),
    ("Australia/Lord_Howe", "monday-saturday: 09:00-24:00"),
    ("Asia/Kolkata", "tuesday-sunday: 00:00-24:00"),
)


@lru_cache
def rulebook(calendar: int = 0) -> Rulebook:
    """The shipped policy on one of several calendars, in zones with whole and half hours, north and south."""
    if calendar == 0:
        return Rulebook([shipped_policy()], None)
    zone, opened = OPEN_OTHERWISE[calendar]
    text = DEFAULT_POLICY.read_text().replace("America/New_York", zone).replace(OPEN_OTHERWISE[0][1], opened)
    return Rulebook([load_policy(text, "policy.yaml")], None)


CALENDARS = st.integers(0, len(OPEN_OTHERWISE) - 1)


@st.composite
def facts(draw: st.DrawFn, kinds: Sequence[FactType] = LATER, most: int = 9) -> list[Fact]:
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
        story.append(_fact(number, draw(st.sampled_from(kinds)), at, draw(st.integers(1, 4))))
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
    )


def told(story: Sequence[Fact], until: datetime, calendar: int) -> dict[str, object]:
    timeline = Timeline(Story.of(story, "email"), rulebook(calendar)).tell(micros(until))
    return answer(timeline, micros(until))


@given(story=facts(), calendar=CALENDARS, extra=st.integers(0, 400), random=st.randoms(use_true_random=False))
def test_order_of_arrival_and_duplicates_change_nothing(
    story: list[Fact], calendar: int, extra: int, random: Random
) -> None:
    until = story[-1].occurred_at + timedelta(hours=extra)
    shuffled = story + story[: extra % len(story)]
    random.shuffle(shuffled)
    assert told(shuffled, until, calendar) == told(story, until, calendar)


@given(story=facts(), later=facts(), calendar=CALENDARS, extra=st.integers(0, 400))
def test_what_stands_never_depends_on_later_facts(
    story: list[Fact], later: list[Fact], calendar: int, extra: int
) -> None:
    until = story[-1].occurred_at + timedelta(hours=extra)
    shift = until - OPENED + timedelta(microseconds=1)
    future = [
        fact.model_copy(update={"number": fact.number + 100, "occurred_at": fact.occurred_at + shift})
        for fact in later[1:]
    ]
    known = Timeline(Story.of([*story, *future], "email"), rulebook(calendar)).tell(micros(until))
    alone = Timeline(Story.of(story, "email"), rulebook(calendar)).tell(micros(until))
    assert known.happenings == alone.happenings
    assert [(c.name, c.due, c.warn, c.outcome) for c in known.clocks] == [
        (c.name, c.due, c.warn, c.outcome) for c in alone.clocks
    ]


@given(
    severity=st.integers(1, 4),
    calendar=CALENDARS,
    starts=st.lists(st.integers(1, 10**12), min_size=2, max_size=8, unique=True),
    without=st.integers(0, 3),
)
def test_a_pause_never_makes_a_due_earlier(severity: int, calendar: int, starts: list[int], without: int) -> None:
    edges = [OPENED + timedelta(microseconds=micro) for micro in sorted(starts)]
    pauses = list(zip(edges[::2], edges[1::2], strict=False))
    fewer = [pause for index, pause in enumerate(pauses) if index != without % len(pauses)]
    assert _due(severity, pauses, calendar) >= _due(severity, fewer, calendar)


def _due(severity: int, pauses: Sequence[tuple[datetime, datetime]], calendar: int) -> int:
    story = [_fact(1, FactType.OPENED, OPENED, severity), _fact(2, FactType.RESPONDED, OPENED, severity)]
    for begin, end in pauses:
        story.append(_fact(len(story) + 1, FactType.PAUSED, begin, severity))
        story.append(_fact(len(story) + 1, FactType.RESUMED, end, severity))
    timeline = Timeline(Story.of(story, "portal"), rulebook(calendar)).tell(micros(story[-1].occurred_at))
    due = timeline.resolution.due
    assert due is not None
    return due


@lru_cache
def rulebook_with(holiday: date) -> Rulebook:
    text = DEFAULT_POLICY.read_text().replace("added: []", f"added: [{holiday}]")
    return Rulebook([load_policy(text, "policy.yaml")], None)


@given(severity=st.integers(3, 4), minutes=st.integers(0, 20_000), day=st.integers(0, 9))
def test_an_added_holiday_never_makes_a_due_earlier(severity: int, minutes: int, day: int) -> None:
    opened = OPENED + timedelta(minutes=minutes)
    story = Story.of([_fact(1, FactType.OPENED, opened, severity)], "portal")
    longer = Timeline(story, rulebook_with((OPENED + timedelta(days=day)).date()))
    for more, less in zip(longer.clocks, Timeline(story, rulebook()).clocks, strict=True):
        assert more.due is not None
        assert less.due is not None
        assert more.due >= less.due


@given(story=facts(), calendar=CALENDARS, extra=st.integers(0, 400))
def test_counted_and_excluded_add_up_and_the_ledger_accounts_for_both(
    story: list[Fact], calendar: int, extra: int
) -> None:
    until = micros(story[-1].occurred_at + timedelta(hours=extra))
    timeline = Timeline(Story.of(story, "email"), rulebook(calendar)).tell(until)
    accounts = ledger(timeline, until)
    for account, clock in zip(accounts, answer(timeline, until)["clocks"], strict=True):
        counted = sum(_micros(one["seconds"]) for one in account["intervals"] if one["counted"])
        excluded = sum(_micros(one["seconds"]) for one in account["intervals"] if not one["counted"])
        assert counted == _micros(clock["net_seconds"])
        assert counted + excluded == _micros(clock["gross_seconds"])


def _micros(seconds: float) -> int:
    return round(seconds * SECOND)


@settings(max_examples=tries(100))
@given(story=facts(), calendar=CALENDARS, pauses=st.lists(st.integers(1, 99), max_size=4))
def test_told_in_steps_with_the_agenda_in_between_is_told_at_once(
    story: list[Fact], calendar: int, pauses: list[int]
) -> None:
    teller = Teller(rulebook(calendar), "email")
    instants = sorted({fact.occurred_at for fact in story})
    for index, at in enumerate(instants):
        teller.receive([fact for fact in story if fact.occurred_at == at])
        following = instants[index + 1] if index + 1 < len(instants) else at + timedelta(days=60)
        # Time passes in parts, never past what could still be changed by the next fact.
        for share in sorted(pauses):
            teller.pass_time(at + (following - at) * share / 100)
        teller.pass_time(following - timedelta(microseconds=1))
    end = instants[-1] + timedelta(days=60) - timedelta(microseconds=1)
    at_once = Teller(rulebook(calendar), "email")
    at_once.receive(story, accepted_through=end)
    assert teller.keys() == at_once.keys()
    assert [event.event_id for event in teller.events] == [event.event_id for event in at_once.events]


@settings(max_examples=tries(100))
@given(story=facts(), late=st.lists(st.integers(0, 400), min_size=9, max_size=9))
def test_after_late_evidence_what_stands_is_what_is_true(story: list[Fact], late: list[int]) -> None:
    """Facts arrive whenever they like; in the end nothing stands that is not true, and nothing true is untold."""
    arrivals = sorted(
        ((fact.occurred_at + timedelta(hours=hours), fact) for fact, hours in zip(story[1:], late, strict=False)),
        key=lambda arrival: (arrival[0], arrival[1].number),
    )
    teller = Teller(rulebook(), "email")
    teller.receive(story[:1])
    for arrived_at, fact in arrivals:
        teller.pass_time(arrived_at - timedelta(microseconds=1))
        teller.receive([fact.model_copy(update={"received_at": arrived_at})], accepted_through=arrived_at)
    end = max([OPENED, *(arrived_at for arrived_at, _ in arrivals)]) + timedelta(days=30)
    teller.pass_time(end)
    timeline = Timeline(Story.of(story, "email"), rulebook()).tell(micros(end))
    standing = {item for item in teller.told if not _voided(item, teller)}
    clocks = {(item.cycle, item.subject, item.kind) for item in standing if item.subject != "ladder"}
    assert clocks == {
        (h.cycle, h.clock, h.kind.value.removeprefix("clock.")) for h in timeline.happenings if h.clock is not None
    }
    # Of a ladder that is over, nobody is told a step that late evidence adds.
    over = {h.cycle for h in timeline.happenings if h.kind is Kind.ENDED}
    steps = {(h.cycle, h.step) for h in timeline.happenings if h.step is not None and h.cycle not in over}
    told_steps = {(item.cycle, item.step) for item in teller.told if item.kind == "step"}
    assert steps <= told_steps
    assert not teller.receive([]).telling


def _voided(item: Item, teller: Teller) -> bool:
    return item.kind.startswith(VOIDED) or item._replace(kind=VOIDED + item.kind) in teller.told
