"""Publishes the reports of each month for the people whom the directory names. The notifier mails them."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.business_time import load_zone
from tocsin.directory import Directory
from tocsin.runtime.process.clock import TimeSource
from tocsin.sources.directory_file import DirectoryFile

from board import metrics
from board.domain.report_mailing import due_months, last_due_month, mailed_at, may_be_due, report_ready
from board.domain.report_month import ReportMonth
from board.errors import UnknownCustomerError, UpstreamError
from board.handlers.report_page import render_report_page
from board.handlers.reports import build_report
from board.sources.report_source import GetJson, ReportSource
from board.store import mailed_reports

log = structlog.get_logger(__name__)

MAIL_CHECK_SECONDS: Final = 60
"""Real time between two runs of `mail_due`."""


class ReportMailer:
    """Publishes each report once for each person, also after downtime and with several replicas.

    A month is settled once the reports of everybody in the directory are published. A person who is added later gets
    the reports of later months. `get` calls the other services. `board_url` is the board's address for people, if it is
    known. `wake_relay` is called when events were committed.
    """

    def __init__(
        self,
        writer: AsyncEngine,
        directory: DirectoryFile,
        clock: TimeSource,
        get: GetJson,
        board_url: str | None,
        wake_relay: Callable[[], None],
    ) -> None:
        self._writer = writer
        self._directory = directory
        self._clock = clock
        self._get = get
        self._board_url = board_url
        self._wake_relay = wake_relay
        self._zone = ZoneInfo("UTC")
        """In which sla-timer counted months when it last responded; UTC before, for a few hours' difference at most."""

    async def mail_due(self) -> None:
        """Publish the reports that are due; a job for the scheduler. The next run repeats what failed.

        At the board's first start nothing is due: the first report is that of the month which ends next.
        """
        directory, now = self._directory.current(), self._clock.now()
        if directory is None:
            return
        async with self._writer.connect() as connection:
            settled = await mailed_reports.load_settled(connection, directory.tenant)
        if not settled or may_be_due(settled, now):
            try:
                await self._mail_months(directory, settled, now)
            except UpstreamError as error:
                metrics.REPORT_FAILURES.labels("upstream").inc()
                log.error("reports_not_mailed", error=str(error))
            async with self._writer.connect() as connection:
                settled = await mailed_reports.load_settled(connection, directory.tenant)
        if settled:
            pending = due_months(settled, last_due_month(now, self._zone))
            overdue = (now - mailed_at(pending[0], self._zone)).total_seconds() if pending else 0
            metrics.REPORTS_OVERDUE.set(overdue)

    async def _mail_months(self, directory: Directory, settled: Collection[ReportMonth], now: datetime) -> None:
        """Publish the reports that are due. Without readers, no other service is called. Raises UpstreamError."""
        source = ReportSource(self._get, directory.tenant, None)
        if directory.reports:
            self._zone = load_zone((await source.terms(now)).zone)
        if not settled:
            await self._settle(directory.tenant, last_due_month(now, self._zone), now)
            return
        for month in due_months(settled, last_due_month(now, self._zone)):
            if not directory.reports or await self._is_complete(source, month):
                await self._mail_month(directory, month, now)

    async def _is_complete(self, source: ReportSource, month: ReportMonth) -> bool:
        """Whether sla-timer has decided everything of the month."""
        end = month.after.begin(self._zone)
        _, through = await source.outcomes(end, end, ledger=False)
        if through is None or through < end:
            log.warning("report_waits_for_data", month=str(month), complete_through=str(through))
            return False
        return True

    async def _mail_month(self, directory: Directory, month: ReportMonth, now: datetime) -> None:
        """Publish the reports of a month that are missing; if none fails, the month is settled."""
        async with self._writer.connect() as connection:
            mailed = await mailed_reports.load_mailed(connection, directory.tenant, month)
        failed = False
        for customer, persons in _missing(directory, mailed).items():
            about = {"month": str(month), "customer": customer}
            try:
                await self._mail_report(directory.tenant, month, customer, persons, now)
            except UpstreamError:
                raise
            except UnknownCustomerError:  # without any ticket there is nothing to report
                metrics.REPORT_FAILURES.labels("unknown_customer").inc()
                log.error("report_of_unknown_customer", **about, persons=persons)
            except Exception:  # the reports of other customers go on
                metrics.REPORT_FAILURES.labels("error").inc()
                log.exception("report_not_mailed", **about)
                failed = True
        if not failed:
            await self._settle(directory.tenant, month, now)

    async def _mail_report(
        self, tenant: str, month: ReportMonth, customer: str | None, persons: Sequence[str], now: datetime
    ) -> None:
        """Publish the report of a month about one customer for these persons. Raises as `build_report` does."""
        report = await build_report(self._get, now, tenant=tenant, month=month, customer=customer)
        page = await asyncio.to_thread(render_report_page, report)
        for person in persons:
            event = report_ready(report, tenant=tenant, person=person, page=page, board_url=self._board_url)
            async with self._writer.begin() as connection:
                is_new = await mailed_reports.publish(connection, event, now)
            if is_new:
                metrics.REPORTS_MAILED.inc()
                log.info("report_published", month=str(month), customer=customer, person=person)
                self._wake_relay()

    async def _settle(self, tenant: str, month: ReportMonth, now: datetime) -> None:
        async with self._writer.begin() as connection:
            await mailed_reports.settle(connection, tenant, month, now)


def _missing(directory: Directory, mailed: set[tuple[str | None, str]]) -> Mapping[str | None, Sequence[str]]:
    """The persons whose report is not published yet, by customer (None: all in one report)."""
    missing: dict[str | None, list[str]] = defaultdict(list)
    for readers in directory.reports:
        missing[readers.customer] += [person for person in readers.to if (readers.customer, person) not in mailed]
    return {customer: persons for customer, persons in missing.items() if persons}
