"""The numbers of a month. Pure.

A clock counts in the month of its outcome, with the severity that governed it, as in compliance (docs/rules.md#6-3).
Durations are the net times of clocks that are met or breached and have ended; a clock that silence decided
(docs/rules.md#3-12) has none. `median_seconds` is the mean of the two middle ones of an even number; `p90_seconds` is
the smallest duration that at least 90 % of the clocks did not exceed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tocsin.events import ClockName

CLOCK_ORDER: Final[Sequence[ClockName]] = ("response", "resolution", "answer")


@dataclass(frozen=True, slots=True)
class ServiceLevel:
    """The outcomes of a clock for a severity. `percent_met` is met out of met and breached, null without either.

    `severity` is null for the answer clock, whose target is the same for all. `promise` are the page's words,
    `other_targets` the targets by which some of the clocks were measured instead. `durations` is how many clocks the
    median and the 90th percentile are of.
    """

    clock: ClockName
    severity: int | None
    promise: str
    target: str
    other_targets: tuple[str, ...]
    met: int
    breached: int
    cancelled: int
    percent_met: float | None
    durations: int
    median_seconds: float | None
    p90_seconds: float | None

    @property
    def decided(self) -> int:
        """The number of clocks met or breached."""
        return self.met + self.breached


@dataclass(frozen=True, slots=True)
class DistributionBin:
    """How many clocks used a share of their target: more than `above_percent`, at most `to_percent` (null: any)."""

    above_percent: int
    to_percent: int | None
    met: int
    breached: int


@dataclass(frozen=True, slots=True)
class Distribution:
    """The clocks with a duration by the share of their target that they used, without those due at a start of work."""

    clock: ClockName
    clocks: int
    bins: tuple[DistributionBin, ...]


@dataclass(frozen=True, slots=True)
class ChannelMean:
    """The mean response time of a channel. `customer` has a special target; null: all others."""

    channel: str
    customer: str | None
    promise: str
    tickets: int
    unanswered: int
    mean_seconds: float | None
    target_seconds: float
    met: bool | None


@dataclass(frozen=True, slots=True)
class TierDepth:
    """How many tickets had a step that notified this tier, and for how many it was the highest in the month."""

    tier: int
    title: str
    tickets: int
    highest: int


@dataclass(frozen=True, slots=True)
class TimeSpent:
    """How the time of the clocks with a duration was spent. The four parts add up to `gross_seconds`.

    `ours_seconds` is the time that the clock counted, `customer_seconds` the time waiting for the customer, also
    outside business hours, and `closed_seconds` the time between a resolve and a reopen.
    """

    clock: ClockName
    clocks: int
    gross_seconds: float
    ours_seconds: float
    customer_seconds: float
    outside_hours_seconds: float
    closed_seconds: float


@dataclass(frozen=True, slots=True)
class ExcludedCategory:
    """How many tickets of a category without a resolution target had their response decided."""

    category: str
    tickets: int


@dataclass(frozen=True, slots=True)
class Remarks:
    """The clocks that the numbers contain and leave out. `voided`: late evidence voided one of their events.

    `silent`, `running` (breached and not ended) and `cancelled` have no duration, `by_start` are not in the
    distribution.
    """

    clocks: int
    cancelled: int
    historic: int
    voided: int
    voided_breaches: int
    unconfirmed: int
    running: int
    silent: int
    by_start: int
    excluded_categories: tuple[ExcludedCategory, ...]


@dataclass(frozen=True, slots=True)
class MonthNumbers:
    """All numbers of a month. `totals` are the levels of each clock over all severities.

    `openings` and `breaches` are counts by weekday (Monday first) and hour in the zone: of the tickets whose response
    was decided in the month, by their opening, and of missed targets, by the instant of the miss.
    """

    levels: tuple[ServiceLevel, ...]
    totals: tuple[ServiceLevel, ...]
    distributions: tuple[Distribution, ...]
    channels: tuple[ChannelMean, ...]
    tiers: tuple[TierDepth, ...]
    escalated_tickets: int
    time: tuple[TimeSpent, ...]
    openings: tuple[tuple[int, ...], ...]
    breaches: tuple[tuple[int, ...], ...]
    remarks: Remarks

    def total(self, clock: ClockName) -> ServiceLevel:
        """The level of a clock over all severities."""
        return next(level for level in self.totals if level.clock == clock)
