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


class Clock(NamedTuple):
    """A clock as it was evaluated.

    `due_at` is null while a pause makes it unknown, `warn_at` also where no warning applies. `provisional`: the
    resolution clock before the first response. `end` is `ended_at` or, for a clock that has not ended, the instant to
    which the timeline was evaluated; `net` is what the clock counted up to it.
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

    @property
    def gross(self) -> int:
        return self.end - self.started_at


class RunningClock:
    """A clock while the timeline is evaluated, from the fact that started it to the fact that ends it."""

    __slots__ = (
        "_measured_by",
        "breached_at",
        "cycle",
        "due_at",
        "ended_at",
        "excluded",
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
        self.target: Target
        self.due_at: int | None = None
        self.warn_at: int | None = None
        self.breached_at: int | None = None
        self.ended_at: int | None = None
        self.outcome = ClockOutcome.RUNNING
        self.net = 0
        self._measured_by: tuple[Target, int, bool, int] | None = None

    def measure(self, target: Target, response_due_at: int | None = None) -> None:
        """Set deadline and warning by this target. Does nothing if the target, start and exclusions are unchanged.

        A clock keeps its start (docs/rules.md#4-5), but a provisional one is counted from the response deadline, and
        has no warning (docs/rules.md#3-8).
        """
        start = response_due_at if self.provisional and response_due_at is not None else self.started_at
        self.target = target
        measured_by = (target, start, self.provisional, self.excluded.version)
        if measured_by == self._measured_by:
            return
        self._measured_by = measured_by
        counter = self.excluded.counter(target.measure, start)
        self.due_at = self.excluded.reached_at(target.measure, counter + target.due, since=start)
        self.warn_at = None
        if target.warn is not None and not self.provisional:
            warn_at = self.excluded.reached_at(target.measure, counter + target.warn, since=start)
            if warn_at is not None and (self.due_at is None or warn_at < self.due_at):
                self.warn_at = warn_at

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
        )

    def _net_until(self, at: int) -> int:
        measure = self.target.measure
        return self.excluded.counter(measure, at) - self.excluded.counter(measure, self.started_at)
