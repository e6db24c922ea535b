"""When the pipeline is quiet (DESIGN, Contracts): nothing is on its way anywhere, up to a business instant."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from tocsin.runtime.kafka.client import DEADLINES, ESCALATIONS, PARTITIONS, TICKETS

PROMPT_LOOKS = 20
LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class Busy:
    """What is still on its way, in words; nothing for a quiet pipeline."""

    what: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.what)


class Pipeline:
    """Looks at the databases and topics of a running stack, as its run.json names them."""

    def __init__(self, run: Mapping[str, Any]) -> None:
        self._run = run
        self._engines: dict[str, AsyncEngine] = {}

    async def __aenter__(self) -> Self:
        for service, url in self._run["databases"].items():
            self._engines[service] = create_async_engine(url, pool_size=1, pool_pre_ping=True)
        self._consumer = AIOKafkaConsumer(bootstrap_servers=self._run["kafka"], enable_auto_commit=False)
        await self._consumer.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._consumer.stop()
        for engine in self._engines.values():
            await engine.dispose()

    async def busy(self, through: datetime) -> Busy:
        """What is still on its way of all that intake received and that fell due up to `through`, looked at in the
        direction of the data: what has left one service cannot be missed in the next.
        """
        found = await self._outbox("intake")
        found += await self._behind("sla-timer", TICKETS)
        found += await self._timer(through)
        found += await self._outbox("sla-timer")
        found += await self._behind("escalator", DEADLINES)
        found += await self._outbox("escalator")
        found += await self._behind("notifier", ESCALATIONS)
        open_states = "'queued', 'claimed', 'in_data', 'deferred'"
        unsent = await self._count("notifier", f"SELECT count(*) FROM deliveries WHERE state IN ({open_states})")
        found += [f"{unsent} deliveries are open"] if unsent else []
        found += await self._outbox("notifier")
        return Busy(tuple(found))

    async def _outbox(self, service: str) -> list[str]:
        waiting = await self._count(service, "SELECT count(*) FROM outbox")
        return [f"{waiting} events wait in the outbox of {service}"] if waiting else []

    async def _timer(self, through: datetime) -> list[str]:
        behind = PARTITIONS - await self._count(
            "sla-timer",
            "SELECT count(*) FROM offsets WHERE topic = :topic AND accepted_through >= :through",
            topic=TICKETS,
            through=through,
        )
        due = await self._count("sla-timer", "SELECT count(*) FROM agenda WHERE next_at <= :through", through=through)
        found = [f"{behind} partitions are not read up to {through}"] if behind else []
        return found + ([f"{due} tickets have something due"] if due else [])

    async def _behind(self, service: str, topic: str) -> list[str]:
        """Whether a service gets past what is the topic's end now, soon; progress never ceases to come behind it."""
        partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        ends = {found.partition: end for found, end in (await self._consumer.end_offsets(partitions)).items()}
        for _ in range(PROMPT_LOOKS):
            async with self._engines[service].connect() as connection:
                rows = await connection.execute(
                    text("SELECT partition, next_offset FROM offsets WHERE topic = :topic"), {"topic": topic}
                )
                read = {row.partition: row.next_offset for row in rows}
            lag = sum(max(0, end - read.get(partition, 0)) for partition, end in ends.items())
            if not lag:
                return []
            await asyncio.sleep(LOOK_SECONDS)
        return [f"{service} is {lag} records behind"]

    async def _count(self, service: str, query: str, **values: Any) -> int:
        async with self._engines[service].connect() as connection:
            return int((await connection.execute(text(query), values)).scalar_one())
