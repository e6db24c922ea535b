"""What tests get of the shared servers: their types, and how a service's database is made."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import httpx
import psutil
from tocsin.runtime.http.api_keys import KeyFile, issue, write_keys
from tocsin_local.kafka import recreate_topics
from tocsin_local.layout import POLICY_FOLDER
from tocsin_local.postgres import DatabaseRole, Postgres
from tocsin_local.processes import Process, StackPart
from tocsin_local.loopback import free_port
from tocsin_local.services import ServicePart

SERVICES = {"intake": "intake", "sla-timer": "sla_timer", "escalator": "escalator", "notifier": "notifier"}
TOPICS = ("tocsin.tickets.v1", "tocsin.deadlines.v1", "tocsin.escalations.v1", "tocsin.notifications.v1")
START_SECONDS = 120


class MakeDatabase(Protocol):
    def __call__(self, service: str | None = None) -> str: ...


class SharedKafka:
    """The session's broker, seen from a test."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap

    def fresh_topics(self, *names: str, partitions: int = 6) -> None:
        """Empties the topics (all of tocsin's without names) by making them anew."""
        recreate_topics(self.bootstrap, names or TOPICS, partitions)


class SharedSink:
    """The session's mail server, seen from a test."""

    def __init__(self, address: str, inbox: str) -> None:
        self.address = address
        self.inbox = inbox

    def messages(self) -> list[dict[str, Any]]:
        """What was taken, oldest first, in the form of the inbox's `GET /messages`."""
        return list(httpx.get(f"{self.inbox}/messages").raise_for_status().json())

    def clear(self) -> None:
        httpx.delete(f"{self.inbox}/messages").raise_for_status()

    def fail(self, mode: str, **details: object) -> None:
        """From now on (`"none"`: no longer) the sink misbehaves; `details` as in `PUT /faults`."""
        httpx.put(f"{self.inbox}/faults", json={"mode": mode, **details}).raise_for_status()


@contextmanager
def running(part: StackPart, folder: Path) -> Iterator[Process]:
    """The part, ready inside the with block and gone after it."""
    process = Process(part, folder / f"{part.name}.log")
    try:
        process.wait_ready(START_SECONDS)
        yield process
    finally:
        process.stop()


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """The process and its children stand still inside the with block."""
    process = psutil.Process(pid)
    family = [process, *process.children(recursive=True)]
    for one in family:
        one.suspend()
    try:
        yield
    finally:
        for one in family:
            with suppress(psutil.NoSuchProcess):
                one.resume()


def is_ready(url: str) -> bool:
    """Whether a service answers there, and says that it is ready."""
    try:
        return httpx.get(f"{url}/readyz", timeout=5).is_success
    except httpx.TransportError:
        return False


@contextmanager
def own_database(service: str, folder: Path, *, durable: bool = False) -> Iterator[tuple[Process, str]]:
    """A PostgreSQL of the test's own with that service's migrated database: its process, and the database's URL."""
    server = Postgres(folder / "postgres", free_port(), tell, durable=durable)
    try:
        with running(server, folder) as process:
            server.create_role(role_of(service))
            url = server.create_database(SERVICES[service], role_of(service))
            migrate(service, url)
            yield process, url
    finally:
        server.remove()


def intake_on(url: str, folder: Path, kafka: str | None = None, **settings: str) -> tuple[ServicePart, str]:
    """Intake on that database, by default without a Kafka, as a part to be run; and a key for it."""
    key, entry = issue("default")
    write_keys(folder / "keys.yaml", KeyFile(keys=(entry,)))
    told = {
        "TOCSIN_DATABASE_URL": url,
        "TOCSIN_KAFKA": kafka or f"127.0.0.1:{free_port()}",
        "TOCSIN_KEYS": str(folder / "keys.yaml"),
        "TOCSIN_POLICY": str(POLICY_FOLDER / "policy.yaml"),
        "TOCSIN_ACK_KEYS": "k" * 32,
        **settings,
    }
    return ServicePart("intake", "intake", free_port(), told), key


def role_of(service: str) -> DatabaseRole:
    return DatabaseRole(SERVICES.get(service, service), "for-tests-only")


def migrate(service: str, url: str) -> None:
    """Runs a service's migrations as its operator would."""
    command: Sequence[str] = (sys.executable, "-m", SERVICES[service], "migrate")
    done = subprocess.run(
        command, env=os.environ | {"TOCSIN_DATABASE_URL": url}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
