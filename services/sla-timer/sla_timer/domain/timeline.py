"""A ticket's timeline: what its facts and the policy imply up to an instant, and what follows after it. Pure.

Instants and durations are microseconds; instants count from the epoch, in UTC.
"""

from typing import NamedTuple

from sla_timer.domain.clock import Clock
from sla_timer.domain.timeline_events import FALLS_DUE, TimelineEvent


class ExcludedInterval(NamedTuple):
    """A stretch of time `[start, end)` that does not count; `end` is null while it lasts.

    `closed`: the ticket was closed, and no clock counted. Otherwise it was paused, and the resolution clock did not.
    """

    start: int
    end: int | None
    closed: bool


class CycleLadder(NamedTuple):
    """The ladder of a cycle; `kept`: it is the one of the cycle before."""

    cycle: int
    kept: bool


class Timeline(NamedTuple):
    """The result of `evaluate`: everything up to `until`, inclusive.

    `clocks` are those of every cycle, sorted by cycle, then response, resolution, answer. `events` are in order.
    `agenda` are the events that will occur after `until` if no further fact arrives; how far it reaches is up to the
    caller of `evaluate`. `open_ladder` states how the ladder of an open ticket stands. `exhausted_at` is the last
    instant at which a ladder was exhausted. `excluded` are the intervals that did not count, in order and disjoint.
    """

    until: int
    policy_version: str
    severity: int
    responded_at: int | None
    closed_at: int | None
    exhausted_at: int | None
    clocks: tuple[Clock, ...]
    ladders: tuple[CycleLadder, ...]
    events: tuple[TimelineEvent, ...]
    agenda: tuple[TimelineEvent, ...]
    open_ladder: TimelineEvent | None
    excluded: tuple[ExcludedInterval, ...]

    @property
    def ladder_steps(self) -> list[TimelineEvent]:
        """The steps of all ladders of the ticket, in order."""
        return [event for event in self.events if event.step is not None]

    @property
    def next_due(self) -> TimelineEvent | None:
        """The next event that occurs because time passes; None if nothing is due any more."""
        return next((event for event in self.agenda if event.kind in FALLS_DUE), None)
