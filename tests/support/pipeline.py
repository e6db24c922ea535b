"""Waiting until the pipeline of a running stack is idle: nothing is in flight up to a business instant."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from tocsin.runtime.kafka.client import DEADLINES_TOPIC, ESCALATIONS_TOPIC, PARTITIONS, TICKETS_TOPIC, TOPICS
from tocsin_local.services import BOARD

from support.polling import eventually

POLL_SECONDS: Final = 0.02
METADATA_RETRY_MS: Final = 10
"""How often the Kafka client asks for the metadata of a topic it does not know yet; at the default of 100 ms every new
Pipeline takes a third of a second.
"""

_OUTBOX = "SELECT count(*) FROM outbox"
_BEHIND_WATERMARK = f"SELECT {PARTITIONS} - count(*) FROM offsets WHERE topic = :topic AND accepted_through >= :through"
_DUE = "SELECT count(*) FROM agenda WHERE next_at <= :through"
_UNSENT = "SELECT count(*) FROM deliveries WHERE state IN ('queued', 'held', 'claimed', 'in_data', 'deferred')"
_OUTDATED = "SELECT count(*) FROM tickets WHERE stale_at IS NOT NULL"
_OFFSETS = "SELECT partition, next_offset FROM offsets WHERE topic = :topic"


class Pipeline:
    """The databases and topics of a running stack, as its run.json names them."""

    def __init__(self, run: Mapping[str, Any]) -> None:
        self._run = run
        self._engines: dict[str, AsyncEngine] = {}

    async def __aenter__(self) -> Self:
        for service, url in self._run["databases"].items():
            self._engines[service] = create_async_engine(url, pool_size=1, pool_pre_ping=True)
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._run["kafka"], enable_auto_commit=False, retry_backoff_ms=METADATA_RETRY_MS
        )
        await self._consumer.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._consumer.stop()
        for engine in self._engines.values():
            await engine.dispose()

    async def wait_idle(self, through: datetime) -> None:
        """Returns when everything that intake has received, and everything due up to `through`, has been published,
        handled and mailed, and is on the board where it runs.

        The stages are waited for in the direction of the data, so a later stage cannot miss what an earlier one has
        passed on. Raises AssertionError if a stage takes longer than a minute.
        """
        await self._rows_gone("intake", _OUTBOX, "events in the outbox of intake")
        await self._caught_up("sla-timer", TICKETS_TOPIC)
        await self._rows_gone(
            "sla-timer", _BEHIND_WATERMARK, "partitions behind the watermark", topic=TICKETS_TOPIC, through=through
        )
        await self._rows_gone("sla-timer", _DUE, "tickets with a timeline event due", through=through)
        await self._rows_gone("sla-timer", _OUTBOX, "events in the outbox of sla-timer")
        await self._caught_up("escalator", DEADLINES_TOPIC)
        await self._rows_gone("escalator", _OUTBOX, "events in the outbox of escalator")
        await self._caught_up("notifier", ESCALATIONS_TOPIC)
        await self._rows_gone("notifier", _UNSENT, "unsent deliveries")
        await self._rows_gone("notifier", _OUTBOX, "events in the outbox of notifier")
        if BOARD in self._engines:
            for topic in TOPICS:
                await self._caught_up(BOARD, topic)
            await self._rows_gone(BOARD, _OUTDATED, "tickets with old clocks on the board")

    async def _rows_gone(self, service: str, query: str, what: str, **values: Any) -> None:
        async def count() -> int:
            async with self._engines[service].connect() as connection:
                return int((await connection.execute(text(query), values)).scalar_one())

        await self._zero(count, what)

    async def _caught_up(self, service: str, topic: str) -> None:
        """Up to the end that the topic has now: watermarks never cease to be published."""
        partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        ends = {found.partition: end for found, end in (await self._consumer.end_offsets(partitions)).items()}

        async def lag() -> int:
            async with self._engines[service].connect() as connection:
                rows = await connection.execute(text(_OFFSETS), {"topic": topic})
                offsets = {row.partition: row.next_offset for row in rows}
            return sum(max(0, end - offsets.get(partition, 0)) for partition, end in ends.items())

        await self._zero(lag, f"records of {topic} not yet handled by {service}")

    async def _zero(self, count: Callable[[], Awaitable[int]], what: str) -> None:
        found = 0

        async def is_zero() -> bool:
            nonlocal found
            found = await count()
            return not found

        await eventually(is_zero, lambda: f"the pipeline is idle; there are still {found} {what}", every=POLL_SECONDS)
