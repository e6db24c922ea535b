"""The lanes of a ticket's timeline, still in instants: facts, clocks, escalation and mails. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from tocsin.events import (
    ClockEvent,
    ClockVoided,
    Fact,
    FactType,
    LadderEnded,
    LadderEvent,
    LadderExhausted,
    LadderHeld,
    LadderStepDue,
)
from tocsin.lifecycle import in_order

from board.domain.board_ticket import BoardClock, Stretch
from board.domain.clock_stretches import BarKind, clock_stretches
from board.domain.event_words import event_words, fact_words, step_tier
from board.domain.ticket_history import MAIL_KINDS, EntryKind, ticket_history
from board.domain.ticket_story import TicketStory
from board.domain.time_words import PageTime, plain

MOST_CYCLES: Final = 6
"""The clocks of earlier cycles are in the history and the ledger only."""


@dataclass(frozen=True, slots=True)
class LaneBar:
    """A stretch of a lane, with its description."""

    begin: datetime
    end: datetime
    kind: BarKind
    title: str


@dataclass(frozen=True, slots=True)
class LaneMark:
    """A mark at an instant. `text` is drawn in it or beside it; `title` describes it. `planned`: in the future."""

    at: datetime
    kind: str
    text: str
    title: str
    voided: bool = False
    planned: bool = False


@dataclass(frozen=True, slots=True)
class TimelineLane:
    """A lane: its name, the detail below the name, and its content in order."""

    name: str
    detail: str
    kind: str
    """`facts`, `clock`, `escalation` or `mails`."""
    bars: tuple[LaneBar, ...]
    marks: tuple[LaneMark, ...]
    due_at: datetime | None = None
    """The deadline of an open clock."""


@dataclass(frozen=True, slots=True)
class TimelineSpan:
    """The time that the drawing shows, from `begin` to `end`, and the instants with a mark."""

    begin: datetime
    end: datetime
    moments: tuple[datetime, ...]


_FACT_LABELS: Final = {
    FactType.OPENED: "opened",
    FactType.RESPONDED: "response",
    FactType.SEVERITY_CHANGED: "severity",
    FactType.PAUSED: "paused",
    FactType.RESUMED: "resumed",
    FactType.RESOLVED: "resolved",
    FactType.REOPENED: "reopened",
    FactType.CANCELLED: "cancelled",
    FactType.ACKNOWLEDGED: "acknowledged",
    FactType.ESCALATED: "escalated",
    FactType.ASSESSED: "assessed",
    FactType.ASSIGNED: "assigned",
}
_BAR_WORDS: Final = {
    BarKind.USED: "counted",
    BarKind.OVER: "overdue",
    BarKind.LEFT: "left",
    BarKind.PAUSED: "paused",
    BarKind.CLOSED: "ticket closed",
    BarKind.IDLE: "did not count",
    BarKind.RUNNING: "escalating",
    BarKind.HELD: "held",
}


def timeline_lanes(story: TicketStory, time: PageTime) -> list[TimelineLane]:
    """The lanes from top to bottom: facts, clocks by cycle, escalation, mails."""
    last = max((clock.cycle for clock in story.ticket.clocks), default=1)
    clocks = [clock for clock in story.ticket.clocks if clock.cycle > last - MOST_CYCLES]
    lanes = [_fact_lane(story), *(_clock_lane(clock, story, time, last) for clock in clocks)]
    return [*lanes, *_escalation_lane(story, time), *_mail_lane(story, time)]


def timeline_span(story: TicketStory, lanes: Sequence[TimelineLane], time: PageTime) -> TimelineSpan:
    """From the opening to the end of a closed ticket; of an open one, to now and what follows soon.

    The future is limited by the age of the ticket, so that the past stays readable.
    """
    begin = story.ticket.ticket.opened_at
    marks = [mark for lane in lanes for mark in lane.marks]
    past = [mark.at for mark in marks if not mark.planned]
    ahead = [mark.at for mark in marks if mark.planned]
    ends = [bar.end for lane in lanes for bar in lane.bars if bar.kind is BarKind.HELD]
    latest = max([begin, *past])
    if story.ticket.is_open:
        latest = max(latest, time.now)
        horizon = latest + max((latest - begin) * 3 / 2, timedelta(hours=1))
        ahead = [at for at in (*ahead, *ends) if at <= horizon]
    else:
        ahead = []
    end = max([latest, *ahead, begin + timedelta(minutes=5)])
    if any(lane.due_at is not None and lane.due_at > end for lane in lanes):
        end += (end - begin) / 4
    now = [time.now] if story.ticket.is_open else []
    return TimelineSpan(begin, end, tuple(sorted([begin, *past, *ahead, *now])))


def _fact_lane(story: TicketStory) -> TimelineLane:
    return TimelineLane("Facts", "", "facts", (), tuple(map(_fact_mark, in_order(story.facts))))


def _fact_mark(fact: Fact) -> LaneMark:
    kind = EntryKind.ACKNOWLEDGED if fact.type is FactType.ACKNOWLEDGED else EntryKind.FACT
    label = f"severity {fact.severity}" if fact.type is FactType.SEVERITY_CHANGED else _FACT_LABELS[fact.type]
    return LaneMark(fact.occurred_at, kind, label, fact_words(fact))


def _clock_lane(clock: BoardClock, story: TicketStory, time: PageTime, last_cycle: int) -> TimelineLane:
    account = story.ledger.of(clock.cycle, clock.name) if story.ledger else None
    bars = tuple(
        LaneBar(stretch.begin, stretch.end, kind, f"{_BAR_WORDS[kind]} {_span_words(stretch, time)}")
        for stretch, kind in clock_stretches(clock, account, time.now)
    )
    detail = f"cycle {clock.cycle}" if last_cycle > 1 else ""
    due_at = clock.due_at if clock.is_open else None
    marks = sorted([*_clock_marks(clock, story, time), *_planned_marks(clock, time)], key=lambda mark: mark.at)
    return TimelineLane(clock.name.capitalize(), detail, "clock", bars, tuple(marks), due_at)


def _clock_marks(clock: BoardClock, story: TicketStory, time: PageTime) -> Iterator[LaneMark]:
    of_clock = [
        event
        for event in story.events
        if isinstance(event, ClockEvent)
        and not isinstance(event, ClockVoided)
        and (event.cycle, event.clock) == (clock.cycle, clock.name)
    ]
    history = {id(event): event_words(event, story, time) for event in of_clock}
    for event in of_clock:
        kind = _EVENT_MARKS[type(event).__name__]
        yield LaneMark(event.at, kind, "", plain(history[id(event)] or ()), voided=event.event_id in story.voided)


_EVENT_MARKS: Final = {
    "ClockWarned": EntryKind.WARNED,
    "ClockBreached": EntryKind.BREACHED,
    "ClockMet": EntryKind.MET,
    "ClockCancelled": EntryKind.CANCELLED,
}


def _planned_marks(clock: BoardClock, time: PageTime) -> Iterator[LaneMark]:
    if not clock.is_open:
        return
    if clock.warn_at is not None and clock.warn_at > time.now:
        yield LaneMark(clock.warn_at, EntryKind.WARNED, "", f"warning {time.full(clock.warn_at)}", planned=True)
    if clock.due_at is not None and clock.breached_at is None:
        title = f"{clock.name} deadline {time.full(clock.due_at)}"
        yield LaneMark(clock.due_at, "due", "", title, planned=clock.due_at > time.now)


def _escalation_lane(story: TicketStory, time: PageTime) -> Iterator[TimelineLane]:
    events = story.of_type(LadderEvent)
    ladder = story.ticket.ladder
    if not events and (ladder is None or ladder.next is None):
        return
    marks = [*_step_marks(story), *_end_marks(story, time)]
    if ladder is not None and ladder.next is not None and ladder.ended_at is None:
        tier = ladder.next.tier
        title = f"tier {tier}, {story.title(ladder.next.role or '')}" if tier else "escalation is exhausted"
        text = str(tier) if tier else "end"
        marks.append(LaneMark(ladder.next.at, EntryKind.STEP, text, f"next: {title}", planned=True))
    bars = [*_run_bars(story, time), *_hold_bars(story, time)]
    yield TimelineLane("Escalation", "tiers", "escalation", tuple(bars), tuple(sorted(marks, key=lambda mark: mark.at)))


def _step_marks(story: TicketStory) -> Iterator[LaneMark]:
    for step in story.of_type(LadderStepDue):
        notify = step_tier(step, story)
        tier = notify.tier if notify is not None else None
        text = str(tier.number if tier else step.step)
        title = f"tier {tier.number}, {tier.title}" if tier else f"step {step.step}"
        yield LaneMark(step.at, EntryKind.STEP, text, title, voided=step.event_id in story.voided)


def _end_marks(story: TicketStory, time: PageTime) -> Iterator[LaneMark]:
    for event in story.of_type(LadderExhausted):
        yield LaneMark(event.at, EntryKind.EXHAUSTED, "end", plain(event_words(event, story, time) or ()))


def _run_bars(story: TicketStory, time: PageTime) -> Iterator[LaneBar]:
    """Each run of the ladder from its first step on."""
    runs: dict[tuple[int, int], list[LadderEvent]] = {}
    for event in story.of_type(LadderEvent):
        runs.setdefault((event.cycle, event.run), []).append(event)
    for run in runs.values():
        begin = min(event.at for event in run)
        ended = [event.at for event in run if isinstance(event, LadderEnded)]
        end = ended[-1] if ended else time.now
        if begin < end:
            yield LaneBar(begin, end, BarKind.RUNNING, f"escalating {_span_words(Stretch(begin, end), time)}")


def _hold_bars(story: TicketStory, time: PageTime) -> Iterator[LaneBar]:
    """The holds; a later one, or the end of the run, cuts an earlier one short."""
    events = sorted(story.of_type(LadderEvent), key=lambda event: event.at)
    for index, event in enumerate(events):
        if not isinstance(event, LadderHeld):
            continue
        later = (one.at for one in events[index + 1 :] if one.at > event.at)
        end = min([*([event.until] if event.until else []), *later], default=time.now)
        if event.at < end:
            yield LaneBar(event.at, end, BarKind.HELD, plain(event_words(event, story, time) or ()))


def _mail_lane(story: TicketStory, time: PageTime) -> Iterator[TimelineLane]:
    kinds = set(MAIL_KINDS.values())
    marks = [
        LaneMark(entry.at, entry.kind, "", plain(entry.words))
        for entry in ticket_history(story, time)
        if entry.kind in kinds
    ]
    if marks:
        yield TimelineLane("Mails", "", "mails", (), tuple(marks))


def _span_words(stretch: Stretch, time: PageTime) -> str:
    return f"{time.full(stretch.begin)} to {time.full(stretch.end)}"
