"""The difference between a ticket's timeline and its published log (docs/rules.md#4-17). Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final, NamedTuple, Self

from sla_timer.domain.published_ladder import PublishedLadder
from sla_timer.domain.timeline import Timeline
from sla_timer.domain.timeline_events import LADDER, EventKey, EventKind, KeyedEvent, Subject, TimelineEvent

_HELD: Final = EventKind.HELD
"""Looking a member up in its enumeration takes several times as long as a global name."""


class Changes(NamedTuple):
    """The events to publish now, and the new agenda.

    `voided` are the keys of published events to void, in order; a key of kind `ENDED` voids a whole run. `new` are the
    events to publish after that, `agenda` those to publish once they are due, both in order.
    """

    voided: tuple[EventKey, ...]
    new: tuple[KeyedEvent, ...]
    agenda: tuple[KeyedEvent, ...]


LadderRunKey = tuple[int, int]
"""Identifies a run of a ticket's ladder: the cycle, and the run within it."""


def reconcile(
    timeline: Timeline, published: Iterable[EventKey], ladders: Mapping[LadderRunKey, PublishedLadder | None]
) -> Changes:
    """The changes that bring the `published` keys of a ticket, voidings included, in line with its timeline.

    `ladders` are its ladders as the last published event of each run states them.
    """
    log = _PublishedLog.of(published)
    voided = _voided_clock_events(timeline, log)
    # An event that replaces a voided one gets the next run.
    log = log.with_voided(voided) if voided else log
    runs, voided_of_ladders = _ladder_runs(timeline, log)
    past = _keyed(timeline.events, log, runs, holds_before=())
    ahead = _keyed(timeline.agenda, log, runs, holds_before=timeline.events)
    new = [keyed for keyed in past if keyed.key not in log.keys]
    ladder = timeline.open_ladder
    run = None if ladder is None else runs[ladder.cycle]
    if ladder is None or run is None:
        agenda = [keyed for keyed in ahead if keyed.key not in log.keys]
    else:
        numbers = count(log.continuations(cycle=ladder.cycle, run=run) + 1)
        if _last_statement(ladder.cycle, run, voided_of_ladders, new, ladders) != PublishedLadder.stated_by(ladder):
            new.append(_continuation(ladder, run, next(numbers)))
        agenda = list(_agenda_of_ladder(ahead, log, numbers))
    return Changes(voided=(*voided, *voided_of_ladders), new=tuple(new), agenda=tuple(agenda))


def _last_statement(
    cycle: int,
    run: int,
    voided: Sequence[EventKey],
    new: Sequence[KeyedEvent],
    ladders: Mapping[LadderRunKey, PublishedLadder | None],
) -> PublishedLadder | None:
    """The ladder as the last event of its run states it, once `voided` and `new` are published."""
    events = [event for key, event in new if (key.subject, key.cycle, key.run) == (LADDER, cycle, run)]
    if events:
        return PublishedLadder.stated_by(events[-1])
    if any((key.cycle, key.run) == (cycle, run) for key in voided):
        return None
    return ladders.get((cycle, run))


def _agenda_of_ladder(
    ahead: Iterable[KeyedEvent], log: "_PublishedLog", numbers: Iterator[int]
) -> Iterator[KeyedEvent]:
    """The agenda. An event of the ladder that is not published again still moves it: a continuation states how."""
    for keyed in ahead:
        if keyed.key not in log.keys:
            yield keyed
        elif keyed.key.subject == LADDER:
            yield _continuation(keyed.event, keyed.key.run, next(numbers))


def _continuation(event: TimelineEvent, run: int, number: int) -> KeyedEvent:
    """The event that states how a ladder stands after `event`."""
    return KeyedEvent(
        EventKey(event.cycle, run, LADDER, EventKind.CONTINUED, number),
        event._replace(kind=EventKind.CONTINUED, step=None, reason=None, held_by=None),
    )


def _voided_clock_events(timeline: Timeline, log: "_PublishedLog") -> list[EventKey]:
    happened = {(event.cycle, event.clock, event.kind) for event in timeline.events}
    return [key for key in log.valid_clock_events() if (key.cycle, key.subject, key.kind) not in happened]


def _ladder_runs(timeline: Timeline, log: "_PublishedLog") -> tuple[dict[int, int | None], list[EventKey]]:
    """For each cycle, the run under which to publish its ladder (see `_ladder_run`), and the keys to void."""
    kept = {ladder.cycle: ladder.kept for ladder in timeline.ladders}
    runs: dict[int, int | None] = {}
    voided: list[EventKey] = []
    for cycle in sorted(kept.keys() | log.ladder_runs.keys()):
        events = [event for event in timeline.events if event.cycle == cycle and event.clock is None]
        runs[cycle], voided_of_run = _ladder_run(log, cycle, events, kept.get(cycle))
        voided += voided_of_run
    return runs, voided


def _ladder_run(
    log: "_PublishedLog", cycle: int, events: Sequence[TimelineEvent], kept: bool | None
) -> tuple[int | None, list[EventKey]]:
    """The run under which to publish the ladder of a cycle, and the keys of its last run to void.

    The run is None if the last one has ended and stays ended. A ladder that starts after its run ended, now or later,
    is a new run (docs/rules.md#4-19). `kept` is None where the cycle has no ladder.
    """
    last = log.ladder_runs.get(cycle, 0)
    if last == 0:
        return 1, []
    ended = EventKey(cycle, last, LADDER, EventKind.ENDED)
    if ended.voiding in log.keys:
        return last + 1, []
    if ended in log.keys:
        return (None if any(event.kind is EventKind.ENDED for event in events) else last + 1), []
    steps = log.steps(cycle=cycle, run=last)
    if kept != (1 not in steps):  # a ladder that was not kept begins with step 1
        return last + 1, [ended]
    happened = {event.step for event in events if event.kind is EventKind.STEP_DUE}
    voided = [EventKey(cycle, last, LADDER, EventKind.STEP_DUE, step) for step in sorted(steps - happened)]
    return last, [key for key in voided if key.voiding not in log.keys]


def _keyed(
    events: Iterable[TimelineEvent],
    log: "_PublishedLog",
    runs: Mapping[int, int | None],
    holds_before: Iterable[TimelineEvent],
) -> list[KeyedEvent]:
    """The events with their keys, without those of a ladder whose run has ended. `holds_before`: the events before."""
    holds = Counter([event.cycle for event in holds_before if event.kind is _HELD])
    keyed = []
    for event in events:
        step = event.step or 0
        if event.kind is _HELD:
            holds[event.cycle] += 1
            step = holds[event.cycle]
        if event.clock is not None:
            run: int | None = log.clock_run(event.cycle, event.clock, event.kind)
        else:
            run = runs.get(event.cycle, 1)
        if run is not None:
            keyed.append(KeyedEvent(EventKey(event.cycle, run, event.clock or LADDER, event.kind, step), event))
    return keyed


@dataclass(frozen=True, slots=True)
class _PublishedLog:
    """The published keys, the last run of each kind of clock event, voided or not, and of each cycle's ladder."""

    keys: frozenset[EventKey]
    clock_runs: Mapping[tuple[int, Subject, EventKind, bool], int]
    ladder_runs: Mapping[int, int]

    @classmethod
    def of(cls, published: Iterable[EventKey]) -> Self:
        keys = frozenset(published)
        clock_runs: dict[tuple[int, Subject, EventKind, bool], int] = {}
        ladder_runs: dict[int, int] = {}
        for key in keys:
            if key.subject == LADDER:
                ladder_runs[key.cycle] = max(key.run, ladder_runs.get(key.cycle, 0))
            else:
                what = (key.cycle, key.subject, key.kind, key.voided)
                clock_runs[what] = max(key.run, clock_runs.get(what, 0))
        return cls(keys, clock_runs, ladder_runs)

    def with_voided(self, voided: Iterable[EventKey]) -> Self:
        """The log once the events with these keys are voided."""
        return self.of(self.keys.union(key.voiding for key in voided))

    def clock_run(self, cycle: int, clock: Subject, kind: EventKind) -> int:
        """The run under which to publish this: the last one, or the next if that was voided."""
        last = self.clock_runs.get((cycle, clock, kind, False), 0)
        return last + 1 if last == self.clock_runs.get((cycle, clock, kind, True), 0) else last

    def valid_clock_events(self) -> list[EventKey]:
        """The published clock events that are not voided, in a stable order."""
        return sorted(
            key for key in self.keys if key.subject != LADDER and not key.voided and key.voiding not in self.keys
        )

    def continuations(self, *, cycle: int, run: int) -> int:
        """How many continuations of this run were published."""
        return sum((key.cycle, key.run, key.kind) == (cycle, run, EventKind.CONTINUED) for key in self.keys)

    def steps(self, *, cycle: int, run: int) -> set[int]:
        """The steps that were published in this run, voided or not."""
        return {
            key.step
            for key in self.keys
            if (key.cycle, key.run, key.kind, key.voided) == (cycle, run, EventKind.STEP_DUE, False)
        }
