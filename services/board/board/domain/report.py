"""A report of a month: its numbers, those of the month before, and each missed target. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import orjson
from tocsin.instants import render_instant

from board.domain.report_misses import Miss
from board.domain.report_numbers import MonthNumbers, Remarks
from board.domain.report_words import count_words


class ReportState(StrEnum):
    """How much of the month a report covers. `no_data`: it ended before anything was decided or opened."""

    COMPLETE = "complete"
    SO_FAR = "so_far"
    NOT_BEGUN = "not_begun"
    NO_DATA = "no_data"


@dataclass(frozen=True, slots=True)
class Report:
    """The report of a month `[begin, end)` in the policy's zone. `customer` is null for all customers of the tenant.

    `first_month` is the first month with any data, null without any. `complete_through` is sla-timer's watermark: no
    outcome up to it is missing.
    """

    month: str
    title: str
    previous_month: str
    previous_title: str
    next_month: str | None
    customer: str | None
    customer_name: str | None
    zone: str
    begin: datetime
    end: datetime
    made_at: datetime
    complete_through: datetime | None
    state: ReportState
    first_month: str | None
    policy_version: str
    current: MonthNumbers
    previous: MonthNumbers
    misses: tuple[Miss, ...]

    @property
    def is_final(self) -> bool:
        """Whether every outcome of the month is decided. Late evidence may still change one."""
        return self.complete_through is not None and self.complete_through >= self.end

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show: no clock was decided and no ticket of a measured channel opened."""
        return not (self.current.remarks.clocks or any(channel.tickets for channel in self.current.channels))

    @property
    def state_words(self) -> str:
        """Why the month is incomplete or empty, as a sentence; an empty text for a complete month with data."""
        if self.state is ReportState.NOT_BEGUN:
            return f"{self.title} has not begun."
        if self.state is ReportState.NO_DATA:
            since = f"The first data is of {self.first_month}." if self.first_month else "There is no data yet."
            return f"{self.title} has no data. {since}"
        if self.is_empty:
            return "No target was decided in this month" + (" so far." if self.state is ReportState.SO_FAR else ".")
        return "The month is not over: the numbers are those so far." if self.state is ReportState.SO_FAR else ""


_JSON: Final = orjson.OPT_PASSTHROUGH_DATETIME


def report_json(report: Report) -> bytes:
    """The report as JSON. Durations are seconds."""
    return orjson.dumps(report, default=_rendered, option=_JSON)


def _rendered(value: Any) -> str:
    if isinstance(value, datetime):
        return render_instant(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def remark_sentences(remarks: Remarks) -> Sequence[str]:
    """Sentences about the clocks that the numbers contain and leave out, one for each of `remarks`."""
    clocks = count_words(remarks.clocks, "clock")
    categories = "; ".join(
        f"{count_words(one.tickets, 'ticket')} of category {one.category.replace('_', ' ')}"
        for one in remarks.excluded_categories
    )
    return [
        f"{clocks} had an outcome in this month: met, breached or cancelled. A clock counts in the month of its"
        " outcome, with the severity that governed it.",
        f"Cancelled: {remarks.cancelled}. They are neither met nor missed, and have no duration.",
        f"Imported as history: {remarks.historic}. They count as all others do.",
        f"Voided: for {count_words(remarks.voided, 'clock')}, late evidence voided a warning or an outcome"
        f" ({remarks.voided_breaches} a breach). They count with the outcome that holds now.",
        f"Unconfirmed: {remarks.unconfirmed}. They were decided while intake was silent, and late facts may void them.",
        f"Missed and still running: {remarks.running}. They count as missed, and have no duration yet.",
        f"Resolved without any response after the deadline for silence: {remarks.silent}. They count as missed, and"
        " have no duration.",
        f"Due at the start of the work (onboarding, offboarding): {remarks.by_start}. They are left out of the"
        " distribution, which compares with the target.",
        f"Without a resolution target by category: {categories or '0 tickets'}. Only their response counts.",
    ]
