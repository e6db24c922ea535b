"""What tests get of the shared servers: their types, and how a service's database is made."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import httpx
from tocsin_local.kafka import recreate_topics
from tocsin_local.postgres import Role
from tocsin_local.processes import Part, Process

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
def running(part: Part, folder: Path) -> Iterator[Process]:
    """The part, ready inside the with block and gone after it."""
    process = Process(part, folder / f"{part.name}.log")
    try:
        process.wait_ready(START_SECONDS)
        yield process
    finally:
        process.stop()


def role_of(service: str) -> Role:
    return Role(SERVICES.get(service, service), "for-tests-only")


def migrate(service: str, url: str) -> None:
    """Runs a service's migrations as its operator would."""
    command: Sequence[str] = (sys.executable, "-m", SERVICES[service], "migrate")
    done = subprocess.run(
        command, env=os.environ | {"TOCSIN_DATABASE_URL": url}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
