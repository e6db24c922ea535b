"""Which replica reads which partition: leases in the service's own database (docs/architecture.md#delivery)."""

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final
from uuid import uuid4

import asyncpg
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from tocsin.runtime.database.engine import driver_connection, is_transient
from tocsin.runtime.database.offsets import Offsets
from tocsin.runtime.metrics import LEASE_LOSSES, PARTITIONS_HELD

log = structlog.get_logger(__name__)

LEASE_SECONDS: Final = 2.4
"""How long a replica that sends no heartbeat keeps its partitions."""
_LEAST_PAUSE_SECONDS: Final = 0.02
_LEAVE_SECONDS: Final = 2.0


class PartitionLeases:
    """The leases of one replica on partitions of `topic`. `engine` needs one connection.

    A heartbeat renews all leases of a replica at once. Each replica takes free and expired partitions up to its fair
    share, and gives back what exceeds it after another replica has joined. Every change of the holder makes the fencing
    token of the partition higher: a transaction that compares it (`Offsets.lock_held`) cannot commit the work of a
    replica that was suspended and lost its lease. All instants are the database's, in real time.

    `held` has the fencing tokens of the partitions that this replica holds, as of the last heartbeat. `surplus` are
    those of them that exceed its share, and `missing` the partitions that have no stored offset yet.
    """

    def __init__(
        self, engine: AsyncEngine, offsets: Offsets, topic: str, partitions: int, seconds: float = LEASE_SECONDS
    ) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._topic = topic
        self._partitions = partitions
        self._seconds = seconds
        self._names = {"offsets": offsets.table.name, "replicas": offsets.replicas.name}
        self._me = uuid4()
        self._renewing = asyncio.Lock()
        self._renewed_at = -math.inf
        self._next_expiry: float | None = None
        self._is_alone = True
        self._has_left = False
        self._changed = asyncio.Event()
        self.held: Mapping[int, int] = {}
        self.surplus: Sequence[int] = ()
        self.missing: frozenset[int] = frozenset()

    async def keep(self, can_read: Callable[[], bool]) -> None:
        """Renew the leases, and take partitions, until cancelled. Run it in a task of its own.

        While this process cannot read the topic, it leaves all partitions to the other replicas, if there are any.
        """
        while True:
            try:
                async with asyncio.timeout(self._seconds / 2):
                    await (self.renew() if self._is_alone or can_read() else self._release())
            except Exception as error:
                if not is_transient(error):
                    raise
                log.warning("leases_not_renewed", topic=self._topic, error=repr(error))
                if self.are_expired:
                    PARTITIONS_HELD.labels(self._topic).set(0)
            await asyncio.sleep(self._pause())

    async def renew(self) -> None:
        """Send a heartbeat, and take free partitions up to the fair share. Raises errors of the database."""
        async with self._renewing:
            if self._has_left:
                return
            at = time.monotonic()
            rows = await self._execute(_BEAT, self._seconds)
            held = {row["partition"]: row["token"] for row in rows if row["holder"] == self._me}
            replicas = rows[0]["replicas"] if rows else 1
            self._is_alone = replicas == 1
            share = fair_share(self._partitions, replicas)
            if len(held) < share and any(_is_free(row) for row in rows):
                taken = await self._execute(_TAKE, share - len(held))
                held |= {row["partition"]: row["token"] for row in taken}
            self.missing = frozenset(range(self._partitions)) - {row["partition"] for row in rows}
            self.surplus = sorted(held)[share:]
            self._next_expiry = min((at + row["seconds"] for row in rows if self._is_of_another(row)), default=None)
            self._renewed_at = at
            self._hold(held)

    async def give_back(self) -> None:
        """Give back the surplus. No transaction of this replica may still be working on it."""
        async with self._renewing:
            surplus, self.surplus = self.surplus, ()
            await self._execute(_GIVE_BACK, list(surplus))
            self.held = {partition: token for partition, token in self.held.items() if partition not in surplus}
            PARTITIONS_HELD.labels(self._topic).set(len(self.held))

    async def leave(self) -> None:
        """Give back everything at once, and take nothing more. A failure is only logged: the leases also expire."""
        if self._has_left:
            return
        self._has_left = True
        try:
            async with asyncio.timeout(_LEAVE_SECONDS):
                await self._release()
        except Exception as error:
            if not is_transient(error):
                raise
            log.warning("leases_not_released", topic=self._topic, error=repr(error))

    async def wait_for_change(self, seconds: float) -> None:
        """Return when a heartbeat has found other partitions than the one before, or after `seconds`."""
        self._changed.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return

    @property
    def are_expired(self) -> bool:
        """Whether no heartbeat has succeeded for so long that another replica may have taken the partitions."""
        return time.monotonic() - self._renewed_at > self._seconds

    async def _release(self) -> None:
        async with self._renewing:
            self.held, self.surplus = {}, ()
            PARTITIONS_HELD.labels(self._topic).set(0)
            self._changed.set()
            await self._execute(_RELEASE)

    def _hold(self, held: Mapping[int, int]) -> None:
        lost = sorted(partition for partition, token in self.held.items() if held.get(partition) != token)
        if lost:
            LEASE_LOSSES.labels(self._topic).inc(len(lost))
            log.warning("leases_lost", topic=self._topic, partitions=lost)
        if held != self.held or self.missing or self.surplus:
            self._changed.set()
        self.held = held
        PARTITIONS_HELD.labels(self._topic).set(len(held))

    def _is_of_another(self, row: asyncpg.Record) -> bool:
        return row["holder"] != self._me and not _is_free(row)

    def _pause(self) -> float:
        """A third of the lease, or less if another replica's lease ends before that: it has missed heartbeats."""
        pause, expiry = self._seconds / 3, self._next_expiry
        self._next_expiry = None
        return pause if expiry is None else max(_LEAST_PAUSE_SECONDS, min(pause, expiry - time.monotonic()))

    async def _execute(self, statement: str, *values: object) -> Sequence[asyncpg.Record]:
        """Execute a statement whose first parameters are the topic and this replica.

        By the driver alone: renewals are half of what an idle consumer costs.
        """
        async with self._engine.connect() as connection:
            driver = await driver_connection(connection)
            rows: Sequence[asyncpg.Record] = await driver.fetch(
                statement.format(**self._names), self._topic, self._me, *values
            )
            return rows


def fair_share(partitions: int, replicas: int) -> int:
    """How many partitions each of the live replicas may hold."""
    return -(-partitions // replicas)


def _is_free(row: asyncpg.Record) -> bool:
    return row["seconds"] is None or row["seconds"] <= 0


# A replica's own heartbeat is not yet visible to the rest of its statement, hence `+ 1` for itself.
_BEAT = """
    WITH beat AS (
        INSERT INTO {replicas} (topic, holder, expires_at)
        VALUES ($1, $2, clock_timestamp() + make_interval(secs => $3))
        ON CONFLICT (topic, holder) DO UPDATE SET expires_at = excluded.expires_at
    )
    SELECT o.partition, o.token, o.holder,
           CAST(extract(epoch FROM r.expires_at - clock_timestamp()) AS float) AS seconds,
           1 + (SELECT count(*) FROM {replicas}
                WHERE topic = $1 AND holder <> $2 AND expires_at > clock_timestamp()) AS replicas
    FROM {offsets} AS o LEFT JOIN {replicas} AS r ON r.topic = o.topic AND r.holder = o.holder
    WHERE o.topic = $1
"""
# Rows that somebody has locked wait for the next heartbeat: the transaction of a holder that died may still be open.
_TAKE = """
    WITH gone AS (DELETE FROM {replicas} WHERE topic = $1 AND expires_at < clock_timestamp() - interval '1 minute')
    UPDATE {offsets} SET holder = $2, token = token + 1
    WHERE topic = $1 AND partition IN (
        SELECT partition FROM {offsets} AS o
        WHERE topic = $1 AND NOT EXISTS (
            SELECT FROM {replicas} AS r
            WHERE r.topic = o.topic AND r.holder = o.holder AND r.expires_at > clock_timestamp()
        )
        ORDER BY partition LIMIT $3 FOR UPDATE OF o SKIP LOCKED
    )
    RETURNING partition, token
"""
_GIVE_BACK = """
    UPDATE {offsets} SET holder = NULL, token = token + 1
    WHERE topic = $1 AND holder = $2 AND partition = ANY($3)
"""
_RELEASE = """
    WITH gone AS (DELETE FROM {replicas} WHERE topic = $1 AND holder = $2)
    UPDATE {offsets} SET holder = NULL, token = token + 1
    FROM (  -- in partition order, as all locks on offsets are taken
        SELECT topic AS of_topic, partition AS of_partition FROM {offsets} WHERE topic = $1 AND holder = $2
        ORDER BY partition FOR UPDATE
    ) AS mine
    WHERE topic = of_topic AND partition = of_partition
"""
