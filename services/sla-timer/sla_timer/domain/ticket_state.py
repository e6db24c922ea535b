"""A ticket as it stands at an instant: what facts do to it, and what falls due by itself (RULES 3 to 5)."""

from typing import Final, assert_never

from tocsin.events import EndReason, EscalationReason, FactType
from tocsin.policy import Rules

from sla_timer.domain.clock import Clock
from sla_timer.domain.fact_log import Step
from sla_timer.domain.intervals import Excluded
from sla_timer.domain.ladder import Ladder
from sla_timer.domain.timeline_events import Happening, HeldBy, Kind

FOREVER: Final = 1 << 62


class Standing:
    """What stands at `now`. All instants are microseconds since the epoch, UTC.

    clocks: every clock of every cycle, sorted by cycle, then response, resolution, answer.
    ladders: the ladder of each cycle that has one; a reopen may keep the one before.
    resolution: the resolution clock of the present cycle. gaps: the times in which the ticket was closed.
    happenings: what has happened, in order.
    """

    def __init__(self, opening: Step, channel: str, rules: Rules) -> None:
        self.opened_at = self.now = opening.at
        self.channel = channel
        self.rules = rules
        self.severity = opening.severity
        self.responded_at: int | None = None
        self.closed = False
        self.paused = False
        self.cycle = 1
        self.clocks: list[Clock] = []
        self.ladder: Ladder | None = None
        self.ladders: dict[int, Ladder] = {}
        self.exhausted_at: int | None = None
        self.happenings: list[Happening] = []
        self.gaps = Excluded()
        self._stops = Excluded()
        self._open: list[Clock] = []
        self._silent = False
        self._stale = True
        self._begin_cycle()

    @property
    def closed_at(self) -> int | None:
        """When the ticket was closed; None while it is open."""
        return self.gaps.open_since

    def outcome(self, clock: Clock) -> str:
        """As it stands: `paused` is a running resolution clock while the ticket waits for its customer."""
        if clock.outcome == "running" and self.paused and clock.name == "resolution":
            return "paused"
        return clock.outcome

    def apply(self, step: Step) -> bool:
        """A fact happens at `now`. False: it was impossible then and changed nothing."""
        if self.closed and step.type not in (FactType.REOPENED, FactType.SEVERITY_CHANGED):
            return False
        self._stale = True
        match step.type:
            case FactType.OPENED:
                return False
            case FactType.RESPONDED:
                return self._respond()
            case FactType.SEVERITY_CHANGED:
                return self._change_severity(step.severity)
            case FactType.PAUSED:
                return self._pause()
            case FactType.RESUMED:
                return self._resume()
            case FactType.RESOLVED:
                return self._resolve(step.workaround)
            case FactType.CANCELLED:
                return self._close("cancelled", "cancelled")
            case FactType.REOPENED:
                return self._reopen()
            case FactType.ACKNOWLEDGED:
                return self._acknowledge()
            case FactType.ESCALATED:
                return self._escalate()
            case _:
                assert_never(step.type)

    def change_rules(self, rules: Rules) -> None:
        """Another version of the policy governs from `now`: as at a severity change (RULES 4)."""
        self.rules = rules
        if not self.closed:
            self._stale = True
            self._remeasured("policy")

    def next_by_itself(self) -> tuple[int, str]:
        """The earliest thing that happens by itself, and its instant: not before `now`, which is when what a change
        moved into the past takes effect. At one instant the clocks come before the ladder. FOREVER for nothing.
        """
        self._settle()
        now = self.now
        earliest, name, silence = FOREVER, "", FOREVER
        for clock in self._open:
            if clock.breached_at is not None:
                continue
            at = clock.warning_after(now)
            if at is not None and at < earliest:
                earliest, name = at, f"warning:{clock.name}"
            if clock.due is None:
                continue
            at = max(clock.due, now)
            if clock.provisional and (self._silent or self.ladder is not None):
                silence = FOREVER if self._silent else at
            elif at < earliest:
                earliest, name = at, "step" if clock.provisional else f"breach:{clock.name}"
        ladder = self.ladder
        if ladder is not None and not self.closed and ladder.next_at is not None:
            at = max(ladder.next_at, now)
            if at < earliest:
                earliest, name = at, "step"
        return (silence, "silence") if silence < earliest else (earliest, name)

    def judge(self) -> int:
        """Tells all that is due by `now`, in order; what a change moved into the past is effective now. Returns when
        the next thing happens by itself.
        """
        while True:
            at, name = self.next_by_itself()
            if at > self.now:
                return at
            what, _, which = name.partition(":")
            match what:
                case "warning":
                    clock = self._running(which)
                    clock.warned = True
                    self._tell_clock(Kind.WARNED, clock)
                case "breach":
                    self._breach(self._running(which))
                case "silence":
                    self._silent = True
                case _:
                    self._climb()

    def _respond(self) -> bool:
        if self.responded_at is not None:
            return False
        self._first_response()
        for clock in self._open[:]:
            if clock.name != "resolution":
                self._end(clock, "met")
        if self.ladder is not None and self.ladder.running and self.ladder.start == "no_response":
            self._hold("response")
        return True

    def _first_response(self) -> None:
        self.responded_at = self.now
        # The response clock ends by what governed it up to here.
        self._measure()
        clock = self.resolution
        clock.provisional = False
        clock.started_at = self.now

    def _change_severity(self, severity: int) -> bool:
        if severity == self.severity:
            return False
        self.severity = severity
        if not self.closed:
            self._remeasured("severity_changed")
        return True

    def _remeasured(self, by: HeldBy) -> None:
        """A due now in the future, or unknown, holds a ladder that a breach or silence started (RULES 4)."""
        ladder = self.ladder
        if ladder is None or not ladder.running or ladder.start == "explicit":
            return
        self._measure()
        due = self.resolution.due
        if due is None or due > self.now:
            self._hold(by)
        else:
            ladder.held = False

    def _hold(self, by: HeldBy) -> None:
        assert self.ladder is not None
        self.ladder.held = True
        self._tell_ladder(Kind.HELD, held_by=by)

    def _pause(self) -> bool:
        if self.paused:
            return False
        self.paused = True
        self._stops.begin(self.now)
        return True

    def _resume(self) -> bool:
        if not self.paused:
            return False
        self.paused = False
        self._stops.end(self.now)
        return True

    def _resolve(self, workaround: bool) -> bool:
        if workaround and self.severity == 1:
            return False
        if self.responded_at is None:
            self._first_response()
        return self._close("met", "workaround" if workaround else "resolved")

    def _close(self, outcome: str, reason: EndReason) -> bool:
        if self.paused:
            self._resume()
        self._measure()
        for clock in self._open[:]:
            self._end(clock, outcome)
        if self.ladder is not None:
            self._tell_ladder(Kind.ENDED, reason=reason)
        self.closed = True
        self.gaps.begin(self.now)
        self._stops.begin(self.now)
        return True

    def _reopen(self) -> bool:
        if not self.closed:
            return False
        self.closed = False
        self.gaps.end(self.now)
        self._stops.end(self.now)
        silent = self._silent and self.responded_at is None
        if self.ladder is not None and (silent or self.resolution.breached_at is not None):
            self.ladder.keep(self.now)
        else:
            self.ladder = None
        self._silent = silent
        self.cycle += 1
        if self.ladder is not None:
            self.ladders[self.cycle] = self.ladder
        self._begin_cycle()
        return True

    def _acknowledge(self) -> bool:
        if self.ladder is None or not self.ladder.running:
            return False
        self.ladder.acknowledged_at = self.now
        self._tell_ladder(Kind.HELD, held_by="acknowledged")
        return True

    def _escalate(self) -> bool:
        if self.ladder is None:
            self._start_ladder("explicit")
        elif not self.ladder.running:
            return False
        self._take_step("explicit")
        return True

    def _climb(self) -> None:
        if self.ladder is None:
            self._silent = True
            self._start_ladder("no_response")
        assert self.ladder is not None
        self._take_step(self.ladder.reason)

    def _breach(self, clock: Clock) -> None:
        clock.breach(self.now)
        self._tell_clock(Kind.BREACHED, clock)
        if clock.name != "resolution":
            return
        if self.ladder is None:
            self._start_ladder("resolution_breached")
            self._take_step("resolution_breached")
        elif self.ladder.reason == "no_response":
            self.ladder.reason = "resolution_breached"

    def _start_ladder(self, start: EscalationReason) -> None:
        self.ladder = self.ladders[self.cycle] = Ladder(start, self.now)

    def _take_step(self, reason: EscalationReason) -> None:
        assert self.ladder is not None
        step = self.ladder.take(self.now, len(self.rules.ladder))
        self._stale = True
        if step is None:
            self.exhausted_at = self.now
            self._tell_ladder(Kind.EXHAUSTED)
        else:
            self._tell_ladder(Kind.STEP_DUE, step=step, reason=reason)

    def _begin_cycle(self) -> None:
        # A cycle has three clocks at most.
        previous = {clock.name: clock for clock in self.clocks[-3:] if clock.cycle == self.cycle - 1}
        clocks = []
        if self.responded_at is None:
            clocks.append(Clock("response", self.cycle, self.opened_at, self.gaps))
        started_at = self.opened_at if self.responded_at is None else self.responded_at
        self.resolution = Clock("resolution", self.cycle, started_at, self._stops)
        self.resolution.provisional = self.responded_at is None
        clocks.append(self.resolution)
        if self.responded_at is None and self.channel == "email":
            clocks.append(Clock("answer", self.cycle, self.opened_at, self.gaps))
        for clock in clocks:
            before = previous.get(clock.name)
            if before is not None and before.breached_at is not None:
                clock.breach(before.breached_at)
        self.clocks += clocks
        self._open = clocks[:]
        self._stale = True
        self._measure()

    def _settle(self) -> None:
        """Measures anew what the last facts have moved."""
        if not self._stale:
            return
        self._stale = False
        if not self.closed:
            self._measure()
            if self.ladder is not None:
                self.ladder.schedule(self.rules.interval[self.severity], self.resolution.due, self._stops)

    def _measure(self) -> None:
        rules, severity = self.rules, self.severity
        response_due: int | None = None
        for clock in self._open:
            if clock.name == "response":
                clock.measure(rules.response[severity])
                response_due = clock.due
            elif clock.name == "answer":
                clock.measure(rules.answer)
            elif clock.provisional:
                assert response_due is not None
                clock.measure_provisional(rules.resolution[severity], response_due)
            else:
                clock.measure(rules.resolution[severity])

    def _running(self, name: str) -> Clock:
        return next(clock for clock in self._open if clock.name == name)

    def _end(self, clock: Clock, outcome: str) -> None:
        clock.end(self.now, outcome)
        self._open.remove(clock)
        if clock.breached_at is None:
            self._tell_clock(Kind.MET if outcome == "met" else Kind.CANCELLED, clock)

    def _tell_clock(self, kind: Kind, clock: Clock) -> None:
        self.happenings.append(
            Happening(
                self.now,
                kind,
                self.cycle,
                self.severity,
                clock=clock.name,
                started_at=clock.started_at,
                due_at=clock.due,
            )
        )

    def _tell_ladder(
        self,
        kind: Kind,
        *,
        step: int | None = None,
        reason: EscalationReason | EndReason | None = None,
        held_by: HeldBy | None = None,
    ) -> None:
        assert self.ladder is not None
        self._settle()
        self.happenings.append(
            Happening(
                self.now,
                kind,
                self.cycle,
                self.severity,
                step=step,
                reason=reason,
                held_by=held_by,
                kept=self.ladder.kept,
                started_at=self.resolution.started_at,
                due_at=self.resolution.due,
                next_at=self.ladder.next_at,
            )
        )
