"""Empty topics for tests."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from aiokafka.admin import AIOKafkaAdminClient, NewTopic


def recreate_topics(bootstrap: str, names: Sequence[str], partitions: int) -> None:
    """Replaces the topics by empty ones, and returns when a producer can use them."""
    with ThreadPoolExecutor(1) as thread:  # the caller can be inside an event loop
        thread.submit(asyncio.run, _recreate_topics(bootstrap, names, partitions)).result()


async def _recreate_topics(bootstrap: str, names: Sequence[str], partitions: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([name for name in await admin.list_topics() if name in names])
        await _until(admin, lambda ready: not ready.intersection(names))
        await admin.create_topics([NewTopic(name, partitions, 1) for name in names])
        await _until(admin, lambda ready: ready.issuperset(names))
    finally:
        await admin.close()


async def _until(admin: AIOKafkaAdminClient, satisfied: Callable[[set[str]], bool]) -> None:
    """Waits until the set of topics whose partitions all have a leader satisfies the condition."""
    while True:
        found = await admin.describe_topics()
        ready = {
            topic["topic"]
            for topic in found
            if not topic["error_code"] and all(not partition["error_code"] for partition in topic["partitions"])
        }
        if satisfied(ready):
            return
        await asyncio.sleep(0.02)
