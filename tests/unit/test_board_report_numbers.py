"""The numbers of reports against independent computations, for any clocks."""

import math
import statistics
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from board.domain.report_charts import HEAT_STEPS, distribution_columns, heat_steps, share_bar, time_bar
from board.domain.report_input import ReportedAverage, ReportedClock
from board.domain.report_statistics import month_numbers
from hypothesis import given
from hypothesis import strategies as st
from support.report_clocks import BEGIN, END, TARGETS, TERMS, ZONE, numbers_of, reported_clock
from tocsin.instants import render_instant

CLOCKS = st.lists(
    st.builds(
        reported_clock,
        ticket=st.integers(1, 5),
        clock=st.sampled_from(sorted(TARGETS)),
        severity=st.integers(1, 4),
        cycle=st.integers(1, 2),
        outcome=st.sampled_from(["met", "breached", "cancelled"]),
        outcome_at=st.integers(0, 31 * 86400 - 1).map(lambda seconds: BEGIN + timedelta(seconds=seconds)),
        net=st.sampled_from([0.0, 900.0, 900.000001, 3600.0, 3600.5, 86400.0]) | st.integers(0, 400_000).map(float),
        ended_at=st.sampled_from([None, render_instant(END)]),
        silent=st.booleans(),
        by_start=st.booleans(),
        historic=st.booleans(),
        voided=st.sampled_from([[], ["warned"], ["breached", "warned"]]),
        category=st.sampled_from(["incident", "project"]),
    ),
    max_size=40,
)


@given(CLOCKS)
def test_percentages_and_durations_equal_an_independent_computation(clocks: list[ReportedClock]) -> None:
    numbers = numbers_of(clocks)
    for level in (*numbers.levels, *numbers.totals):
        own = [one for one in clocks if one.clock == level.clock and level.severity in (None, one.severity)]
        outcomes = Counter(one.outcome for one in own)
        assert (level.met, level.breached, level.cancelled) == tuple(
            outcomes[x] for x in ("met", "breached", "cancelled")
        )
        decided = outcomes["met"] + outcomes["breached"]
        assert level.percent_met == (round(outcomes["met"] * 100 / decided, 3) if decided else None)
        nets = [
            one.net.total_seconds() for one in own if one.outcome != "cancelled" and one.ended_at and not one.silent
        ]
        assert level.durations == len(nets)
        assert level.median_seconds == (pytest.approx(statistics.median(nets), abs=1e-6) if nets else None)
        assert level.p90_seconds == (sorted(nets)[math.ceil(len(nets) * 0.9) - 1] if nets else None)
    by_severity = [level for level in numbers.levels if level.clock != "answer"]
    for name in ("met", "breached", "cancelled", "durations"):
        for clock in ("response", "resolution"):
            added = sum(getattr(level, name) for level in by_severity if level.clock == clock)
            assert added == getattr(next(total for total in numbers.totals if total.clock == clock), name)


@given(CLOCKS)
def test_bins_times_and_maps_add_up_to_the_clocks(clocks: list[ReportedClock]) -> None:
    numbers = numbers_of(clocks)
    for distribution, spent, total in zip(numbers.distributions, numbers.time, numbers.totals, strict=True):
        measured = [one for one in clocks if one.clock == total.clock and one.has_duration]
        assert distribution.clocks == sum(one.met + one.breached for one in distribution.bins)
        assert distribution.clocks == sum(not one.by_start for one in measured)
        within = sum(one.met + one.breached for one in distribution.bins if one.above_percent < 100)
        assert within == sum(one.net <= one.target_time for one in measured if not one.by_start)
        parts = spent.ours_seconds + spent.customer_seconds + spent.outside_hours_seconds + spent.closed_seconds
        assert parts == pytest.approx(spent.gross_seconds, abs=1e-5)
        assert spent.clocks == len(measured) == total.durations
        assert sum(part.length for part in time_bar(spent)) == (1000 if spent.gross_seconds else 0)
        heights = [sum(part.length for part in column) for column in distribution_columns(distribution)]
        assert max(heights) == (1000 if distribution.clocks else 0)
    assert sum(map(sum, numbers.breaches)) == sum(total.breached for total in numbers.totals)
    openings = sum(one.clock == "response" and one.cycle == 1 for one in clocks)
    assert sum(map(sum, numbers.openings)) == openings
    steps = heat_steps(numbers.breaches)
    assert {step > 0 for row in steps for step in row} == {count > 0 for row in numbers.breaches for count in row}
    assert max(map(max, steps)) == min(HEAT_STEPS, max(map(max, numbers.breaches)))


@given(CLOCKS)
def test_remarks_count_every_clock_that_they_are_about(clocks: list[ReportedClock]) -> None:
    remarks = numbers_of(clocks).remarks
    assert remarks.clocks == len(clocks)
    assert remarks.cancelled == sum(one.outcome == "cancelled" for one in clocks)
    assert remarks.historic == sum(one.historic for one in clocks)
    assert (remarks.voided, remarks.voided_breaches) == (
        sum(one.voided != () for one in clocks),
        sum("breached" in one.voided for one in clocks),
    )
    projects = {one.ticket_id for one in clocks if one.category == "project" and one.clock == "response"}
    assert {one.category: one.tickets for one in remarks.excluded_categories} == (
        {"project": len(projects)} if projects else {}
    )


def test_a_clock_counts_in_the_weekday_and_hour_of_the_zone() -> None:
    """2026-05-04 is a Monday; 03:30Z is still Sunday 23:30 in New York."""
    late = datetime(2026, 5, 4, 3, 30, tzinfo=UTC)
    numbers = numbers_of([reported_clock(outcome="breached", outcome_at=late, net=3600.0)])
    assert (numbers.breaches[6][23], numbers.openings[6][22]) == (1, 1)


def test_both_times_of_a_repeated_hour_count_in_that_hour() -> None:
    twice = [datetime(2026, 11, 1, hour, 30, tzinfo=UTC) for hour in (5, 6)]
    numbers = numbers_of([reported_clock(outcome="breached", outcome_at=at) for at in twice])
    assert numbers.breaches[6][1] == 2


def test_the_depth_of_ladders_counts_tickets_by_their_steps_in_the_month() -> None:
    def ladder(ticket: int, *steps: tuple[int, datetime, bool], end_reason: str | None = None) -> dict[str, Any]:
        told = [
            {
                "cycle": 1,
                "run": 1,
                "step": number,
                "tier": tier,
                "role": "x",
                "at": render_instant(at),
                "voided": voided,
            }
            for number, (tier, at, voided) in enumerate(steps, start=1)
        ]
        return {"ticket_id": str(UUID(int=ticket)), "cycle": 1, "run": 1, "end_reason": end_reason, "told": told}

    inside = BEGIN + timedelta(days=3)
    numbers = numbers_of(
        [],
        [
            ladder(1, (1, BEGIN - timedelta(hours=1), False), (2, BEGIN, False)),
            ladder(2, (1, inside, False), (2, END, False)),
            ladder(2, (1, inside, False)),
            ladder(3, (1, inside, True)),
            ladder(4, (1, inside, False), (2, inside, False), (3, inside, False), end_reason="resolved"),
            ladder(5, (1, inside, False), end_reason="voided"),
        ],
    )
    depths = [(depth.tier, depth.title, depth.tickets, depth.highest) for depth in numbers.tiers]
    assert depths == [(1, "Lead", 2, 1), (2, "Boss", 2, 1), (3, "x", 1, 1)]
    assert numbers.escalated_tickets == 3


def test_means_are_in_the_order_of_the_page_with_its_words() -> None:
    def average(channel: str, customer: str | None, target: float) -> ReportedAverage:
        values = {"channel": channel, "customer": customer, "month": None, "items": 0, "unanswered": 0}
        return ReportedAverage.model_validate(values | {"mean_seconds": None, "target_seconds": target, "met": None})

    averages = [average("chat", None, 300), average("voicemail", None, 3600), average("voicemail", "zeta", 90 * 60)]
    averages.append(average("api", None, 7200))
    numbers = month_numbers([], averages, [], TERMS, begin=BEGIN, end=END, zone=ZONE)
    assert [one.promise for one in numbers.channels] == [
        "Voicemail: Under 1 Hour on Average",
        "Voicemail: Under 90 Minutes on Average",
        "Chat: Under 5 Minutes on Average",
        "Api: Under 2 Hours on Average",
    ]


def test_a_clock_measured_by_another_target_is_named() -> None:
    numbers = numbers_of([reported_clock(target="2 hours"), reported_clock()])
    level = numbers.levels[0]
    assert (level.promise, level.other_targets) == ("3600 s or less", ("2 hours",))


def test_a_bar_of_nothing_is_empty() -> None:
    assert (share_bar(0, 0), share_bar(1, 4), share_bar(4, 4)) == (0, 250, 1000)
