"""One clock of one cycle of a ticket (docs/rules.md#3-clocks, docs/rules.md#4-pauses-changes-reopening). Pure.

Instants and durations are microseconds.
"""

from enum import StrEnum
from typing import NamedTuple

from tocsin.events import ClockName
from tocsin.policy import Target

from sla_timer.domain.intervals import ExcludedIntervals


class ClockOutcome(StrEnum):
    """The state of a clock. `PAUSED`: the resolution clock runs, and the ticket waits for its customer."""

    RUNNING = "running"
    PAUSED = "paused"
    MET = "met"
    BREACHED = "breached"
    CANCELLED = "cancelled"


class WorkStart(NamedTuple):
    """The instant at which a ticket's work is to start, and how long before it the clock warns (docs/rules.md#3-17)."""

    at: int
    warning: int


class Clock(NamedTuple):
    """A clock as it was evaluated.

    `due_at` is null while a pause makes it unknown, `warn_at` also where no warning applies. `provisional`: the
    resolution clock before the first response. `by_start`: the deadline is the start of the work. `end` is `ended_at`
    or, for a clock that has not ended, the instant to which the timeline was evaluated; `net` is what the clock counted
    up to it.
    """

    cycle: int
    name: ClockName
    provisional: bool
    started_at: int
    warn_at: int | None
    due_at: int | None
    ended_at: int | None
    breached_at: int | None
    outcome: ClockOutcome
    end: int
    net: int
    target: Target
    by_start: bool

    @property
    def gross(self) -> int:
        return self.end - self.started_at


class RunningClock:
    """A clock while the timeline is evaluated, from the fact that started it to the fact that ends it.

    `measured`: the policy states a target for it. Otherwise it has neither deadline nor outcome, and the timeline does
    not contain it (docs/rules.md#3-18).
    """

    __slots__ = (
        "_measured_by",
        "breached_at",
        "by_start",
        "cycle",
        "due_at",
        "ended_at",
        "excluded",
        "measured",
        "name",
        "net",
        "outcome",
        "provisional",
        "started_at",
        "target",
        "warn_at",
        "warned",
    )

    def __init__(self, name: ClockName, *, cycle: int, started_at: int, excluded: ExcludedIntervals) -> None:
        self.name = name
        self.cycle = cycle
        self.started_at = started_at
        self.excluded = excluded
        self.provisional = False
        self.warned = False
        self.measured = False
        self.by_start = False
        self.target: Target
        self.due_at: int | None = None
        self.warn_at: int | None = None
        self.breached_at: int | None = None
        self.ended_at: int | None = None
        self.outcome = ClockOutcome.RUNNING
        self.net = 0
        self._measured_by: tuple[Target, int, bool, int, WorkStart | None] | None = None

    def measure(self, target: Target, response_due_at: int | None = None, work_start: WorkStart | None = None) -> None:
        """Set deadline and warning by this target. Does nothing if nothing has changed since it was last measured.

        A clock keeps its start (docs/rules.md#4-5), but a provisional one is counted from the response deadline, and
        has no warning (docs/rules.md#3-8). A start of the work that lies after the deadline by target replaces it.
        """
        start = response_due_at if self.provisional and response_due_at is not None else self.started_at
        self.target = target
        measured_by = (target, start, self.provisional, self.excluded.version, work_start)
        if measured_by == self._measured_by:
            return
        self._measured_by = measured_by
        self.measured = True
        excluded, measure = self.excluded, target.measure
        counter = excluded.counter(measure, start)
        due_at = excluded.expected_at(measure, counter + target.due, since=start)
        warn_at: int | None = None
        if target.warn is not None and not self.provisional:
            warn_at = excluded.expected_at(measure, counter + target.warn, since=start)
        self.by_start = work_start is not None and work_start.at > due_at
        if work_start is not None and self.by_start:
            due_at = work_start.at
            if not self.provisional:
                before_start = due_at - work_start.warning
                warn_at = before_start if warn_at is None else max(warn_at, before_start)
        self.due_at = excluded.known(due_at)
        self.warn_at = None if warn_at is None or warn_at >= due_at else excluded.known(warn_at)

    def stop_measuring(self) -> None:
        """The policy states no target for this clock. One that has breached stays, without a deadline."""
        self.measured = self.measured and self.breached_at is not None
        self.due_at = self.warn_at = self._measured_by = None

    def warning_at(self, now: int) -> int | None:
        """The instant of the warning, `now` or later; None if the clock will not warn (docs/rules.md#3-4)."""
        if self.warn_at is None or self.warned or self.breached_at is not None:
            return None
        at = max(self.warn_at, now)
        return at if self.due_at is None or at < self.due_at else None

    def breach(self, at: int) -> None:
        self.breached_at = at
        self.outcome = ClockOutcome.BREACHED

    def close(self, at: int, outcome: ClockOutcome) -> None:
        """End the clock. A breach stays its outcome."""
        self.ended_at = at
        self.net = self._net_until(at)
        if self.breached_at is None:
            self.outcome = outcome

    def evaluated(self, until: int, *, paused: bool) -> Clock:
        """The clock at `until`; `paused`: the ticket waits for its customer."""
        running = self.ended_at is None
        pauses = paused and self.outcome is ClockOutcome.RUNNING and self.name == "resolution"
        return Clock(
            cycle=self.cycle,
            name=self.name,
            provisional=self.provisional,
            started_at=self.started_at,
            warn_at=self.warn_at,
            due_at=self.due_at,
            ended_at=self.ended_at,
            breached_at=self.breached_at,
            outcome=ClockOutcome.PAUSED if pauses else self.outcome,
            end=until if self.ended_at is None else self.ended_at,
            net=self._net_until(until) if running else self.net,
            target=self.target,
            by_start=self.by_start,
        )

    def _net_until(self, at: int) -> int:
        measure = self.target.measure
        return self.excluded.counter(measure, at) - self.excluded.counter(measure, self.started_at)
