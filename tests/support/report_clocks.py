"""Clocks with an outcome in May 2026 as a report receives them, and a report of them. No service is involved."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from board.domain.report import Report, ReportState
from board.domain.report_input import ReportedClock, ReportedLadder, ReportedTerms
from board.domain.report_misses import misses_of
from board.domain.report_numbers import MonthNumbers
from board.domain.report_statistics import month_numbers
from tocsin.instants import render_instant

ZONE: Final = ZoneInfo("America/New_York")
BEGIN: Final = datetime(2026, 5, 1, 4, tzinfo=UTC)
END: Final = datetime(2026, 6, 1, 4, tzinfo=UTC)
TARGETS: Final = {"response": 3600.0, "resolution": 86400.0, "answer": 86400.0}
TERMS_BODY: Final[dict[str, Any]] = {
    "policy_version": "1",
    "zone": "America/New_York",
    "targets": [
        {"clock": clock, "severity": severity, "target": f"{seconds:g} s", "target_seconds": seconds}
        for clock, seconds in TARGETS.items()
        for severity in (1, 2, 3, 4)
    ],
    "categories": [{"category": "project", "measure": "none"}, {"category": "incident", "measure": "target"}],
    "ladder": [{"tier": 1, "role": "lead", "title": "Lead"}, {"tier": 2, "role": "boss", "title": "Boss"}],
}
TERMS: Final = ReportedTerms.model_validate(TERMS_BODY)


def reported_clock(**fields: Any) -> ReportedClock:
    """A met response clock of severity 1, unless stated otherwise."""
    return ReportedClock.model_validate(clock_item(**fields))


def clock_item(**fields: Any) -> dict[str, Any]:
    """The same as sla-timer lists it."""
    outcome_at = fields.pop("outcome_at", BEGIN + timedelta(days=1))
    net = fields.pop("net", 600.0)
    name = fields.get("clock", "response")
    values = {
        "ticket_id": str(UUID(int=fields.pop("ticket", 1))),
        "source": "tests",
        "external_id": "SR-1",
        "summary": "Mail is down",
        "customer": {"id": "acme", "name": "Acme"},
        "channel": "portal",
        "category": "incident",
        "severity": 1,
        "cycle": 1,
        "clock": name,
        "outcome": "met",
        "outcome_at": render_instant(outcome_at),
        "started_at": render_instant(outcome_at - timedelta(seconds=net)),
        "due_at": None,
        "ended_at": render_instant(outcome_at),
        "breached_at": None,
        "target": f"{TARGETS[name]:g} s",
        "target_seconds": TARGETS[name],
        "measure": "elapsed",
        "by_start": False,
        "silent": False,
        "net_seconds": net,
        "gross_seconds": net + 6,
        "paused_seconds": 1.0,
        "outside_hours_seconds": 2.0,
        "closed_seconds": 3.0,
        "historic": False,
        "voided": [],
        "unconfirmed": False,
    }
    return values | fields


def numbers_of(clocks: list[ReportedClock], ladders: list[dict[str, Any]] | None = None) -> MonthNumbers:
    runs = [ReportedLadder.model_validate(ladder) for ladder in ladders or []]
    return month_numbers(clocks, [], runs, TERMS, begin=BEGIN, end=END, zone=ZONE)


def report_of(clocks: Sequence[ReportedClock], **fields: Any) -> Report:
    """The complete report of May 2026 for these clocks, with nothing in April."""
    values: dict[str, Any] = {
        "month": "2026-05",
        "title": "May 2026",
        "previous_month": "2026-04",
        "previous_title": "April 2026",
        "next_month": "2026-06",
        "customer": None,
        "customer_name": None,
        "zone": ZONE.key,
        "begin": BEGIN,
        "end": END,
        "made_at": END + timedelta(hours=8),
        "complete_through": END + timedelta(hours=8),
        "state": ReportState.COMPLETE,
        "first_month": "2026-05",
        "policy_version": "1",
        "current": numbers_of(list(clocks)),
        "previous": numbers_of([]),
        "misses": misses_of(clocks, ZONE),
    }
    return Report(**values | fields)
