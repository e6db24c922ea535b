"""Empty topics for tests."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from support.polling import eventually

POLL_SECONDS = 0.02


def recreate_topics(bootstrap: str, names: Sequence[str], partitions: int) -> None:
    """Replaces the topics by empty ones, and returns when a producer can use them."""
    with ThreadPoolExecutor(1) as thread:  # the caller can be inside an event loop
        thread.submit(asyncio.run, _recreate_topics(bootstrap, names, partitions)).result()


async def _recreate_topics(bootstrap: str, names: Sequence[str], partitions: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([name for name in await admin.list_topics() if name in names])
        await _wait_for(admin, lambda ready: not ready.intersection(names), "the old topics are deleted")
        await admin.create_topics([NewTopic(name, partitions, 1) for name in names])
        await _wait_for(admin, lambda ready: ready.issuperset(names), "the new topics have leaders")
    finally:
        await admin.close()


async def _wait_for(admin: AIOKafkaAdminClient, satisfied: Callable[[set[str]], bool], description: str) -> None:
    """Waits until the set of topics whose partitions all have a leader satisfies the condition."""

    async def is_satisfied() -> bool:
        ready = {
            topic["topic"]
            for topic in await admin.describe_topics()
            if not topic["error_code"] and all(not partition["error_code"] for partition in topic["partitions"])
        }
        return satisfied(ready)

    await eventually(is_satisfied, description, every=POLL_SECONDS)
