"""How many reports of mail servers had each result. Nothing here commits."""

from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from notifier.store.tables import REPORT_COUNTS


async def count(connection: AsyncConnection, results: Mapping[str, int]) -> None:
    """Add to the counts, in the order of the results: a consistent order avoids deadlock."""
    for result, number in sorted(results.items()):
        added = insert(REPORT_COUNTS).values(result=result, count=number)
        total = {"count": REPORT_COUNTS.c.count + added.excluded.count}
        await connection.execute(added.on_conflict_do_update(index_elements=["result"], set_=total))


async def load_counts(connection: AsyncConnection) -> dict[str, int]:
    """All counts so far, by result."""
    rows = await connection.execute(select(REPORT_COUNTS.c.result, REPORT_COUNTS.c.count))
    return dict(rows.all())
