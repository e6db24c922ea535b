"""The watermark: the business instant up to which every fact received is published (docs/architecture.md#time)."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from tocsin.runtime.database.engine import DriverConnection
from tocsin.runtime.database.outbox import Outbox
from tocsin.runtime.errors import WatermarkBlindError
from tocsin.runtime.process.clock import TimeSource

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class WatermarkSource:
    """Computes the watermarks. `writers` is the application name of the connections that store facts.

    `interval` is the number of seconds between two watermarks.
    """

    writers: str
    clock: TimeSource
    interval: float = 0.1

    async def accepted_through(self, database: DriverConnection, outbox: Outbox) -> dict[int, datetime]:
        """The watermark of each partition. `database` must be in no transaction.

        Correct only by the order of three separate statements: the clock, the open writers, the outbox. A writer that
        the second statement no longer sees is visible to the third, or began after the first. In one statement, or in
        another order, facts slip through.
        """
        now: datetime = await database.fetchval("SELECT clock_timestamp()")
        oldest_start, hidden = await database.fetchrow(_OPEN_WRITERS, self.writers)
        unpublished = await database.fetch(_UNPUBLISHED.format(table=outbox.table.name))
        if hidden:
            raise WatermarkBlindError(
                f"The relay's role cannot see the transactions of {self.writers}. Relay and writers must log in with "
                "the same role, and track_activities must be on."
            )
        limit = min(now, oldest_start or now)
        oldest: dict[int, datetime] = dict(unpublished)
        return {
            partition: self.clock.business(min(limit, oldest.get(partition, limit))) - _MICROSECOND
            for partition in range(outbox.partitions)
        }


_OPEN_WRITERS = """
    SELECT min(xact_start) AS oldest,
           count(*) FILTER (
               WHERE state = 'disabled'
                  OR NOT (pg_has_role(usesysid, 'USAGE') OR pg_has_role('pg_read_all_stats', 'USAGE'))
           ) AS hidden
    FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = $1
"""
# The oldest row of each partition by index lookups: a plain GROUP BY would read the whole outbox.
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
