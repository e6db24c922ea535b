"""Which monthly reports were published for mailing. Nothing here commits."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.events import ReportReady

from board.domain.report_month import ReportMonth
from board.store.tables import MAILED_REPORTS, OUTBOX, REPORT_MONTHS


async def load_settled(connection: AsyncConnection, tenant: str) -> set[ReportMonth]:
    """The months of which nothing is left to mail. Empty before the first run of the job `report_mail`."""
    query = select(REPORT_MONTHS.c.month).where(REPORT_MONTHS.c.tenant == tenant)
    return {ReportMonth.parse(month) for month in (await connection.execute(query)).scalars()}


async def settle(connection: AsyncConnection, tenant: str, month: ReportMonth, at: datetime) -> None:
    """Record that nothing of this month is left to mail. `at` is business time."""
    row = insert(REPORT_MONTHS).values(tenant=tenant, month=str(month), settled_at=at)
    await connection.execute(row.on_conflict_do_nothing())


async def load_mailed(connection: AsyncConnection, tenant: str, month: ReportMonth) -> set[tuple[str | None, str]]:
    """The customers (None: all in one report) and persons whose reports of this month were published."""
    table = MAILED_REPORTS.c
    query = select(table.customer, table.person).where(table.tenant == tenant, table.month == str(month))
    return {(row.customer, row.person) for row in await connection.execute(query)}


async def publish(connection: AsyncConnection, report: ReportReady, at: datetime) -> bool:
    """Store the event in the outbox, unless it was published before, by this process or another.

    Returns whether it is new. `at` is business time.
    """
    row = insert(MAILED_REPORTS).values(
        report_id=report.event_id,
        tenant=report.tenant,
        month=report.month,
        customer=report.customer.id if report.customer else None,
        person=report.to,
        published_at=at,
    )
    added = await connection.execute(row.on_conflict_do_nothing().returning(MAILED_REPORTS.c.report_id))
    if added.first() is None:
        return False
    await OUTBOX.add(connection, [report])
    return True
