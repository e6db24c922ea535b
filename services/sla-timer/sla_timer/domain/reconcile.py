"""What has been told against what is now true: the difference is what is told next (RULES 4, Late evidence). Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from tocsin.events import DeadlineEvent

from sla_timer.domain.event_mapping import Scope, announce, announce_void
from sla_timer.domain.ticket_state import FOREVER
from sla_timer.domain.timeline import Timeline
from sla_timer.domain.timeline_events import LADDER, VOIDED, Happening, Item, Kind

_SHORT: Final = {
    Kind.WARNED: "warned",
    Kind.BREACHED: "breached",
    Kind.MET: "met",
    Kind.CANCELLED: "cancelled",
    Kind.STEP_DUE: "step",
    Kind.HELD: "held",
    Kind.ENDED: "ended",
    Kind.EXHAUSTED: "exhausted",
}


@dataclass(frozen=True, slots=True)
class Planned:
    """Something that will happen by itself if nothing else does, ready to be told."""

    item: Item
    happening: Happening


@dataclass(frozen=True, slots=True)
class Telling:
    """What is to be told now, in order, each with its natural key; and what will come by itself, in order."""

    now: list[tuple[Item, DeadlineEvent]]
    agenda: list[Planned]


def compare(timeline: Timeline, told: Iterable[Item], scope: Scope) -> Telling:
    """The difference between `told` and a timeline that was told up to now. Tells the timeline on, to its end."""
    now, past = timeline.now, timeline.happenings[:]
    ladders = _kept_ladders(timeline)
    timeline.tell(FOREVER - 1)
    log = _Log(told)
    telling: list[tuple[Item, DeadlineEvent]] = []

    true = {(h.cycle, h.clock, _SHORT[h.kind]) for h in past if h.clock is not None}
    for item in log.standing():
        if (item.cycle, item.subject, item.kind) not in true:
            telling.append(_void(item, now, scope))
            log.write(telling[-1][0])
    runs = {}
    for cycle in sorted(ladders.keys() | log.cycles()):
        mine = [h for h in past if h.cycle == cycle and h.clock is None]
        runs[cycle], voids = _ladder_run(log, cycle, mine, ladders.get(cycle), now, scope)
        telling += voids

    agenda: list[Planned] = []
    holds: dict[int, int] = {}
    for index, happening in enumerate(timeline.happenings):
        step = happening.step or 0
        if happening.kind is Kind.HELD:
            step = holds[happening.cycle] = holds.get(happening.cycle, 0) + 1
        kind = _SHORT[happening.kind]
        if happening.clock is not None:
            item = Item(happening.cycle, log.clock_run(happening.cycle, happening.clock, kind), happening.clock, kind)
        else:
            run = runs.get(happening.cycle, 1)
            if run is None:
                continue
            item = Item(happening.cycle, run, LADDER, kind, step)
        if item in log.items:
            continue
        if index >= len(past):
            agenda.append(Planned(item, happening))
        else:
            telling.append((item, announce(item, happening, scope)))
    return Telling(telling, agenda)


def _kept_ladders(timeline: Timeline) -> dict[int, bool]:
    """For each cycle that has a ladder: whether it is the one that the cycle before had."""
    ladders = timeline.ladders
    return {cycle: ladder is ladders.get(cycle - 1) for cycle, ladder in ladders.items()}


def _ladder_run(
    log: "_Log", cycle: int, happenings: Sequence[Happening], kept: bool | None, now: int, scope: Scope
) -> tuple[int | None, list[tuple[Item, DeadlineEvent]]]:
    """The run under which a cycle's ladder is told (None: its last run has ended and stays so), and what is voided.

    `kept` is None where the cycle has no ladder. A ladder that starts again after its run ended is a new run, also one
    that is still to come.
    """
    last = log.last_run(cycle)
    if last == 0:
        return 1, []
    ended = any(h.kind is Kind.ENDED for h in happenings)
    if log.run_is_over(cycle, last):
        return (None if ended and not log.run_was_voided(cycle, last) else last + 1), []
    steps = log.steps(cycle, last)
    true = {h.step for h in happenings if h.kind is Kind.STEP_DUE}
    if kept is None or (steps and kept != (min(steps) > 1)):
        return last + 1, [_void(Item(cycle, last, LADDER, LADDER), now, scope)]
    gone = sorted(steps - true)
    voids = [Item(cycle, last, LADDER, "step", step) for step in gone]
    return last, [_void(item, now, scope) for item in voids if item._replace(kind=VOIDED + "step") not in log.items]


def _void(item: Item, now: int, scope: Scope) -> tuple[Item, DeadlineEvent]:
    voiding = item._replace(kind=VOIDED + item.kind)
    return voiding, announce_void(item, now, scope)


class _Log:
    """What was told of a ticket, by its natural keys."""

    def __init__(self, told: Iterable[Item]) -> None:
        self.items: set[Item] = set()
        self._clock_runs: dict[tuple[int, str, str], int] = {}
        self._ladder_runs: dict[int, int] = {}
        for item in told:
            self.write(item)

    def write(self, item: Item) -> None:
        self.items.add(item)
        if item.subject == LADDER:
            self._ladder_runs[item.cycle] = max(item.run, self._ladder_runs.get(item.cycle, 0))
        else:
            key = (item.cycle, item.subject, item.kind)
            self._clock_runs[key] = max(item.run, self._clock_runs.get(key, 0))

    def clock_run(self, cycle: int, clock: str, kind: str) -> int:
        """The run under which this is told: the last one while it stands, the next one after it was voided."""
        last = self._clock_runs.get((cycle, clock, kind), 0)
        return last + 1 if last == self._clock_runs.get((cycle, clock, VOIDED + kind), 0) else last

    def standing(self) -> list[Item]:
        """What was told of clocks and not voided, in a stable order."""
        return sorted(
            item
            for item in self.items
            if item.subject != LADDER
            and not item.kind.startswith(VOIDED)
            and item._replace(kind=VOIDED + item.kind) not in self.items
        )

    def cycles(self) -> set[int]:
        """The cycles of which a ladder was told."""
        return set(self._ladder_runs)

    def last_run(self, cycle: int) -> int:
        return self._ladder_runs.get(cycle, 0)

    def run_was_voided(self, cycle: int, run: int) -> bool:
        return Item(cycle, run, LADDER, VOIDED + LADDER) in self.items

    def run_is_over(self, cycle: int, run: int) -> bool:
        return Item(cycle, run, LADDER, "ended") in self.items or self.run_was_voided(cycle, run)

    def steps(self, cycle: int, run: int) -> set[int]:
        """The steps that were told in this run, voided or not."""
        return {item.step for item in self.items if item[:4] == (cycle, run, LADDER, "step")}
