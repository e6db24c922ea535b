"""Progress: "up to this instant nothing is missing", measured at the outbox (DESIGN, Time)."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tocsin.runtime.database.outbox import Outbox
from tocsin.runtime.errors import WatermarkBlindError
from tocsin.runtime.process.clock import TimeSource

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class WatermarkSource:
    """Which transactions may still bring facts (by their connections' application name), and how business time maps."""

    writers: str
    clock: TimeSource
    interval: float = 0.1

    async def accepted_through(self, engine: AsyncEngine, outbox: Outbox) -> dict[int, datetime]:
        """For each partition the business instant up to which every fact received is published; `engine` in autocommit.

        The order of the three statements is what makes it right: a writer that the second does not see any more is
        visible to the third, or began after the first. In one statement, or another order, facts slip through.
        """
        async with engine.connect() as connection:
            now: datetime = (await connection.execute(text("SELECT clock_timestamp()"))).scalar_one()
            open_writers = (await connection.execute(text(_OPEN_WRITERS), {"writers": self.writers})).one()
            unpublished = (await connection.execute(text(_UNPUBLISHED.format(table=outbox.table.name)))).all()
        if open_writers.hidden:
            raise WatermarkBlindError(
                f"The relay's role cannot see the transactions of {self.writers}: relay and writers must log in as one "
                "role, and track_activities must be on."
            )
        least = min(now, open_writers.oldest or now)
        oldest: dict[int, datetime] = {row.partition: row.received_at for row in unpublished}
        return {
            partition: self.clock.business(min(least, oldest.get(partition, least))) - _MICROSECOND
            for partition in range(outbox.partitions)
        }


_OPEN_WRITERS = """
    SELECT min(xact_start) AS oldest,
           count(*) FILTER (
               WHERE state = 'disabled'
                  OR NOT (pg_has_role(usesysid, 'USAGE') OR pg_has_role('pg_read_all_stats', 'USAGE'))
           ) AS hidden
    FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = :writers
"""
_UNPUBLISHED = """
    WITH RECURSIVE waiting AS (
        (SELECT partition, received_at FROM {table} ORDER BY partition, received_at LIMIT 1)
        UNION ALL
        SELECT following.partition, following.received_at
        FROM waiting CROSS JOIN LATERAL (
            SELECT partition, received_at FROM {table}
            WHERE partition > waiting.partition ORDER BY partition, received_at LIMIT 1
        ) AS following
    )
    SELECT partition, received_at FROM waiting
"""
