"""Reads a topic while a benchmark runs, and tells when the broker appended each event."""

import asyncio
from dataclasses import dataclass
from typing import Self

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from tocsin.events import DeadlineEvent, decode
from tocsin.runtime.kafka.client import PARTITIONS


@dataclass(frozen=True, slots=True)
class Appended:
    """`at` is when the event was due, `appended_at` when the broker stored it (`LogAppendTime`); Unix seconds."""

    type: str
    at: float
    appended_at: float

    @property
    def lateness(self) -> float:
        return self.appended_at - self.at


class TopicReader:
    """`async with TopicReader(...)` collects the records from then on."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
        self._topic = topic
        self.records: list[ConsumerRecord] = []

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        partitions = [TopicPartition(self._topic, number) for number in range(PARTITIONS)]
        self._consumer.assign(partitions)
        await self._consumer.seek_to_end(*partitions)
        for partition in partitions:
            await self._consumer.position(partition)
        self._task = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._consumer.stop()

    def count(self, event_type: str) -> int:
        wanted = event_type.encode()
        return sum(1 for record in self.records if dict(record.headers)["ce_type"] == wanted)

    def appended(self, event_type: str) -> list[Appended]:
        """The events of this type on the deadlines topic, in the order of their partitions."""
        found = []
        for record in self.records:
            if dict(record.headers)["ce_type"] == event_type.encode():
                event = decode(record.headers, record.value)
                assert isinstance(event, DeadlineEvent)
                found.append(Appended(event_type, event.at.timestamp(), record.timestamp / 1000))
        return found

    async def _read(self) -> None:
        while True:
            for records in (await self._consumer.getmany(timeout_ms=200)).values():
                self.records += records
