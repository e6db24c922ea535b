"""Which monthly reports are due to be mailed, and the event that requests a mail. Pure.

A report is mailed at six in the morning of the first day after its month, in the zone in which reports count months.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from tocsin.business_time import load_zone
from tocsin.events import MAX_TEXT, Customer, ReportReady, pack_page, report_id

from board.domain.report import Report
from board.domain.report_month import ReportMonth
from board.domain.report_summary import render_summary, report_subject

MOST_MISSED: Final = 3
"""The most months that are caught up after downtime. Older ones are not mailed."""
_HOUR: Final = 6
_EARLIEST_ZONE: Final = timedelta(hours=14)
"""How much earlier than in UTC a month ends in the easternmost zone."""


def mailed_at(month: ReportMonth, zone: ZoneInfo) -> datetime:
    """The instant at which the report of a month is to be mailed, in UTC."""
    after = month.after
    return datetime(after.year, after.number, 1, _HOUR, tzinfo=zone).astimezone(UTC)


def last_due_month(now: datetime, zone: ZoneInfo) -> ReportMonth:
    """The latest month whose report is to be mailed by `now`."""
    ended = ReportMonth.of(now, zone).before
    return ended if mailed_at(ended, zone) <= now else ended.before


def due_months(settled: Collection[ReportMonth], last: ReportMonth) -> Sequence[ReportMonth]:
    """The months whose reports are to be mailed, the oldest first: at most three, which end with `last`.

    `settled` are the months of which nothing is left to mail; the first of them is the one before the board's first
    start.
    """
    months = [last]
    while len(months) < MOST_MISSED:
        months.append(months[-1].before)
    return [month for month in reversed(months) if month > min(settled) and month not in settled]


def may_be_due(settled: Collection[ReportMonth], now: datetime) -> bool:
    """Whether a report may be due, whatever the zone is."""
    ended = ReportMonth.of(now + _EARLIEST_ZONE, ZoneInfo("UTC")).before
    return bool(due_months(settled, ended))


def report_ready(report: Report, *, tenant: str, person: str, page: str, board_url: str | None) -> ReportReady:
    """The event that requests the mail of a report to a person. `page` is its HTML."""
    query = f"?{urlencode({'customer': report.customer})}" if report.customer is not None else ""
    return ReportReady(
        event_id=report_id(tenant, report.month, report.customer, person),
        tenant=tenant,
        month=report.month,
        customer=Customer(id=report.customer, name=report.customer_name or report.customer)
        if report.customer is not None
        else None,
        to=person,
        subject=report_subject(report),
        text=render_summary(report)[:MAX_TEXT],
        page=pack_page(page),
        url=f"{board_url}/reports/{report.month}{query}" if board_url else None,
        at=mailed_at(ReportMonth.parse(report.month), load_zone(report.zone)),
    )
