"""Begin and end offsets of a topic, by a separate client: the consumer's own would wait for its long poll."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from tocsin.runtime.kafka.client import new_consumer

_SECONDS = 5.0


class TopicEnds:
    """A client outside any group. It connects at the first call, and reconnects after a failure."""

    def __init__(self, bootstrap: str, topic: str, partitions: int) -> None:
        self._bootstrap = bootstrap
        self._partitions = [TopicPartition(topic, partition) for partition in range(partitions)]
        self._client: AIOKafkaConsumer | None = None
        self._lock = asyncio.Lock()
        self._responded_at = time.monotonic()

    @property
    def silent_seconds(self) -> float:
        """The time since Kafka responded last."""
        return time.monotonic() - self._responded_at

    async def fetch(self) -> dict[int, int]:
        """End offsets by partition. Raises KafkaError, OSError or TimeoutError, within 5 s."""
        async with self._connected() as client:
            return _by_partition(await client.end_offsets(self._partitions))

    async def fetch_range(self) -> tuple[dict[int, int], dict[int, int]]:
        """Begin and end offsets by partition. Raises the same errors."""
        async with self._connected() as client:
            beginnings = await client.beginning_offsets(self._partitions)
            return _by_partition(beginnings), _by_partition(await client.end_offsets(self._partitions))

    async def close(self) -> None:
        """Close the client. The next call opens another."""
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(KafkaError, OSError, TimeoutError):
                async with asyncio.timeout(_SECONDS):
                    await client.stop()

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AIOKafkaConsumer]:
        try:
            async with asyncio.timeout(_SECONDS), self._lock:
                if self._client is None:
                    self._client = new_consumer(self._bootstrap, None)
                    await self._client.start()
                yield self._client
                self._responded_at = time.monotonic()
        except BaseException:
            await self.close()
            raise


def _by_partition(found: dict[TopicPartition, int]) -> dict[int, int]:
    return {partition.partition: offset for partition, offset in found.items()}
