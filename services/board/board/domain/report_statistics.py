"""Computes the numbers of a month. Pure."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from tocsin.business_time import SECOND
from tocsin.events import ClockName

from board.domain.report_input import ReportedAverage, ReportedClock, ReportedLadder, ReportedTerms
from board.domain.report_numbers import (
    CLOCK_ORDER,
    ChannelMean,
    Distribution,
    DistributionBin,
    ExcludedCategory,
    MonthNumbers,
    Remarks,
    ServiceLevel,
    TierDepth,
    TimeSpent,
)
from board.domain.slo_page import AVERAGED_CHANNELS, average_promise, promise

_MICROSECOND: Final = timedelta(microseconds=1)
_SEVERITIES: Final = (1, 2, 3, 4)
_EDGES: Final = (25, 50, 75, 100, 150, 200)
"""Upper edges of the shares of a target, in percent, each inclusive; the last group is beyond."""


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
            if begin <= step.at < end:
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
