"""The escalator's open ladders are those of sla-timer's timelines, whatever facts arrive and however late."""

from datetime import datetime, timedelta

import pytest
from escalator.domain.decisions import decide
from escalator.domain.tiers import LadderState, TicketEscalation
from hypothesis import given
from hypothesis import strategies as st
from sla_timer.domain.evaluate import evaluate
from sla_timer.domain.fact_log import FactLog
from support.fake_timer import FakeTimer, moment, numbered_fact
from tocsin.business_time import micros, to_datetime
from tocsin.events import Fact, FactType

OPENED = moment("06-08 12:00")
POSSIBLE = tuple(kind for kind in FactType if kind not in (FactType.OPENED, FactType.ASSESSED, FactType.ASSIGNED))


@st.composite
def stories(draw: st.DrawFn) -> list[tuple[datetime, Fact]]:
    """The facts after an opening of severity 1, each with the instant of its receipt, in the order of receipt."""
    occurred_at, facts = OPENED, []
    for _ in range(draw(st.integers(1, 10))):
        occurred_at += timedelta(minutes=draw(st.sampled_from([0, 1, 30, 60, 300, 1500, 2000])))
        kind = draw(st.sampled_from(POSSIBLE))
        severity = draw(st.integers(1, 4)) if kind is FactType.SEVERITY_CHANGED else None
        is_workaround = kind is FactType.RESOLVED and draw(st.booleans())
        delay = timedelta(minutes=draw(st.sampled_from([0, 0, 0, 10, 90, 600, 3000])))
        fields = {"severity": severity, "resolution_kind": "workaround" if is_workaround else None}
        facts.append((occurred_at + delay, kind, occurred_at, fields))
    received = []
    for number, (received_at, kind, at, fields) in enumerate(sorted(facts, key=lambda fact: fact[0]), start=2):
        fact = Fact(number=number, event_id=str(number), type=kind, occurred_at=at, received_at=received_at, **fields)
        received.append((received_at, fact))
    return received


class Pair:
    """A ticket in sla-timer, and its escalation by everything published so far."""

    def __init__(self, severity: int) -> None:
        self.timer = FakeTimer(initial_severity=severity)
        self.escalation = TicketEscalation()
        self._decided = 0
        self._now = OPENED
        self.timer.receive([numbered_fact(1, "opened", "06-08 12:00", severity=severity)])

    def pass_time(self, through: datetime) -> None:
        self._now = max(self._now, through)
        self.timer.pass_time(self._now)
        self.assert_equal()

    def receive(self, fact: Fact) -> None:
        self._now = fact.received_at
        self.timer.receive([fact], accepted_through=self._now)
        self.assert_equal()

    def assert_equal(self) -> None:
        """The open runs of the escalation are the open ladder of the timeline."""
        for event in self.timer.events[self._decided :]:
            self.escalation, _ = decide(event, self.escalation, lambda tier, at: False)
        self._decided = len(self.timer.events)
        log = FactLog.of(self.timer.facts, self.timer.policies, channel="portal")
        ladder = evaluate(log, self.timer.policies, micros(self._now)).open_ladder
        open_runs = [run for run in self.escalation.runs.values() if run.ended_at is None]
        if ladder is None:
            assert open_runs == []
            return
        (run,) = open_runs
        assert (run.key.cycle, run.kept, run.severity) == (ladder.cycle, ladder.kept, ladder.severity)
        if run.state is LadderState.EXHAUSTED:
            # A tier stays notified when late evidence voids its step: nobody may be left before the timeline says so.
            assert ladder.exhausted_at is not None or run.tier == len(run.tiers)
        else:
            next_at = None if ladder.next_at is None else to_datetime(ladder.next_at)
            state = LadderState.HELD if ladder.held else LadderState.RUNNING
            assert (run.state, run.next_at) == (state, next_at)
            assert ladder.exhausted_at is None


@given(severity=st.integers(1, 4), story=stories(), rest=st.integers(0, 100))
@pytest.mark.rule("4.13", "4.17")
def test_the_open_ladders_of_the_escalator_are_those_of_the_timeline(
    severity: int, story: list[tuple[datetime, Fact]], rest: int
) -> None:
    pair = Pair(severity)
    for received_at, fact in story:
        pair.pass_time(received_at - timedelta(microseconds=1))
        pair.receive(fact)
    for hours in range(0, rest, 7):
        pair.pass_time(story[-1][0] + timedelta(hours=hours))
