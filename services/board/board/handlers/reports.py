"""Builds the report of a month from the responses of sla-timer and the escalator."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from tocsin.business_time import load_zone

from board.domain.report import Report, ReportState
from board.domain.report_input import ReportedAverage, ReportedClock, ReportedShare, ReportedTerms
from board.domain.report_misses import misses_of
from board.domain.report_month import ReportMonth
from board.domain.report_numbers import MonthNumbers
from board.domain.report_statistics import month_numbers
from board.errors import TooManyReportsError, UnknownCustomerError
from board.sources.report_source import GetJson, ReportSource

_FIRST: Final = datetime(1990, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(2101, 1, 1, tzinfo=UTC)
_MOMENT: Final = timedelta(microseconds=1)
MOST_AT_ONCE: Final = 2
"""Reports that one process builds at the same time: each may keep a core busy for seconds."""
LONGEST_WAIT_SECONDS: Final = 5.0


class ReportSlots:
    """Limits how many reports are built at the same time. One per process."""

    def __init__(self, *, longest_wait: float = LONGEST_WAIT_SECONDS) -> None:
        self._free = asyncio.Semaphore(MOST_AT_ONCE)
        self._longest_wait = longest_wait

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        """Hold a slot. Raises TooManyReportsError if none is free within `longest_wait` seconds."""
        try:
            async with asyncio.timeout(self._longest_wait):
                await self._free.acquire()
        except TimeoutError:
            raise TooManyReportsError from None
        try:
            yield
        finally:
            self._free.release()


async def build_report(
    get: GetJson, now: datetime, *, tenant: str, month: ReportMonth, customer: str | None = None
) -> Report:
    """The report of a month for a customer of the tenant, or for all of them. `now` is business time.

    Raises UpstreamError, and UnknownCustomerError for a customer without any number in any month.
    """
    source = ReportSource(get, tenant, customer)
    zone = load_zone((await source.terms(now)).zone)
    first_month = _first_month(*await source.compliance(_FIRST, _LAST))
    if customer is not None and first_month is None:
        raise UnknownCustomerError(customer)
    begin, end, begin_before = month.begin(zone), month.after.begin(zone), month.before.begin(zone)
    terms = await source.terms(max(_FIRST, min(end - _MOMENT, now)))
    clocks, complete_through = await source.outcomes(begin, end, ledger=True)
    clocks_before, _ = await source.outcomes(begin_before, begin, ledger=False)
    return Report(
        month=str(month),
        title=month.words,
        previous_month=str(month.before),
        previous_title=month.before.words,
        next_month=str(month.after) if end <= now else None,
        customer=customer,
        customer_name=_customer_name(customer, [*clocks_before, *clocks]),
        zone=zone.key,
        begin=begin,
        end=end,
        made_at=now,
        complete_through=complete_through,
        state=_state(month, first_month, begin=begin, end=end, now=now),
        first_month=first_month,
        policy_version=terms.policy_version,
        current=await _numbers(source, clocks, terms, month, zone),
        previous=await _numbers(source, clocks_before, terms, month.before, zone),
        misses=await asyncio.to_thread(misses_of, clocks, zone),
    )


async def _numbers(
    source: ReportSource, clocks: Sequence[ReportedClock], terms: ReportedTerms, month: ReportMonth, zone: ZoneInfo
) -> MonthNumbers:
    begin, end = month.begin(zone), month.after.begin(zone)
    _, averages = await source.compliance(begin, end)
    ladders = await source.ladders(begin, end)
    # In a thread: thousands of clocks take seconds, and other people watch the board meanwhile.
    return await asyncio.to_thread(month_numbers, clocks, averages, ladders, terms, begin=begin, end=end, zone=zone)


def _first_month(shares: Iterable[ReportedShare], averages: Iterable[ReportedAverage]) -> str | None:
    months = [share.month for share in shares] + [one.month for one in averages if one.month is not None]
    return min(months, default=None)


def _customer_name(customer: str | None, clocks: Sequence[ReportedClock]) -> str | None:
    """The name that the latest ticket states; without one, the id."""
    if customer is None:
        return None
    return clocks[-1].customer.name if clocks else customer


def _state(
    month: ReportMonth, first_month: str | None, *, begin: datetime, end: datetime, now: datetime
) -> ReportState:
    if now < begin:
        return ReportState.NOT_BEGUN
    if now < end:
        return ReportState.SO_FAR
    if first_month is None or str(month) < first_month:
        return ReportState.NO_DATA
    return ReportState.COMPLETE
