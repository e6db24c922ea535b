"""The ladder of one cycle: when the next tier is told (RULES 5)."""

from tocsin.events import EscalationReason
from tocsin.policy import Target

from sla_timer.domain.intervals import Excluded


class Ladder:
    """A ladder from its first tier on. Instants in microseconds since the epoch.

    `base` is what the interval is counted from: the last tier's scheduled instant, or the reopen. While `held`, the
    next tier waits for the resolution due. `start` is what started it and never changes; `reason` is what its steps
    carry.
    """

    __slots__ = ("acknowledged_at", "base", "exhausted_at", "held", "kept", "next_at", "reason", "start", "step")

    def __init__(self, start: EscalationReason, at: int) -> None:
        self.start: EscalationReason = start
        self.reason: EscalationReason = start
        self.base = at
        self.step = 0
        self.held = False
        self.kept = False
        self.acknowledged_at: int | None = None
        self.exhausted_at: int | None = None
        self.next_at: int | None = at

    @property
    def running(self) -> bool:
        return self.exhausted_at is None

    def schedule(self, interval: Target, resolution_due: int | None, excluded: Excluded) -> None:
        """When the next tier is told if nothing else happens; None while a pause makes that unknown.

        A hold and an acknowledgement both bind: the later instant counts.
        """
        if not self.running:
            self.next_at = None
            return
        at = resolution_due if self.held else excluded.due(interval.measure, self.base, interval.due)
        if at is not None and self.acknowledged_at is not None:
            free = excluded.due(interval.measure, self.acknowledged_at, interval.due)
            at = None if free is None else max(at, free)
        self.next_at = at

    def take(self, at: int, tiers: int) -> int | None:
        """The next step is taken at `at`: its number, or None where the ladder is exhausted instead."""
        self.base = at
        self.held = False
        self.acknowledged_at = None
        if self.step == tiers:
            self.exhausted_at = at
            return None
        self.step += 1
        return self.step

    def keep(self, reopened_at: int) -> None:
        """A reopen keeps the ladder: it goes on one interval after the reopen, whatever held it."""
        self.base = reopened_at
        self.held = False
        self.kept = True
        self.acknowledged_at = None
