"""The numbers of a month. Pure.

A clock counts in the month of its outcome, with the severity that governed it, as in compliance (docs/rules.md#6-3).
Durations are the net times of clocks that are met or breached and have ended; a clock that silence decided
(docs/rules.md#3-12) has none. `median_seconds` is the mean of the two middle ones of an even number; `p90_seconds` is
the smallest duration that at least 90 % of the clocks did not exceed.
"""

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from tocsin.business_time import SECOND
from tocsin.events import ClockName

from board.domain.report_input import ReportedAverage, ReportedClock, ReportedLadder, ReportedTerms
from board.domain.slo_page import AVERAGED_CHANNELS, average_promise, promise

CLOCK_ORDER: Final[Sequence[ClockName]] = ("response", "resolution", "answer")
_MICROSECOND: Final = timedelta(microseconds=1)
_SEVERITIES: Final = (1, 2, 3, 4)
_EDGES: Final = (25, 50, 75, 100, 150, 200)
"""Upper edges of the shares of a target, in percent, each inclusive; the last group is beyond."""


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
    """The mean response time of a channel. `customer` has a target of their own; null: all others."""

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
    """Where the time of the clocks with a duration went. The four parts add up to `gross_seconds`.

    Ours is what the clock counted. The customer's is waiting for the customer, also outside business hours. `closed` is
    the time between a resolve and a reopen.
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
    """What the numbers contain and leave out, in clocks; `voided` are those of which late evidence voided an event.

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


def month_numbers(
    clocks: Sequence[ReportedClock],
    averages: Iterable[ReportedAverage],
    ladders: Iterable[ReportedLadder],
    terms: ReportedTerms,
    *,
    begin: datetime,
    end: datetime,
    zone: ZoneInfo,
) -> MonthNumbers:
    """The numbers of the month `[begin, end)`; `clocks` and `averages` are those of that month."""
    by_clock: dict[ClockName, list[ReportedClock]] = defaultdict(list)
    for clock in clocks:
        by_clock[clock.clock].append(clock)
    targets = {(one.clock, one.severity): one.target for one in terms.targets}
    levels = [
        _level(name, severity, targets[name, severity], [one for one in by_clock[name] if one.severity == severity])
        for name in ("response", "resolution")
        for severity in _SEVERITIES
    ]
    answer = _level("answer", None, targets["answer", 1], by_clock["answer"])
    tiers, escalated = _depths(ladders, terms, begin=begin, end=end)
    first_responses = [one.started_at for one in by_clock["response"] if one.cycle == 1]
    return MonthNumbers(
        levels=(*levels, answer),
        totals=tuple(_level(name, None, "", by_clock[name]) for name in CLOCK_ORDER),
        distributions=tuple(_distribution(name, by_clock[name]) for name in CLOCK_ORDER),
        channels=tuple(map(_channel_mean, sorted(averages, key=_page_order))),
        tiers=tiers,
        escalated_tickets=escalated,
        time=tuple(_time_spent(name, by_clock[name]) for name in CLOCK_ORDER),
        openings=_by_weekday_and_hour(first_responses, zone),
        breaches=_by_weekday_and_hour((one.outcome_at for one in clocks if one.outcome == "breached"), zone),
        remarks=_remarks(clocks, terms),
    )


def _level(clock: ClockName, severity: int | None, target: str, clocks: Sequence[ReportedClock]) -> ServiceLevel:
    outcomes = Counter(one.outcome for one in clocks)
    decided = outcomes["met"] + outcomes["breached"]
    durations = sorted(one.net // _MICROSECOND for one in clocks if one.has_duration)
    others = {one.target for one in clocks if one.is_decided} - {target}
    return ServiceLevel(
        clock=clock,
        severity=severity,
        promise=promise(clock, severity or 1, target) if target else "",
        target=target,
        other_targets=tuple(sorted(others)) if target else (),
        met=outcomes["met"],
        breached=outcomes["breached"],
        cancelled=outcomes["cancelled"],
        percent_met=round(100 * outcomes["met"] / decided, 3) if decided else None,
        durations=len(durations),
        median_seconds=statistics.median(durations) / SECOND if durations else None,
        # The nearest rank, in whole numbers: 90 % of 10 are 9.
        p90_seconds=durations[-(-len(durations) * 9 // 10) - 1] / SECOND if durations else None,
    )


def _distribution(clock: ClockName, clocks: Iterable[ReportedClock]) -> Distribution:
    measured = [one for one in clocks if one.has_duration and not one.by_start]
    counts = Counter((_bin_of(one), one.outcome) for one in measured)
    bins = [
        DistributionBin(
            above_percent=above, to_percent=to, met=counts[index, "met"], breached=counts[index, "breached"]
        )
        for index, (above, to) in enumerate(zip((0, *_EDGES), (*_EDGES, None), strict=True))
    ]
    return Distribution(clock, len(measured), tuple(bins))


def _bin_of(clock: ReportedClock) -> int:
    return sum(clock.net * 100 > clock.target_time * edge for edge in _EDGES)


def _page_order(average: ReportedAverage) -> tuple[int, str, str]:
    """Voicemail, chat, then the channels that the page does not have."""
    known = (*AVERAGED_CHANNELS, average.channel)
    return known.index(average.channel), average.channel, average.customer or ""


def _channel_mean(average: ReportedAverage) -> ChannelMean:
    target_seconds = average.target_time.total_seconds()
    return ChannelMean(
        channel=average.channel,
        customer=average.customer,
        promise=average_promise(average.channel, target_seconds),
        tickets=average.items,
        unanswered=average.unanswered,
        mean_seconds=average.mean_seconds,
        target_seconds=target_seconds,
        met=average.met,
    )


def _depths(
    ladders: Iterable[ReportedLadder], terms: ReportedTerms, *, begin: datetime, end: datetime
) -> tuple[tuple[TierDepth, ...], int]:
    """The depth by tier, and the number of tickets with any step in the month."""
    notified: dict[object, set[int]] = defaultdict(set)
    roles: dict[int, str] = {}
    for ladder in ladders:
        for step in ladder.steps:
            if begin <= step.at < end and not step.voided:
                notified[ladder.ticket_id].add(step.tier)
                roles[step.tier] = step.role.replace("_", " ")
    titles = roles | {tier.tier: tier.title for tier in terms.ladder}
    depths = [
        TierDepth(
            tier=tier,
            title=title,
            tickets=sum(tier in tiers for tiers in notified.values()),
            highest=sum(tier == max(tiers) for tiers in notified.values()),
        )
        for tier, title in sorted(titles.items())
    ]
    return tuple(depths), len(notified)


def _time_spent(clock: ClockName, clocks: Iterable[ReportedClock]) -> TimeSpent:
    measured = [one for one in clocks if one.has_duration]
    none = timedelta(0)
    return TimeSpent(
        clock=clock,
        clocks=len(measured),
        gross_seconds=sum((one.gross for one in measured), none).total_seconds(),
        ours_seconds=sum((one.net for one in measured), none).total_seconds(),
        customer_seconds=sum((one.paused for one in measured), none).total_seconds(),
        outside_hours_seconds=sum((one.outside_hours for one in measured), none).total_seconds(),
        closed_seconds=sum((one.closed for one in measured), none).total_seconds(),
    )


def _by_weekday_and_hour(instants: Iterable[datetime], zone: ZoneInfo) -> tuple[tuple[int, ...], ...]:
    local = [at.astimezone(zone) for at in instants]
    counts = Counter((at.weekday(), at.hour) for at in local)
    return tuple(tuple(counts[day, hour] for hour in range(24)) for day in range(7))


def _remarks(clocks: Sequence[ReportedClock], terms: ReportedTerms) -> Remarks:
    unmeasured = {one.category for one in terms.categories if one.measure == "none"}
    excluded: dict[str, set[object]] = defaultdict(set)
    for one in clocks:
        if one.clock == "response" and one.category in unmeasured:
            excluded[one.category].add(one.ticket_id)
    return Remarks(
        clocks=len(clocks),
        cancelled=sum(not one.is_decided for one in clocks),
        historic=sum(one.historic for one in clocks),
        voided=sum(bool(one.voided) for one in clocks),
        voided_breaches=sum("breached" in one.voided for one in clocks),
        unconfirmed=sum(one.unconfirmed for one in clocks),
        running=sum(one.is_decided and one.ended_at is None for one in clocks),
        silent=sum(one.silent for one in clocks),
        by_start=sum(one.by_start and one.has_duration for one in clocks),
        excluded_categories=tuple(ExcludedCategory(name, len(tickets)) for name, tickets in sorted(excluded.items())),
    )
