"""The offsets that Kafka's own tools show. They only show the lag: the database holds the offsets that count."""

import asyncio
import contextlib
from collections.abc import Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

_COMMIT_EVERY_SECONDS = 5.0
_COMMIT_SECONDS = 3.0


class GroupOffsets:
    """Collects the offsets of one topic and commits them now and then."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._uncommitted: dict[int, int] = {}

    def add(self, offsets: Mapping[int, int]) -> None:
        """Commit these offsets by partition with the next commit."""
        self._uncommitted.update(offsets)

    def clear(self) -> None:
        """Forget the offsets that are not committed yet, because the assignment changed."""
        self._uncommitted.clear()

    async def keep_committing(self, client: AIOKafkaConsumer) -> None:
        """Commit every 5 s until cancelled."""
        while True:
            await asyncio.sleep(_COMMIT_EVERY_SECONDS)
            await self.commit(client)

    async def commit(self, client: AIOKafkaConsumer) -> None:
        """Commit the offsets added since the last commit. Failures are ignored."""
        offsets = {TopicPartition(self._topic, partition): offset for partition, offset in self._uncommitted.items()}
        self._uncommitted = {}
        if offsets:
            with contextlib.suppress(KafkaError, OSError, TimeoutError):
                async with asyncio.timeout(_COMMIT_SECONDS):
                    await client.commit(offsets)
