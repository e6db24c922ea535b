"""The parts of the stories' stack: taken down, killed, doubled, put back to an earlier copy; restored at the end."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

import httpx
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from tocsin.runtime.kafka.client import PARTITIONS
from tocsin_local.stack import Stack

from support.polling import eventually
from support.servers import SERVICES

SERVERS = ("postgres", "kafka", "smtp")


class Parts:
    """What happens to the processes and databases of a story's stack."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._down: list[str] = []
        self._replicas: list[str] = []
        self._copies: set[str] = set()

    async def stop(self, *names: str) -> None:
        """Stopped cleanly, and down until started."""
        self._down += names
        await _all(self._stack.stop_part, names)

    async def kill(self, *names: str) -> None:
        """Ended as a crash would, and down until started."""
        self._down += names
        await _all(self._stack.kill_part, names)

    async def start(self, *names: str) -> None:
        """Running and ready again."""
        await _all(self._stack.start_part, names)
        self._down = [name for name in self._down if name not in names]

    async def crash(self, *names: str) -> None:
        """kill -9: they come back by themselves."""
        await _all(self._stack.crash, names)

    async def double(self, *services: str) -> None:
        """A second replica of each service joins."""
        self._replicas += await asyncio.gather(
            *(asyncio.to_thread(self._stack.add_replica, service) for service in services)
        )

    async def remove_replicas(self) -> None:
        """All replicas that joined leave."""
        replicas, self._replicas = self._replicas, []
        await _all(self._stack.remove_replica, replicas)

    async def copy_database(self, service: str) -> None:
        """Its database as it stands is kept; the service is down for a moment."""
        await self.stop(service)
        name = SERVICES[service]
        await asyncio.to_thread(self._copied, name, f"{name}_copy")
        self._copies.add(service)
        await self.start(service)

    async def put_back_database(self, service: str) -> None:
        """The service must be down. Its database becomes what it was when it was copied."""
        name = SERVICES[service]
        await asyncio.to_thread(self._copied, f"{name}_copy", name)

    async def forget_topic(self, topic: str) -> None:
        """What the topic holds up to now is deleted, as retention does it."""
        partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        consumer = AIOKafkaConsumer(bootstrap_servers=self._stack.kafka.bootstrap)
        admin = AIOKafkaAdminClient(bootstrap_servers=self._stack.kafka.bootstrap)
        await consumer.start()
        await admin.start()
        try:
            ends = await consumer.end_offsets(partitions)
            await admin.delete_records({partition: RecordsToDelete(end) for partition, end in ends.items()})
        finally:
            await admin.close()
            await consumer.stop()

    async def republish(self, service: str, since: datetime) -> None:
        """An operator has a service queue again what it told since then."""
        command = (sys.executable, "-m", SERVICES[service], "republish", "--since", f"{since:%Y-%m-%dT%H:%M:%SZ}")
        environment = os.environ | {"TOCSIN_DATABASE_URL": self._stack.run["databases"][service]}
        done = await asyncio.to_thread(subprocess.run, command, env=environment, capture_output=True, check=False)
        assert done.returncode == 0, done

    async def all_ready(self) -> None:
        """Waits until every service is ready, having been started again where it died."""
        urls = self._stack.run["urls"]
        async with httpx.AsyncClient(timeout=10) as http:
            for service in SERVICES:
                await eventually(partial(_is_ready, http, urls[service]), f"{service} is ready")

    async def restore(self) -> None:
        """Everything as at the beginning: all parts up, no replica, no copy."""
        await self.remove_replicas()
        for name in sorted(set(self._down), key=lambda name: (*SERVERS, *SERVICES).index(name)):
            await self.start(name)
        await self.all_ready()
        for service in self._copies:
            await asyncio.to_thread(self._stack.postgres.drop_database, f"{SERVICES[service]}_copy")

    def _copied(self, source: str, target: str) -> None:
        """Whoever is connected to either is thrown out: only those who look."""
        postgres = self._stack.postgres
        postgres.drop_database(target)
        postgres.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{source}'",
            f'CREATE DATABASE "{target}" OWNER "{source.removesuffix("_copy")}" TEMPLATE "{source}"',
        )


async def _all(work: Callable[[str], None], names: Sequence[str]) -> None:
    await asyncio.gather(*(asyncio.to_thread(work, name) for name in names))


async def _is_ready(http: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await http.get(f"{url}/readyz")).is_success
    except httpx.TransportError:
        return False
