"""The rules once more: slow, literal, and written without sight of the implementation that it checks.

`reference(story)` walks from instant to instant. At each it applies the facts of that instant in intake's order, then
evaluates what has fallen due, counting every deadline anew from the beginning. Numbers such as 4.13 in comments are the
clauses of docs/rules.md that the lines below them follow; "simulate" refers to docs/architecture.md#contracts. Instants
and durations are whole microseconds.

Default policy and default calendar only, but for the automatic actors, which the default policy does not name.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from holidays import country_holidays

MINUTE = 60 * 1_000_000
HOUR = 60 * MINUTE
NEVER = 10**18  # the end of an interval that is still open

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NEW_YORK = ZoneInfo("America/New_York")
HOLIDAYS = country_holidays("US")

Interval = tuple[int, int]  # half-open


@dataclass(frozen=True)
class Target:
    business: bool
    warn: int
    due: int


# 3.1, 3.2: a range gives the warning and the deadline; otherwise the warning is at 75 % of the target.
# 2.6: one business day is 9 hours on the business clock.
RESPONSE = {
    1: Target(business=False, warn=45 * MINUTE, due=1 * HOUR),
    2: Target(business=False, warn=90 * MINUTE, due=2 * HOUR),
    3: Target(business=True, warn=6 * HOUR, due=9 * HOUR),
    4: Target(business=True, warn=8 * HOUR, due=9 * HOUR),
}
RESOLUTION = {
    1: Target(business=False, warn=24 * HOUR * 3 // 4, due=24 * HOUR),
    2: Target(business=False, warn=36 * HOUR * 3 // 4, due=36 * HOUR),
    3: Target(business=True, warn=5 * 9 * HOUR * 3 // 4, due=5 * 9 * HOUR),
    4: Target(business=True, warn=7 * 9 * HOUR * 3 // 4, due=7 * 9 * HOUR),
}
ANSWER = Target(business=False, warn=18 * HOUR, due=24 * HOUR)

# 3.16: what the resolution clock of a category measures.
MEASURES = {
    "incident": "target",
    "user_request": "target",
    "mishandled_request": "target",
    "security": "target",
    "onboarding": "by_start",
    "offboarding": "by_start",
    "project": "none",
}
START_WARNING = 24 * HOUR

LAST_TIER = 6


def reference(story: dict[str, Any], automatic_actors: Sequence[str] = ()) -> dict[str, Any]:
    """What `simulate` returns for `{"facts", "until"}`, without its events."""
    until = instant(story["until"])
    opening = story["facts"][0]
    opened_at = instant(opening["occurred_at"])
    if opening["type"] != "opened" or until < opened_at:
        raise ValueError("a story begins with its opening, and `until` is not before it")

    # 0.3: a fact older than the opening applies at the opening. 0.4: facts apply by (occurred_at, number).
    facts = [(max(instant(fact["occurred_at"]), opened_at), fact) for fact in story["facts"][1:]]
    facts.sort(key=lambda dated: dated[0])  # stable: intake's order within an instant
    # simulate: later facts are not seen; those at `until` have happened.
    facts = [dated for dated in facts if dated[0] <= until]
    # 3.6: an automatic receipt is stored, and ignored.
    facts = [dated for dated in facts if not is_automatic_receipt(dated[1], automatic_actors)]

    ticket = Ticket(opened_at, opening)
    now = opened_at
    while True:
        # 0.6: whatever falls due at an instant is evaluated after all facts of that instant.
        for occurred, fact in facts:
            if occurred == now:
                ticket.apply(fact, now)
        ticket.evaluate_due(now)
        coming = [occurred for occurred, _ in facts if occurred > now] + [due.at for due in ticket.coming(now)]
        if not coming or min(coming) > until:
            return ticket.timeline(until)
        now = min(coming)


@dataclass(frozen=True)
class Coming:
    """Something that falls due; `name` is as in `next` of simulate, None for what `next` does not show."""

    at: int
    name: str | None


@dataclass
class Clock:
    """One clock in one cycle. `final` is its state at its end: an ended clock is not measured again (3.20)."""

    cycle: int
    name: str
    started_at: int
    breached_at: int | None
    warned: bool = False
    ended_at: int | None = None
    final: dict[str, Any] | None = None


@dataclass
class Ladder:
    """From its first tier on. The interval to the next tier counts from `since`."""

    started_by: str  # "explicit", "silence" or "breach"
    since: int
    tier: int = 0
    held: bool = False  # until the resolution deadline
    not_before: int | None = None  # the last severity change
    acknowledged_at: int | None = None
    met_real_breach: bool = False
    exhausted: bool = False


class Ticket:
    def __init__(self, opened_at: int, opening: dict[str, Any]) -> None:
        self.opened_at = opened_at
        self.reported_severity = opening["severity"]
        self.severity = self.reported_severity  # the one that governs
        self.measure = MEASURES[opening.get("category", "incident")]
        starts_at = opening.get("starts_at")
        self.starts_at = None if starts_at is None else instant(starts_at)
        self.first_responded_at: int | None = None
        self.pauses: list[Interval] = []
        self.gaps: list[Interval] = []  # from a resolve or cancel to the reopen
        self.cycle = 1
        self.closed = False
        self.silence_passed = False
        # 3.1: the response and answer clocks start at the opening. 3.8: the resolution clock is provisional until the
        # first response.
        self.clocks = [Clock(1, "response", opened_at, None)]
        # 3.18: a category measured by `none` has no resolution clock.
        if self.measure != "none":
            self.clocks.append(Clock(1, "resolution", opened_at, None))
        if opening.get("channel") == "email":
            self.clocks.append(Clock(1, "answer", opened_at, None))
        self.ladder: Ladder | None = None
        self.steps: list[dict[str, Any]] = []
        self.exhausted_at: int | None = None

    # The effects of facts

    def apply(self, fact: dict[str, Any], now: int) -> None:
        kind = fact["type"]
        # 1.7, 0.10: an assessment and an assignment change no clock.
        if kind in ("assessed", "assigned"):
            return
        # 0.8: while the ticket is closed, anything except a reopen or a severity change is impossible.
        if self.closed and kind not in ("reopened", "severity_changed"):
            return
        match kind:
            case "responded":
                self.responded(now)
            case "severity_changed":
                self.severity_changed(fact["severity"], now)
            case "paused":
                # 0.8: a pause while paused is impossible.
                if not self.paused():
                    self.pauses.append((now, NEVER))
            case "resumed":
                # 4.2: the first resume ends a pause. 0.8: a resume while not paused is impossible.
                self.end_pause(now)
            case "resolved":
                # 0.8: a workaround on severity 1 is impossible.
                if fact.get("resolution_kind") == "workaround" and self.severity == 1:
                    return
                self.resolved(now)
            case "cancelled":
                self.end_pause(now)
                for clock in self.open_clocks():
                    self.end(clock, "cancelled", now)
                self.close(now)
            case "reopened":
                # 0.8: a reopen of an open ticket is impossible.
                if self.closed:
                    self.reopened(now)
            case "acknowledged":
                # 0.8: an acknowledgement without a running ladder is impossible. 5.6: a ladder is running until it ends
                # or is exhausted, also while it is held.
                if self.ladder is not None and not self.ladder.exhausted:
                    self.ladder.acknowledged_at = now
            case "escalated":
                self.escalated(now)
            case _:
                raise ValueError(f"no such fact: {kind}")

    def responded(self, now: int) -> None:
        # 0.8: a second response is impossible. 3.11: a resolve counts as one too.
        if self.first_responded_at is not None:
            return
        self.first_response(now)
        # 3.10: the first response holds a ladder that silence started, until the real deadline. 5.6: what started it
        # stays its start.
        if self.ladder is not None and not self.ladder.exhausted and self.ladder.started_by == "silence":
            self.ladder.held = True
            self.ladder.not_before = None

    def first_response(self, now: int) -> None:
        self.first_responded_at = now
        for clock in self.open_clocks():
            if clock.name == "resolution":
                # 3.7: the clock runs from the first response.
                clock.started_at = now
            else:
                self.end(clock, "met", now)

    def resolved(self, now: int) -> None:
        resolution = self.resolution()
        if resolution is not None and self.silence_was_judged_and_lies_before(now):
            # 3.12: silence never meets a target. The breach is effective at the resolve.
            resolution.breached_at = now
            # 3.13: it adds no step, and in every other respect it is a real breach.
            if self.ladder is not None:
                self.ladder.met_real_breach = True
        # 3.11: a resolve without a response counts as the response, at that instant.
        if self.first_responded_at is None:
            self.first_response(now)
        # 4.2: a resolve or cancel ends an open pause.
        self.end_pause(now)
        for clock in self.open_clocks():
            self.end(clock, "met", now)
        self.close(now)

    def silence_was_judged_and_lies_before(self, now: int) -> bool:
        """3.12: nobody has responded; the provisional deadline has passed, and still lies before `now`."""
        resolution = self.resolution()
        if resolution is None or self.first_responded_at is not None or not self.silence_passed:
            return False
        due = self.due(resolution)
        return due is not None and due < now

    def close(self, now: int) -> None:
        self.closed = True
        self.gaps.append((now, NEVER))

    def reopened(self, now: int) -> None:
        self.closed = False
        self.cycle += 1
        # 4.9: the time in between is excluded, like a pause, for every clock that comes back.
        self.gaps[-1] = (self.gaps[-1][0], now)
        # 4.11: a severity change while the ticket is closed governs the clocks from the reopen on.
        self.severity = self.reported_severity
        # 4.9: the resolution clock always comes back, response and answer only if there has been no response and no
        # resolve. 4.12: a clock that breached keeps its `breached_at`. 3.20: it keeps its `started_at`.
        for clock in [clock for clock in self.clocks if clock.cycle == self.cycle - 1]:
            if clock.name == "resolution" or self.first_responded_at is None:
                self.clocks.append(Clock(self.cycle, clock.name, clock.started_at, clock.breached_at))
        # 4.13: after a breach, or after silence that still lasts, the reopen keeps the ladder, even a held one. It
        # continues one interval after the reopen. Any other reopen keeps no ladder.
        resolution = self.resolution()
        had_breached = resolution is not None and resolution.breached_at is not None
        silent = self.silence_passed and self.first_responded_at is None
        if not (had_breached or silent):
            self.ladder = None
        # 5.12: an exhausted ladder stays exhausted, also where a reopen keeps it.
        elif self.ladder is not None and not self.ladder.exhausted:
            self.ladder.since = now
            self.ladder.held = False
            self.ladder.not_before = None
            self.ladder.acknowledged_at = None

    def severity_changed(self, severity: int, now: int) -> None:
        # 0.8: a change to the same severity is impossible.
        if severity == self.reported_severity:
            return
        # 4.11: while the ticket is closed it is the reported severity at once, and governs from the reopen on.
        self.reported_severity = severity
        if self.closed:
            return
        self.severity = severity
        ladder = self.ladder
        if ladder is None or ladder.exhausted:
            return
        resolution = self.resolution()
        due = None if resolution is None else self.due(resolution)
        # 4.7: a deadline that is unknown because of a pause counts as in the future.
        due_lies_ahead = due is None or due > now
        if due_lies_ahead and ladder.started_by in ("breach", "silence"):
            # 4.7: with a deadline in the future, the change holds a ladder that a breach or silence started.
            ladder.held = True
            ladder.not_before = None
        else:
            # 4.8: otherwise the ladder continues with the new interval, but not before the change.
            ladder.held = False
            ladder.not_before = now

    def escalated(self, now: int) -> None:
        # 5.13: an escalation starts the ladder, or takes the next tier now, in the order of the facts. 0.8: one of an
        # exhausted ladder is impossible.
        if self.ladder is None:
            self.ladder = Ladder("explicit", since=now)
        if not self.ladder.exhausted:
            self.take_next(self.ladder, now, explicit=True)

    def end_pause(self, now: int) -> None:
        if self.paused():
            self.pauses[-1] = (self.pauses[-1][0], now)

    def end(self, clock: Clock, outcome: str, now: int) -> None:
        # 3.3: occurred_at <= due_at is met, since facts come before what falls due. 3.15: a breach stays.
        clock.ended_at = now
        clock.final = self.measured(clock, outcome, now)

    # What falls due

    def evaluate_due(self, now: int) -> None:
        if self.closed:
            return
        for clock in self.open_clocks():
            # 3.4: each clock warns once per cycle; a warning that a change moves into the past is given at the change.
            warn = self.warn(clock)
            if warn is not None and warn <= now:
                clock.warned = True
        for clock in self.open_clocks():
            due = self.due(clock)
            if due is None or due > now or clock.breached_at is not None:
                continue
            if not self.provisional(clock):
                # 4.6, 4.11: a deadline before the change is breached effective at the change, or the reopen. The walk
                # stops at every deadline, so one before `now` was moved there by a fact of `now`.
                clock.breached_at = now
                # 5.2: only a missed resolution, silence or an escalation starts the ladder. 5.3: a missed response or
                # answer does not.
                if clock.name == "resolution":
                    self.start_ladder("breach", now)
            elif not self.silence_passed:
                # 3.9: silence starts the ladder, and is not an outcome of the resolution clock.
                self.silence_passed = True
                self.start_ladder("silence", now)
        while self.ladder is not None:
            scheduled = self.next_tier_at(self.ladder)
            if scheduled is None or scheduled > now:
                break
            self.take_next(self.ladder, scheduled, explicit=False)

    def start_ladder(self, started_by: str, now: int) -> None:
        if self.ladder is None:
            # 5.4: tier 1 is at the instant at which the breach or silence takes effect.
            self.ladder = Ladder(started_by, since=now)
            self.take_next(self.ladder, now, explicit=False)
        elif started_by == "breach":
            # 5.2: a breach while a ladder is running adds no step.
            self.ladder.met_real_breach = True

    def take_next(self, ladder: Ladder, at: int, explicit: bool) -> None:
        if ladder.tier == LAST_TIER:
            # 5.11: one interval after the last tier the ladder is exhausted, which counts as the tier after the last.
            ladder.exhausted = True
            self.exhausted_at = at
            return
        ladder.tier += 1
        # 5.4: tier n+1 is one interval after the scheduled instant of tier n. 5.8: the step uses an acknowledgement up.
        ladder.since = at
        ladder.held = False
        ladder.not_before = None
        ladder.acknowledged_at = None
        # simulate: `tier` equals `step`.
        self.steps.append(
            {"step": ladder.tier, "tier": ladder.tier, "at": written(at), "reason": self.reason(ladder, explicit)}
        )

    def reason(self, ladder: Ladder, explicit: bool) -> str:
        # 5.14: `explicit` is on the steps that an escalation took, and in a ladder that one started.
        if explicit or ladder.started_by == "explicit":
            return "explicit"
        # 5.14: a ladder that silence started carries `resolution_breached` after a real breach.
        if ladder.started_by == "silence" and not ladder.met_real_breach:
            return "no_response"
        return "resolution_breached"

    def next_tier_at(self, ladder: Ladder) -> int | None:
        if ladder.exhausted or self.closed:
            return None
        bounds: list[int | None] = []
        if ladder.held:
            # 4.7: the ladder continues with its next tier at that deadline.
            resolution = self.resolution()
            assert resolution is not None, "only the ladder of a breach or of silence is held"
            bounds.append(self.due(resolution))
        else:
            bounds.append(self.one_interval_after(ladder.since))
        if ladder.not_before is not None:
            bounds.append(ladder.not_before)
        if ladder.acknowledged_at is not None:
            # 5.7: the next tier is at the later of its scheduled instant and the acknowledgement plus one interval, the
            # one that governs at the next tier. 5.9: of a hold and an acknowledgement the later instant counts.
            bounds.append(self.one_interval_after(ladder.acknowledged_at))
        known = [bound for bound in bounds if bound is not None]
        return max(known) if len(known) == len(bounds) else None

    def one_interval_after(self, since: int) -> int | None:
        # 5.5: the interval is the response target of the governing severity, and pauses stop it.
        interval = RESPONSE[self.severity]
        return used_up(interval.business, since, interval.due, self.pauses)

    def coming(self, now: int) -> list[Coming]:
        """What falls due after `now` if there is no further fact: clocks in their order, then the ladder."""
        if self.closed:
            return []
        found = []
        for clock in self.open_clocks():
            warn, due = self.warn(clock), self.due(clock)
            if clock.breached_at is not None:
                continue
            if warn is not None and not clock.warned:
                found.append(Coming(warn, f"warning:{clock.name}"))
            if due is not None and not self.provisional(clock):
                found.append(Coming(due, f"breach:{clock.name}"))
        resolution = self.resolution()
        if resolution is not None and self.provisional(resolution) and not self.silence_passed:
            due = self.due(resolution)
            if due is not None:
                found.append(Coming(due, "step:1" if self.ladder is None else None))
        if self.ladder is not None:
            scheduled = self.next_tier_at(self.ladder)
            if scheduled is not None:
                name = "exhausted" if self.ladder.tier == LAST_TIER else f"step:{self.ladder.tier + 1}"
                found.append(Coming(scheduled, name))
        return [one for one in found if one.at > now]

    # How the clocks count

    def paused(self) -> bool:
        return bool(self.pauses) and self.pauses[-1][1] == NEVER

    def open_clocks(self) -> list[Clock]:
        return [clock for clock in self.clocks if clock.ended_at is None]

    def resolution(self) -> Clock | None:
        return next((clock for clock in reversed(self.clocks) if clock.name == "resolution"), None)

    def provisional(self, clock: Clock) -> bool:
        return clock.name == "resolution" and self.first_responded_at is None

    def target(self, clock: Clock) -> Target:
        if clock.name == "answer":
            return ANSWER  # 3.1: the same for every severity
        return (RESPONSE if clock.name == "response" else RESOLUTION)[self.severity]

    def excluded(self, clock: Clock) -> list[Interval]:
        # 4.1: a pause stops the resolution clock and the ladder only. 4.9: closed times are excluded for every clock.
        return self.gaps + (self.pauses if clock.name == "resolution" else [])

    def due(self, clock: Clock) -> int | None:
        if not self.measured_by_start(clock):
            return self.due_by_target(clock, self.excluded(clock))
        assert self.starts_at is not None
        # 3.17: the start, if it lies after the deadline by target, provisional or real.
        return self.unless_paused(max(self.due_by_target_without_open_pause(clock), self.starts_at))

    def measured_by_start(self, clock: Clock) -> bool:
        # 3.17: without `starts_at` the clock is measured by target.
        return clock.name == "resolution" and self.measure == "by_start" and self.starts_at is not None

    def unless_paused(self, at: int) -> int | None:
        """4.4: while paused an instant is unknown. 4.3: not one that was reached when the pause began."""
        return None if self.paused() and at > self.pauses[-1][0] else at

    def excluded_without_open_pause(self, clock: Clock) -> list[Interval]:
        return [interval for interval in self.excluded(clock) if interval[1] != NEVER]

    def due_by_target_without_open_pause(self, clock: Clock) -> int:
        due = self.due_by_target(clock, self.excluded_without_open_pause(clock))
        assert due is not None, "without an open pause every deadline is known"
        return due

    def due_by_target(self, clock: Clock, excluded: list[Interval]) -> int | None:
        target = self.target(clock)
        start = clock.started_at
        if self.provisional(clock):
            # 3.8: the provisional deadline is the response deadline plus the target; pauses after it extend it.
            response = RESPONSE[self.severity]
            response_due = used_up(response.business, self.opened_at, response.due, self.gaps)
            assert response_due is not None, "nothing pauses a response"
            start = response_due
        return used_up(target.business, start, target.due, excluded)

    def warn(self, clock: Clock) -> int | None:
        # 3.8: a provisional deadline has no warning.
        if self.provisional(clock):
            return None
        target = self.target(clock)
        if self.measured_by_start(clock):
            assert self.starts_at is not None
            by_target = used_up(target.business, clock.started_at, target.warn, self.excluded_without_open_pause(clock))
            assert by_target is not None, "without an open pause every warning is known"
            if self.starts_at <= self.due_by_target_without_open_pause(clock):
                return self.unless_paused(by_target)
            # 3.17: 24 hours before the start, if that is later than the warning by target.
            return self.unless_paused(max(by_target, self.starts_at - START_WARNING))
        warn = used_up(target.business, clock.started_at, target.warn, self.excluded(clock))
        due = self.due(clock)
        # 3.4: a warning that would fall at or after its deadline is not given.
        if warn is not None and due is not None and warn >= due:
            return None
        return warn

    # The timeline

    def measured(self, clock: Clock, outcome: str, until: int) -> dict[str, Any]:
        start = clock.started_at
        return {
            "cycle": clock.cycle,
            "clock": clock.name,
            "provisional": self.provisional(clock),
            "started_at": written(start),
            "warn_at": written_or_none(self.warn(clock)),
            "due_at": written_or_none(self.due(clock)),
            "ended_at": written_or_none(clock.ended_at),
            "breached_at": written_or_none(clock.breached_at),
            "outcome": outcome if clock.breached_at is None else "breached",
            # 3.20: gross runs from the start to the end or `until`; net is what the governing clock counted.
            "gross_seconds": (until - start) / 1_000_000,
            "net_seconds": counted(self.target(clock).business, start, until, self.excluded(clock)) / 1_000_000,
        }

    def timeline(self, until: int) -> dict[str, Any]:
        clocks = []
        for clock in self.clocks:
            if clock.final is not None:
                clocks.append(clock.final)
            else:
                waiting = clock.name == "resolution" and self.paused()
                clocks.append(self.measured(clock, "paused" if waiting else "running", until))
        # simulate: sorted by cycle, then response, resolution, answer.
        clocks.sort(key=lambda clock: (clock["cycle"], ("response", "resolution", "answer").index(clock["clock"])))
        named = [one for one in self.coming(until) if one.name is not None]
        following = min(named, key=lambda one: one.at) if named else None  # the first of those at one instant
        return {
            "policy_version": "1",
            "severity": self.reported_severity,
            "first_responded_at": written_or_none(self.first_responded_at),
            "next_at": written(following.at) if following else None,
            "next": following.name if following else None,
            "clocks": clocks,
            "ladder": self.steps,
            "exhausted_at": written_or_none(self.exhausted_at),
        }


def is_automatic_receipt(fact: dict[str, Any], automatic_actors: Sequence[str]) -> bool:
    # 3.6: the actor matches exactly, or by `*`.
    actor = fact.get("actor")
    return (
        fact["type"] == "responded"
        and actor is not None
        and any(re.fullmatch(".*".join(map(re.escape, one.split("*"))), actor, re.DOTALL) for one in automatic_actors)
    )


def used_up(business: bool, start: int, amount: int, excluded: list[Interval]) -> int | None:
    """The instant at which `amount` has been counted from `start`; None while an open exclusion makes it unknown.

    2.5: a duration used up exactly at a closing is due at that closing. 4.3: so is one at the start of a pause.
    """
    endless = [begin for begin, end in excluded if end == NEVER]
    left = amount
    for window in open_windows(business, start):
        for begin, end in without(window, excluded):
            if end - begin >= left:
                return begin + left
            left -= end - begin
        if any(begin <= window[1] for begin in endless):
            return None
    raise AssertionError("windows never end")


def counted(business: bool, start: int, end: int, excluded: list[Interval]) -> int:
    """How much of `start` to `end` counts."""
    total = 0
    for opening, closing in open_windows(business, start):
        if opening >= end:
            break
        total += sum(last - first for first, last in without((opening, min(closing, end)), excluded))
        if closing == NEVER:
            break
    return total


def without(window: Interval, excluded: list[Interval]) -> list[Interval]:
    pieces = [window]
    for begin, end in excluded:
        parts = [part for first, last in pieces for part in ((first, min(last, begin)), (max(first, end), last))]
        pieces = sorted((first, last) for first, last in parts if first < last)
    return pieces


def open_windows(business: bool, start: int) -> Iterator[Interval]:
    """The windows of a clock from `start` on, in order: one without an end, or the local opening hours day by day."""
    if not business:
        yield start, NEVER
        return
    day = (EPOCH + timedelta(microseconds=start)).astimezone(NEW_YORK).date()
    while True:
        window = opening_hours(day)
        if window is not None and window[1] > start:
            yield max(window[0], start), window[1]
        day += timedelta(days=1)


def opening_hours_after(start: int) -> Interval:
    """The rest of the window that is open at `start`, or the next one."""
    return next(open_windows(True, start))


@cache
def opening_hours(day: date) -> Interval | None:
    # 2.8: Monday to Friday, 08:00 to 17:00, with US federal holidays.
    if day.weekday() >= 5 or day in HOLIDAYS:
        return None
    return local(day, time(8)), local(day, time(17))


def local(day: date, at: time) -> int:
    return microseconds(datetime.combine(day, at, NEW_YORK))


def microseconds(moment: datetime) -> int:
    return (moment.astimezone(UTC) - EPOCH) // timedelta(microseconds=1)


def instant(text: str) -> int:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"an instant without a zone: {text}")
    return microseconds(moment)


def written(at: int) -> str:
    return (EPOCH + timedelta(microseconds=at)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def written_or_none(at: int | None) -> str | None:
    return None if at is None else written(at)
