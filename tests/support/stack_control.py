"""Stops, kills and doubles parts of a running stack, and copies databases; undoes all of it at the end."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from functools import partial

import psutil
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from tocsin.runtime.kafka.client import PARTITIONS
from tocsin_local.loopback import LOOPBACK
from tocsin_local.processes import kill_processes
from tocsin_local.services import PACKAGES
from tocsin_local.stack import Stack

from support.polling import eventually
from support.servers import is_ready, suspended

SERVERS = ("postgres", "kafka", "smtp")


class StackControl:
    """The processes and databases of a stack. Parts: its services, postgres, kafka, smtp."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._down: list[str] = []
        self._replicas: list[str] = []
        self._copied: set[str] = set()

    async def stop(self, *parts: str) -> None:
        """Stops parts cleanly. They stay down until `start`."""
        self._down += parts
        await _for_each(parts, self._stack.parts.stop)

    async def kill(self, *parts: str) -> None:
        """Ends parts by kill -9. They stay down until `start`."""
        self._down += parts
        await _for_each(parts, self._stack.parts.kill)

    async def start(self, *parts: str) -> None:
        """Starts parts and waits until they are ready."""
        await _for_each(parts, self._stack.parts.start)
        self._down = [part for part in self._down if part not in parts]

    async def crash(self, *parts: str) -> None:
        """Ends parts by kill -9. The supervisor restarts them."""
        await _for_each(parts, self._crash)

    async def add_replicas(self, *services: str) -> list[str]:
        """Starts a further replica of each service, waits until they are ready, and returns their names."""
        added = await asyncio.gather(*(asyncio.to_thread(self._stack.add_replica, service) for service in services))
        self._replicas += added
        return added

    def url(self, part: str) -> str:
        """The URL of a service or of a replica."""
        return f"http://{LOOPBACK}:{self._stack.parts.port(part)}"

    def log(self, part: str) -> str:
        """What the part has logged."""
        return (self._stack.state.logs / f"{part}.log").read_text(errors="replace")

    def runs(self, part: str) -> bool:
        """Whether the part has a process."""
        return self._stack.parts.pids()[part] is not None

    @contextmanager
    def suspended(self, *parts: str) -> Iterator[None]:
        """Suspends parts (SIGSTOP) at the same time, and resumes them at the end."""
        with ExitStack() as stack:
            for part in parts:
                stack.enter_context(suspended(self._pid(part)))
            yield

    async def remove_replicas(self) -> None:
        """Stops all added replicas."""
        replicas, self._replicas = self._replicas, []
        await _for_each(replicas, self._stack.parts.remove)

    async def copy_database(self, service: str) -> None:
        """Keeps a copy of the service's database. The service loses its connections meanwhile."""
        name = PACKAGES[service]
        with suspended(self._stack.run["pids"][service]):
            await asyncio.to_thread(self._copy, name, f"{name}_copy")
        self._copied.add(service)

    async def restore_database(self, service: str) -> None:
        """Replaces the database of a stopped service with its copy."""
        name = PACKAGES[service]
        await asyncio.to_thread(self._copy, f"{name}_copy", name)

    async def truncate_topic(self, topic: str) -> None:
        """Deletes all present records of a topic, as retention does."""
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
        """Runs the service's `republish` command."""
        command = (sys.executable, "-m", PACKAGES[service], "republish", "--since", f"{since:%Y-%m-%dT%H:%M:%SZ}")
        environment = os.environ | {"TOCSIN_DATABASE_URL": self._stack.run["databases"][service]}
        done = await asyncio.to_thread(subprocess.run, command, env=environment, capture_output=True, check=False)
        assert done.returncode == 0, done

    async def wait_until_ready(self) -> None:
        """Waits until every service and every replica is ready."""
        for part in (*self._stack.options.services, *self._replicas):
            await eventually(partial(asyncio.to_thread, is_ready, self.url(part)), f"{part} is ready")

    async def reset(self) -> None:
        """Every part runs, and there are no replicas and no copies."""
        await self.remove_replicas()
        for part in sorted(set(self._down), key=(*SERVERS, *PACKAGES).index):
            await self.start(part)
        await self.wait_until_ready()
        for service in self._copied:
            await asyncio.to_thread(self._stack.postgres.drop_database, f"{PACKAGES[service]}_copy")

    def _crash(self, part: str) -> None:
        kill_processes([psutil.Process(self._pid(part))])

    def _pid(self, part: str) -> int:
        pid = self._stack.parts.pids()[part]
        assert pid is not None, f"{part} is down"
        return pid

    def _copy(self, source: str, target: str) -> None:
        """PostgreSQL copies only a database to which no one is connected."""
        postgres = self._stack.postgres
        postgres.drop_database(target)
        postgres.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{source}'",
            f'CREATE DATABASE "{target}" OWNER "{source.removesuffix("_copy")}" TEMPLATE "{source}"',
        )


async def _for_each(parts: Sequence[str], act: Callable[[str], None]) -> None:
    await asyncio.gather(*(asyncio.to_thread(act, part) for part in parts))
