"""The state of a ticket at an instant, while its timeline is evaluated: the effects of facts and of passing time.

Private to `evaluate`. Follows docs/rules.md#3-clocks to docs/rules.md#5-escalation-ladder. All instants are
microseconds since the epoch, in UTC.
"""

from typing import Final, Literal

from tocsin.events import EndReason, EscalationReason, FactType, HeldBy
from tocsin.lifecycle import TicketStatus
from tocsin.lifecycle import apply as status_after
from tocsin.policy import ResolutionMeasure, Rules, Target

from sla_timer.domain.clock import ClockOutcome, RunningClock, WorkStart
from sla_timer.domain.fact_log import FactLog, LoggedFact
from sla_timer.domain.intervals import ExcludedIntervals
from sla_timer.domain.ladder import Ladder
from sla_timer.domain.timeline_events import EventKind, TimelineEvent

FOREVER: Final = 1 << 62
"""Later than every instant."""

# Looking a member up in its enumeration takes several times as long as a global name.
_STEP_DUE: Final = EventKind.STEP_DUE
_ENDED: Final = EventKind.ENDED
_WARNED: Final = EventKind.WARNED
_BREACHED: Final = EventKind.BREACHED

_STATES_ACKNOWLEDGEMENTS: Final = frozenset({EventKind.STEP_DUE, EventKind.CONTINUED})
"""The kinds of events that state the acknowledgements of the ladder."""


DueKind = Literal["warning", "breach", "step", "silence", "nothing"]
"""The kind of a due event; `silence` is a provisional deadline that passes without starting a ladder."""

Due = tuple[int, DueKind, RunningClock | None]
"""The instant and kind of a due event, and the clock of a warning or breach. A bare tuple, for speed."""


class TicketState:
    """The state at `now`, which the caller moves forward.

    clocks: every clock of every cycle, sorted by cycle, then response, resolution, answer.
    resolution: the resolution clock of the current cycle.
    ladders: the ladder of each cycle that has one; a reopen may keep the one before.
    closed_times: when the ticket was closed. stopped_times: when it was closed or paused.
    events: what has happened, in order.
    """

    def __init__(self, log: FactLog, rules: Rules) -> None:
        opening = log.facts[0]
        self.opened_at = self.now = opening.at
        self.status = TicketStatus(opening.severity)
        self.responded_at: int | None = None
        self.clocks: list[RunningClock] = []
        self.resolution: RunningClock
        self.ladder: Ladder | None = None
        self.ladders: dict[int, Ladder] = {}
        self.exhausted_at: int | None = None
        self.events: list[TimelineEvent] = []
        self.closed_times = ExcludedIntervals()
        self.stopped_times = ExcludedIntervals()
        self._log = log
        self._rules = rules
        self._open_clocks: list[RunningClock] = []
        self._silent = False
        self._stale = True
        self._begin_cycle()

    # Facts and policy versions

    def apply(self, fact: LoggedFact) -> None:
        """Apply a fact that occurs at `now`. An impossible one changes nothing (docs/rules.md#0-8)."""
        status = status_after(self.status, fact)
        if status is None:
            return
        was_paused = self.status.paused
        self.status = status
        self._stale = True
        match fact.type:
            case FactType.RESPONDED:
                self._respond()
            case FactType.SEVERITY_CHANGED:
                if not status.closed:
                    self._hold_for_new_deadline("severity_changed")
            case FactType.PAUSED:
                self.stopped_times.begin(self.now)
            case FactType.RESUMED:
                self.stopped_times.end(self.now)
            case FactType.RESOLVED:
                self._resolve("workaround" if fact.workaround else "resolved", was_paused)
            case FactType.CANCELLED:
                self._close(ClockOutcome.CANCELLED, "cancelled", was_paused)
            case FactType.REOPENED:
                self._reopen()
            case FactType.ACKNOWLEDGED:
                self._acknowledge(fact)
            case FactType.ESCALATED:
                self._escalate(fact)

    def change_rules(self, rules: Rules) -> None:
        """Another policy version governs from `now` on, as at a severity change (docs/rules.md#4-15)."""
        self._rules = rules
        if not self.status.closed:
            self._stale = True
            self._hold_for_new_deadline("policy")

    def _respond(self) -> None:
        self._start_resolution()
        for clock in self._open_clocks[:]:
            if clock.name != "resolution":
                self._end_clock(clock, ClockOutcome.MET)
        if self.ladder is not None and self.ladder.running and self.ladder.started_by == "no_response":
            self._hold("response")

    def _start_resolution(self) -> None:
        self.responded_at = self.now
        # The response clock ends by the target and policy that governed up to now.
        self._measure()
        self.resolution.provisional = False
        self.resolution.started_at = self.now

    def _resolve(self, reason: EndReason, was_paused: bool) -> None:
        was_silent = self._silence_has_passed()
        if self.responded_at is None:
            self._start_resolution()
        self._close(ClockOutcome.MET, reason, was_paused, was_silent=was_silent)

    def _silence_has_passed(self) -> bool:
        """Whether the provisional deadline has passed without a response, and still lies in the past."""
        if not self._silent or self.responded_at is not None:
            return False
        self._measure()
        due_at = self.resolution.due_at
        return due_at is not None and due_at < self.now

    def _hold_for_new_deadline(self, by: HeldBy) -> None:
        """Hold the ladder if its deadline is in the future, or unknown, after a change (docs/rules.md#4-7).

        If a policy version takes the resolution clock away, the deadline stays unknown (docs/rules.md#3-21).
        """
        ladder = self.ladder
        if ladder is None or not ladder.running or ladder.started_by == "explicit":
            return
        self._measure()
        due_at = self.resolution.due_at
        if due_at is None or due_at > self.now:
            self._hold(by)
        else:
            ladder.held = False

    def _hold(self, by: HeldBy) -> None:
        assert self.ladder is not None
        self.ladder.held = True
        self.events.append(self._ladder_event(self.ladder, EventKind.HELD, held_by=by))

    def _close(self, outcome: ClockOutcome, reason: EndReason, was_paused: bool, *, was_silent: bool = False) -> None:
        if was_paused:
            self.stopped_times.end(self.now)
        self._measure()
        if was_silent:
            self._breach(self.resolution)  # adds no step: silence has started a ladder (docs/rules.md#3-13)
        for clock in self._open_clocks[:]:
            self._end_clock(clock, outcome)
        if self.ladder is not None:
            self.events.append(self._ladder_event(self.ladder, EventKind.ENDED, end_reason=reason))
        self.closed_times.begin(self.now)
        self.stopped_times.begin(self.now)

    def _reopen(self) -> None:
        self.closed_times.end(self.now)
        self.stopped_times.end(self.now)
        self._silent = self._silent and self.responded_at is None
        was_late = self._silent or self.resolution.breached_at is not None
        if self.ladder is not None and was_late and self._resolution_measure != "none":
            self.ladder.keep(self.now)
            self.ladders[self.status.cycle] = self.ladder
        else:
            self.ladder = None
        self._begin_cycle()

    def _begin_cycle(self) -> None:
        cycle = self.status.cycle
        # A cycle has three clocks at most.
        before = {clock.name: clock.breached_at for clock in self.clocks[-3:] if clock.cycle == cycle - 1}
        unanswered = self.responded_at is None
        started_at = self.opened_at if self.responded_at is None else self.responded_at
        resolution = RunningClock("resolution", cycle=cycle, started_at=started_at, excluded=self.stopped_times)
        resolution.provisional = unanswered
        clocks = [resolution]
        if unanswered:
            response = RunningClock("response", cycle=cycle, started_at=self.opened_at, excluded=self.closed_times)
            clocks.insert(0, response)
            if self._log.channel == "email":
                answer = RunningClock("answer", cycle=cycle, started_at=self.opened_at, excluded=self.closed_times)
                clocks.append(answer)
        for clock in clocks:
            breached_at = before.get(clock.name)
            if breached_at is not None:
                clock.breach(breached_at)
        self.resolution = resolution
        self.clocks += clocks
        self._open_clocks = clocks[:]
        self._stale = True

    def _acknowledge(self, fact: LoggedFact) -> None:
        if self.ladder is not None and self.ladder.running:
            self.ladder.acknowledge(self.now, fact.actor)
            self.events.append(self._ladder_event(self.ladder, EventKind.HELD, held_by="acknowledged", fact=fact))

    def _escalate(self, fact: LoggedFact) -> None:
        ladder = self.ladder or self._start_ladder("explicit")
        ladder.escalation = fact
        if ladder.running:
            self._climb(ladder, "explicit")

    # What falls due

    def next_due(self) -> Due:
        """The next due event, at `now` or later. One that a change moved into the past takes effect now.

        At one instant clocks come before the ladder.
        """
        if self._stale:
            self._settle()
        now = self.now
        due_at, silence_at = FOREVER, FOREVER
        kind: DueKind = "nothing"
        due_clock: RunningClock | None = None
        for clock in self._open_clocks:
            if clock.breached_at is not None:
                continue
            if clock.warn_at is not None and not clock.warned:
                warned_at = clock.warning_at(now)
                if warned_at is not None and warned_at < due_at:
                    due_at, kind, due_clock = warned_at, "warning", clock
            if clock.due_at is None:
                continue
            at = clock.due_at if clock.due_at > now else now
            if not clock.provisional:
                if at < due_at:
                    due_at, kind, due_clock = at, "breach", clock
            elif self._silent:
                continue
            elif self.ladder is not None:
                silence_at = at
            elif at < due_at:
                due_at, kind, due_clock = at, "step", None
        ladder = self.ladder
        if ladder is not None and ladder.next_at is not None and not self.status.closed:
            at = ladder.next_at if ladder.next_at > now else now
            if at < due_at:
                due_at, kind, due_clock = at, "step", None
        return (silence_at, "silence", None) if silence_at < due_at else (due_at, kind, due_clock)

    def fire_due(self, due: Due) -> Due:
        """Record everything that is due by `now`, `due` first, in order, and return what falls due next."""
        while True:
            at, kind, clock = due
            if at > self.now:
                return due
            if kind == "silence":
                self._silent = True
            elif clock is None:
                self._step()
            elif kind == "warning":
                clock.warned = True
                self._record_clock(_WARNED, clock)
            else:
                self._breach(clock)
            due = self.next_due()

    def _step(self) -> None:
        if self.ladder is None:
            self._silent = True
            self._start_ladder("no_response")
        assert self.ladder is not None
        self._climb(self.ladder, self.ladder.reason)

    def _breach(self, clock: RunningClock) -> None:
        clock.breach(self.now)
        self._record_clock(_BREACHED, clock)
        if clock.name != "resolution":
            return
        if self.ladder is None:
            self._climb(self._start_ladder("resolution_breached"), "resolution_breached")
        elif self.ladder.reason == "no_response":
            self.ladder.reason = "resolution_breached"

    def _start_ladder(self, started_by: EscalationReason) -> Ladder:
        self.ladder = self.ladders[self.status.cycle] = Ladder(started_by, self.now)
        return self.ladder

    def _climb(self, ladder: Ladder, reason: EscalationReason) -> None:
        step = ladder.climb(self.now, len(self._rules.ladder))
        if not self._stale:
            self._schedule_ladder()  # a step changes no clock
        if step is None:
            self.exhausted_at = self.now
            self.events.append(self._ladder_event(ladder, EventKind.EXHAUSTED))
        else:
            fact = ladder.escalation if reason == "explicit" else None
            self.events.append(self._ladder_event(ladder, _STEP_DUE, step=step, reason=reason, fact=fact))

    def open_ladder(self) -> TimelineEvent | None:
        """How the open ladder stands, as the event that would state it; None without one."""
        if self.ladder is None or self.status.closed:
            return None
        return self._ladder_event(self.ladder, EventKind.CONTINUED)

    # Measuring and recording

    def _settle(self) -> None:
        """Measure clocks and ladder again after a change."""
        self._stale = False
        if not self.status.closed:
            self._measure()
            self._schedule_ladder()

    def _schedule_ladder(self) -> None:
        if self.ladder is not None:
            interval = self._rules.interval[self.status.severity]
            self.ladder.schedule(interval, self.resolution.due_at, self.stopped_times)

    def _measure(self) -> None:
        rules, severity = self._rules, self.status.severity
        response_due_at: int | None = None
        for clock in self._open_clocks:
            if clock.name == "resolution":
                self._measure_resolution(clock, rules.resolution[severity], response_due_at)
            elif clock.name == "response":
                clock.measure(rules.response[severity])
                response_due_at = clock.due_at
            else:
                clock.measure(rules.answer)

    def _measure_resolution(self, clock: RunningClock, target: Target, response_due_at: int | None) -> None:
        """Measure the resolution clock as the policy states for the ticket's category (docs/rules.md#3-16)."""
        starts_at = self._log.starts_at
        match self._resolution_measure:
            case "none":
                clock.stop_measuring()
            case "by_start" if starts_at is not None:
                clock.measure(target, response_due_at, WorkStart(starts_at, self._rules.start_warning))
            case _:
                clock.measure(target, response_due_at)

    @property
    def _resolution_measure(self) -> ResolutionMeasure:
        return self._rules.measures[self._log.category]

    def _end_clock(self, clock: RunningClock, outcome: ClockOutcome) -> None:
        self._open_clocks.remove(clock)
        if not clock.measured:
            return
        clock.close(self.now, outcome)
        if clock.breached_at is None:
            self._record_clock(EventKind.MET if outcome is ClockOutcome.MET else EventKind.CANCELLED, clock)

    def _record_clock(self, kind: EventKind, clock: RunningClock) -> None:
        self.events.append(
            TimelineEvent(
                at=self.now,
                kind=kind,
                cycle=self.status.cycle,
                severity=self.status.severity,
                clock=clock.name,
                started_at=clock.started_at,
                due_at=clock.due_at,
            )
        )

    def _ladder_event(
        self,
        ladder: Ladder,
        kind: EventKind,
        *,
        step: int | None = None,
        reason: EscalationReason | None = None,
        end_reason: EndReason | None = None,
        held_by: HeldBy | None = None,
        fact: LoggedFact | None = None,
    ) -> TimelineEvent:
        if self._stale:
            self._settle()
        resolution = self.resolution
        return TimelineEvent(
            at=self.now,
            kind=kind,
            cycle=self.status.cycle,
            severity=self.status.severity,
            step=step,
            reason=reason,
            end_reason=end_reason,
            held_by=held_by,
            kept=ladder.kept,
            started_at=resolution.started_at if resolution.measured else None,
            due_at=resolution.due_at,
            next_at=None if kind is _ENDED else ladder.next_at,
            held=ladder.delayed,
            exhausted_at=ladder.exhausted_at,
            actor=None if fact is None else fact.actor,
            actor_reason=None if fact is None else fact.reason,
            acknowledgements=ladder.acknowledgements if kind in _STATES_ACKNOWLEDGEMENTS else (),
        )
