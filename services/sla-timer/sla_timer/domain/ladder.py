"""The escalation ladder of one cycle: when its next step is due (docs/rules.md#5-escalation-ladder). Pure."""

from typing import Final

from tocsin.events import EscalationReason
from tocsin.policy import Target

from sla_timer.domain.fact_log import LoggedFact
from sla_timer.domain.intervals import ExcludedIntervals
from sla_timer.domain.timeline_events import LadderAcknowledgement

_MOST_ACKNOWLEDGEMENTS: Final = 20
"""A step names the latest ones: its event stays small however often a ladder is acknowledged."""


class Ladder:
    """A ladder while the timeline is evaluated, from its first step on. Instants in microseconds since the epoch.

    `base` is where the interval to the next step starts: the scheduled instant of the last step, or the reopen. While
    `held`, the next step waits for the resolution deadline. `started_by` never changes; `reason` is what the steps
    carry. `kept`: a reopen kept it. `acknowledgements` are the latest of this cycle, in order; `acknowledged_at` is the
    instant of the one that no step has used up (docs/rules.md#5-8). `escalation` is the latest explicit escalation.
    """

    __slots__ = (
        "acknowledged_at",
        "acknowledgements",
        "base",
        "escalation",
        "exhausted_at",
        "held",
        "kept",
        "next_at",
        "reason",
        "started_by",
        "step",
    )

    def __init__(self, started_by: EscalationReason, at: int) -> None:
        self.started_by: EscalationReason = started_by
        self.reason: EscalationReason = started_by
        self.base = at
        self.step = 0
        self.held = False
        self.kept = False
        self.escalation: LoggedFact | None = None
        self.acknowledged_at: int | None = None
        self.acknowledgements: tuple[LadderAcknowledgement, ...] = ()
        self.exhausted_at: int | None = None
        self.next_at: int | None = at

    @property
    def running(self) -> bool:
        return self.exhausted_at is None

    @property
    def delayed(self) -> bool:
        """Whether a hold or an acknowledgement delays the next step."""
        return self.held or self.acknowledged_at is not None

    def schedule(self, interval: Target, resolution_due_at: int | None, excluded: ExcludedIntervals) -> None:
        """Set when the next step is due if nothing else happens; None while a pause makes it unknown.

        A hold and an acknowledgement both apply, and the later instant counts (docs/rules.md#5-9).
        """
        if not self.running:
            self.next_at = None
            return
        at = resolution_due_at if self.held else _one_interval_after(self.base, interval, excluded)
        if at is not None and self.acknowledged_at is not None:
            expires_at = _one_interval_after(self.acknowledged_at, interval, excluded)
            at = None if expires_at is None else max(at, expires_at)
        self.next_at = at
        self._held_until(at)

    def acknowledge(self, at: int, by: str | None) -> None:
        """Hold the next step for one interval (docs/rules.md#5-7)."""
        self.acknowledged_at = at
        earlier = self.acknowledgements[-_MOST_ACKNOWLEDGEMENTS + 1 :]
        self.acknowledgements = (*earlier, LadderAcknowledgement(at, by, None))

    def climb(self, at: int, tiers: int) -> int | None:
        """Take the next step at `at` and return its number; None where the ladder is exhausted instead."""
        self._held_until(at)
        self.base = at
        self.held = False
        self.acknowledged_at = None
        if self.step == tiers:
            self.exhausted_at = at
            return None
        self.step += 1
        return self.step

    def keep(self, reopened_at: int) -> None:
        """Continue one interval after the reopen, also if the ladder was held (docs/rules.md#4-13)."""
        self.base = reopened_at
        self.held = False
        self.kept = True
        self.acknowledged_at = None
        self.acknowledgements = ()

    def _held_until(self, at: int | None) -> None:
        """Note until when the acknowledgement in effect holds the next step."""
        if self.acknowledged_at is not None:
            *earlier, latest = self.acknowledgements
            self.acknowledgements = (*earlier, latest._replace(held_until=at))


def _one_interval_after(start: int, interval: Target, excluded: ExcludedIntervals) -> int | None:
    counter = excluded.counter(interval.measure, start)
    return excluded.reached_at(interval.measure, counter + interval.due, since=start)
