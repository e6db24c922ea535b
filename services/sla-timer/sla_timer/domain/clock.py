"""One clock of one cycle of a ticket (RULES 3 and 4)."""

from tocsin.events import ClockName
from tocsin.policy import Target

from sla_timer.domain.intervals import Excluded


class Clock:
    """A clock from the fact that started it to the fact that ended it. Instants and durations in microseconds.

    `due` is None while a pause makes it unknown, `warn` also where no warning applies. `provisional`: the resolution
    clock while nobody has responded; passing its due is silence, no outcome.
    """

    __slots__ = (
        "_measured",
        "breached_at",
        "cycle",
        "due",
        "ended_at",
        "excluded",
        "name",
        "net",
        "outcome",
        "provisional",
        "started_at",
        "target",
        "voided",
        "warn",
        "warned",
    )

    def __init__(
        self, name: ClockName, cycle: int, started_at: int, excluded: Excluded, breached_at: int | None = None
    ) -> None:
        self.name = name
        self.cycle = cycle
        self.started_at = started_at
        self.excluded = excluded
        self.breached_at = breached_at
        self.provisional = False
        self.warned = False
        self.target: Target
        self.due: int | None = None
        self.warn: int | None = None
        self.ended_at: int | None = None
        self.outcome = "running" if breached_at is None else "breached"
        self.net = 0
        self._measured: tuple[Target, int, bool, int] | None = None

    def measure(self, target: Target) -> None:
        """Same start, this target: the due and the warning anew (RULES 4, Severity change)."""
        if not self._moved(target, self.started_at):
            return
        self.due = self.excluded.due(target.measure, self.started_at, target.due)
        self.warn = None
        if target.warn is not None:
            warn = self.excluded.due(target.measure, self.started_at, target.warn)
            if warn is not None and (self.due is None or warn < self.due):
                self.warn = warn

    def measure_provisional(self, target: Target, response_due: int) -> None:
        """Nobody has responded: counted from the response's due, without a warning (RULES 3)."""
        if not self._moved(target, response_due):
            return
        self.due = self.excluded.due(target.measure, response_due, target.due)
        self.warn = None

    def _moved(self, target: Target, since: int) -> bool:
        """Whether anything that decides about the due is not as it was when this was asked last."""
        self.target = target
        basis = (target, since, self.provisional, self.excluded.changes)
        if basis == self._measured:
            return False
        self._measured = basis
        return True

    def warning_after(self, now: int) -> int | None:
        """When the warning is given: not after a breach, once a cycle, not at or after the due."""
        if self.warn is None or self.warned or self.breached_at is not None:
            return None
        at = max(self.warn, now)
        return at if self.due is None or at < self.due else None

    def breach(self, at: int) -> None:
        self.breached_at = at
        self.outcome = "breached"

    def end(self, at: int, outcome: str) -> None:
        """The clock ends; a breach stays."""
        self.ended_at = at
        self.net = self.net_until(at)
        if self.breached_at is None:
            self.outcome = outcome

    def net_until(self, at: int) -> int:
        """What the governing clock counted from the start to `at`."""
        return self.excluded.net(self.target.measure, self.started_at, at)
