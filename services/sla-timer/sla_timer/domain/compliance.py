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
from tocsin.policy import Policy


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


class ChannelCount(NamedTuple):
    """The tickets of a channel and a customer that were opened in a month, and how long they waited in all.

    A ticket waits until its first response; without one, until it is closed, or until now. `unanswered` are those that
    still wait.
    """

    channel: str
    customer: str
    month: str
    tickets: int
    unanswered: int
    waited: timedelta


@dataclass(frozen=True, slots=True)
class ChannelAverage:
    """The mean response time of a channel in a calendar month, and its target.

    `customer`: the average of a customer with a target of their own; null: that of all others. `met`: the mean is
    strictly less than the target. A channel without any ticket has one entry, whose month, mean and `met` are null.
    """

    channel: str
    customer: str | None
    month: str | None
    items: int
    unanswered: int
    mean_seconds: float | None
    target_seconds: float
    met: bool | None


@dataclass(frozen=True, slots=True)
class ReportFilter:
    """What a report counts; null: everything. `historic`: only outcomes of history, or only live ones."""

    tenant: str | None = None
    customer: str | None = None
    severity: int | None = None
    clock: str | None = None
    channel: str | None = None
    category: str | None = None
    historic: bool | None = None


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


def measured_channels(policies: Iterable[Policy]) -> set[str]:
    """The channels for which any version of the policy states an average, for everyone or for a customer."""
    terms = [one for policy in policies for one in (policy, *policy.customers.values())]
    return {channel for one in terms for channel in one.average_under}


def channel_averages(
    counts: Sequence[ChannelCount], policies: Sequence[Policy], wanted: ReportFilter, *, zone: str, now: datetime
) -> list[ChannelAverage]:
    """The averages by channel, customer with a target of their own, and month of the opening, sorted.

    A month is measured by the version of the policy in force at its end, or now. `counts` are those that `wanted`
    admits; a channel without any ticket that it admits has an entry without a month.
    """
    months = {count.month for count in counts}
    targets = {month: _targets_at(policies, min(_end_of_month(month, zone), now)) for month in months}
    totals: dict[tuple[_Group, str], ChannelCount] = {}
    for count in counts:
        if (group := _group_of(count.channel, count.customer, targets[count.month])) is not None:
            before = totals.get((group, count.month))
            totals[group, count.month] = count if before is None else _added(before, count)
    averages = [
        ChannelAverage(
            *group,
            month=month,
            items=total.tickets,
            unanswered=total.unanswered,
            mean_seconds=total.waited.total_seconds() / total.tickets,
            target_seconds=targets[month][group] / SECOND,
            # In whole microseconds: rounding never brings a mean below its target.
            met=total.waited < total.tickets * timedelta(microseconds=targets[month][group]),
        )
        for (group, month), total in totals.items()
    ]
    averages += [
        ChannelAverage(
            *group, month=None, items=0, unanswered=0, mean_seconds=None, target_seconds=target / SECOND, met=None
        )
        for group, target in _targets_of(wanted, _targets_at(policies, now)).items()
        if group not in {group for group, _ in totals}
    ]
    return sorted(averages, key=lambda average: (average.channel, average.customer or "", average.month or ""))


_Group = tuple[str, str | None]
"""A channel, and the customer whose own target it is measured by; None: all others."""
_Targets = Mapping[_Group, int]
"""The targets of all averages that the policy states, in microseconds."""


def _targets_at(policies: Sequence[Policy], at: datetime) -> _Targets:
    """The targets by the version of the policy in force at an instant. The oldest also governs before its own."""
    ordered = sorted(policies, key=lambda policy: policy.in_force_from)
    policy = ([one for one in ordered if one.in_force_from <= at] or ordered[:1])[-1]
    general: dict[_Group, int] = {(channel, None): target for channel, target in policy.rules(None).channels.items()}
    own: dict[_Group, int] = {
        (channel, customer): policy.rules(customer).channels[channel]
        for customer, terms in policy.customers.items()
        for channel in terms.average_under
    }
    return general | own


def _group_of(channel: str, customer: str, targets: _Targets) -> _Group | None:
    groups: tuple[_Group, ...] = ((channel, customer), (channel, None))
    return next((group for group in groups if group in targets), None)


def _targets_of(wanted: ReportFilter, targets: _Targets) -> _Targets:
    """The targets that concern the channel and the customer of the filter."""
    return {
        (channel, customer): target
        for (channel, customer), target in targets.items()
        if wanted.channel in (None, channel)
        and (wanted.customer is None or _group_of(channel, wanted.customer, targets) == (channel, customer))
    }


def _added(one: ChannelCount, other: ChannelCount) -> ChannelCount:
    return one._replace(
        tickets=one.tickets + other.tickets,
        unanswered=one.unanswered + other.unanswered,
        waited=one.waited + other.waited,
    )


def most_exceeded(averages: Iterable[ChannelAverage]) -> ChannelAverage | None:
    """The average that is highest in relation to its target; without tickets, the general one; None without any."""
    ranked = sorted(averages, key=lambda one: ((one.mean_seconds or 0) / one.target_seconds, one.customer is None))
    return ranked[-1] if ranked else None


def begin_of_month(at: datetime, zone: str) -> datetime:
    """The beginning of the month of an instant, in a zone."""
    return at.astimezone(ZoneInfo(zone)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _end_of_month(month: str, zone: str) -> datetime:
    year, number = map(int, month.split("-"))
    return datetime(year + number // 12, number % 12 + 1, 1, tzinfo=ZoneInfo(zone))
