"""Compliance: the outcomes of clocks in a period, and the average response times of channels. Pure.

See docs/rules.md#6-channels-and-mailboxes.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tocsin.business_time import SECOND


class Grouping(StrEnum):
    """What the outcomes of clocks can be grouped by. They are always grouped by clock."""

    CLOCK = "clock"
    SEVERITY = "severity"
    CUSTOMER = "customer"
    MONTH = "month"


class OutcomeCount(NamedTuple):
    """How many clocks have this outcome: `met`, `breached` or `cancelled`. `month` has the form `2026-06`."""

    clock: str
    severity: int
    customer: str
    month: str
    outcome: str
    clocks: int


@dataclass(frozen=True, slots=True)
class OutcomeShare:
    """The outcomes of a group of clocks. `severity`, `customer` and `month` are null where they are not grouped by.

    `percent_met` is met out of met and breached; null where there is neither: no data is not a pass.
    """

    clock: str
    severity: int | None
    customer: str | None
    month: str | None
    met: int
    breached: int
    cancelled: int

    @property
    def percent_met(self) -> float | None:
        decided = self.met + self.breached
        return round(100 * self.met / decided, 3) if decided else None


@dataclass(frozen=True, slots=True)
class ChannelTicket:
    """A ticket that counts for the average of its channel. Without a response, it counts with its age."""

    channel: str
    opened_at: datetime
    responded_at: datetime | None
    closed_at: datetime | None


@dataclass(frozen=True, slots=True)
class ChannelAverage:
    """The mean response time of a channel in a calendar month.

    `met`: the mean is strictly less than the target. A channel without any ticket has one entry, whose month, mean and
    `met` are null.
    """

    channel: str
    month: str | None
    items: int
    mean_seconds: float | None
    target_seconds: float
    met: bool | None


def outcome_shares(outcomes: Iterable[OutcomeCount], groupings: Sequence[Grouping]) -> list[OutcomeShare]:
    """The shares by clock and by these groupings, sorted by them."""
    by_severity, by_customer, by_month = (
        grouping in groupings for grouping in (Grouping.SEVERITY, Grouping.CUSTOMER, Grouping.MONTH)
    )
    counts: dict[tuple[str, int | None, str | None, str | None], Counter[str]] = defaultdict(Counter)
    for one in outcomes:
        group = (
            one.clock,
            one.severity if by_severity else None,
            one.customer if by_customer else None,
            one.month if by_month else None,
        )
        counts[group][one.outcome] += one.clocks
    return [
        OutcomeShare(
            clock=clock,
            severity=severity,
            customer=customer,
            month=month,
            met=count["met"],
            breached=count["breached"],
            cancelled=count["cancelled"],
        )
        for (clock, severity, customer, month), count in sorted(
            counts.items(), key=lambda item: [part for part in item[0] if part is not None]
        )
    ]


def channel_averages(
    tickets: Iterable[ChannelTicket], targets: Mapping[str, int], *, zone: str, now: datetime
) -> list[ChannelAverage]:
    """The averages by channel and month of the opening, in `zone`, sorted. `targets` are in microseconds."""
    local = ZoneInfo(zone)
    totals: dict[tuple[str, str], timedelta] = defaultdict(timedelta)
    items: Counter[tuple[str, str]] = Counter()
    for ticket in tickets:
        key = ticket.channel, ticket.opened_at.astimezone(local).strftime("%Y-%m")
        totals[key] += (ticket.responded_at or ticket.closed_at or now) - ticket.opened_at
        items[key] += 1
    averages = [
        ChannelAverage(
            channel=channel,
            month=month,
            items=count,
            mean_seconds=totals[channel, month].total_seconds() / count,
            target_seconds=targets[channel] / SECOND,
            # In whole microseconds: rounding never brings a mean below its target.
            met=totals[channel, month] < count * timedelta(microseconds=targets[channel]),
        )
        for (channel, month), count in items.items()
    ]
    without_tickets = targets.keys() - {channel for channel, _ in items}
    averages += [
        ChannelAverage(
            channel=channel,
            month=None,
            items=0,
            mean_seconds=None,
            target_seconds=targets[channel] / SECOND,
            met=None,
        )
        for channel in without_tickets
    ]
    return sorted(averages, key=lambda average: (average.channel, average.month or ""))
