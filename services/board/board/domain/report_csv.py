"""A report as CSV: one line for each number and each missed target. Pure.

Durations are seconds. A text that a spreadsheet would take for a formula gets an apostrophe in front.
"""

import csv
import io
from collections.abc import Iterator
from typing import Final

from tocsin.instants import render_instant

from board.domain.report import Report
from board.domain.report_numbers import MonthNumbers
from board.domain.time_words import WEEKDAYS

COLUMNS: Final = (
    *("month", "customer", "section", "clock", "severity", "item", "measure", "value", "previous", "ticket", "words"),
)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_Value = float | int | str | bool | None
_Line = tuple[str, str, int | None, str, str, _Value]
"""Section, clock, severity, item, measure, value."""


def render_csv(report: Report) -> str:
    """The report, with a header, by RFC 4180."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    customer = report.customer or ""
    current = {line[:5]: line[5] for line in _numbers(report.current)}
    previous = {line[:5]: line[5] for line in _numbers(report.previous)}
    for key in dict.fromkeys((*current, *previous)):
        section, clock, severity, item, measure = key
        cells = (section, clock, severity, item, measure, current.get(key), previous.get(key), None, None)
        writer.writerow(map(_cell, (report.month, customer, *cells)))
    for miss in report.misses:
        ticket = f"{miss.source}/{miss.external_id}"
        writer.writerow(
            map(
                _cell,
                (
                    *(report.month, miss.customer, "miss", miss.clock, miss.severity, miss.summary, "late_seconds"),
                    *(miss.late_seconds, None, ticket, f"{render_instant(miss.missed_at)}: {miss.reason}"),
                ),
            )
        )
    return file.getvalue()


def _cell(value: _Value) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str():
            return f"'{value}" if value.lstrip(" ").startswith(_FORMULA) else value
        case _:
            return str(value)


def _numbers(numbers: MonthNumbers) -> Iterator[_Line]:
    yield from _level_lines(numbers)
    for distribution in numbers.distributions:
        for one in distribution.bins:
            item = f"above {one.above_percent} %" if one.to_percent is None else f"to {one.to_percent} %"
            yield "distribution", distribution.clock, None, item, "met", one.met
            yield "distribution", distribution.clock, None, item, "breached", one.breached
    for channel in numbers.channels:
        item = channel.promise + (f" ({channel.customer})" if channel.customer else "")
        for measure in ("tickets", "unanswered", "mean_seconds", "target_seconds", "met"):
            yield "channel", "", None, item, measure, getattr(channel, measure)
    for tier in numbers.tiers:
        yield "ladder", "", None, f"{tier.tier} {tier.title}", "tickets", tier.tickets
        yield "ladder", "", None, f"{tier.tier} {tier.title}", "highest", tier.highest
    yield "ladder", "", None, "all tiers", "tickets", numbers.escalated_tickets
    for spent in numbers.time:
        for measure in ("ours", "customer", "outside_hours", "closed", "gross"):
            yield "time", spent.clock, None, "", f"{measure}_seconds", getattr(spent, f"{measure}_seconds")
    for section, map_ in (("openings", numbers.openings), ("breaches", numbers.breaches)):
        for day, hours in zip(WEEKDAYS, map_, strict=True):
            for hour, count in enumerate(hours):
                yield section, "", None, f"{day} {hour:02}:00", "count", count
    remarks = numbers.remarks
    for name in remarks.__slots__:
        if name != "excluded_categories":
            yield "remark", "", None, name, "clocks", getattr(remarks, name)
    for category in remarks.excluded_categories:
        yield "remark", "", None, f"excluded {category.category}", "tickets", category.tickets


def _level_lines(numbers: MonthNumbers) -> Iterator[_Line]:
    for level in (*numbers.levels, *numbers.totals):
        item = level.promise or "all severities"
        for measure in ("percent_met", "met", "breached", "cancelled", "durations", "median_seconds", "p90_seconds"):
            yield "level", level.clock, level.severity, item, measure, getattr(level, measure)
