"""The servers of the tests: those shared by a session, and private ones for tests that stop or suspend a server."""

import os
import ssl
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Protocol

import httpx
import psutil
from tocsin.runtime.http.api_keys import KeyFile, issue, write_keys
from tocsin_local.layout import POLICY_FOLDER
from tocsin_local.loopback import free_port
from tocsin_local.postgres import DatabaseRole, Postgres
from tocsin_local.processes import Process, StackPart
from tocsin_local.services import PACKAGES, PIPELINE, ServicePart

from support.topics import recreate_topics

SERVICES: Final = {name: PACKAGES[name] for name in PIPELINE}
"""The services of a stack of tests, with their packages. The board runs only where a test needs it."""
TOPICS = ("tocsin.tickets.v1", "tocsin.deadlines.v1", "tocsin.escalations.v1", "tocsin.notifications.v1")
START_SECONDS = 120
NO_CERTIFICATES: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""The `verify` of HTTP clients: by default each client loads all CA certificates, which takes 20 ms of CPU time."""


class MakeDatabase(Protocol):
    """The type of the fixture `make_database`."""

    def __call__(self, service: str | None = None) -> str: ...


class SharedKafka:
    """The session's broker."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap

    def fresh_topics(self, *names: str, partitions: int = 6) -> None:
        """Deletes and recreates the topics, so that they are empty; without names all topics of tocsin."""
        recreate_topics(self.bootstrap, names or TOPICS, partitions)


class SharedSink:
    """The session's SMTP sink."""

    def __init__(self, address: str, inbox: str) -> None:
        self.address = address
        self.inbox = inbox

    def messages(self) -> list[dict[str, Any]]:
        """The received mails, oldest first, as the inbox's `GET /messages` returns them."""
        return list(httpx.get(f"{self.inbox}/messages", verify=NO_CERTIFICATES).raise_for_status().json())

    def clear(self) -> None:
        httpx.delete(f"{self.inbox}/messages", verify=NO_CERTIFICATES).raise_for_status()

    def fail(self, mode: str, **details: object) -> None:
        """Makes the sink fail from now on; `"none"` ends it. `details` as in `PUT /faults`."""
        body = {"mode": mode, **details}
        httpx.put(f"{self.inbox}/faults", json=body, verify=NO_CERTIFICATES).raise_for_status()


@contextmanager
def running(part: StackPart, folder: Path) -> Iterator[Process]:
    """Starts a part, waits until it is ready, and stops it at the end."""
    process = Process(part, folder / f"{part.name}.log")
    try:
        process.wait_ready(START_SECONDS)
        yield process
    finally:
        process.stop()


@contextmanager
def suspended(pid: int) -> Iterator[None]:
    """Suspends a process and its children (SIGSTOP), and resumes them at the end."""
    process = psutil.Process(pid)
    processes = [process, *process.children(recursive=True)]
    for each in processes:
        each.suspend()
    try:
        yield
    finally:
        for each in processes:
            with suppress(psutil.NoSuchProcess):
                each.resume()


def is_ready(url: str) -> bool:
    """Whether the service at this URL is ready."""
    try:
        return httpx.get(f"{url}/readyz", timeout=5, verify=NO_CERTIFICATES).is_success
    except httpx.TransportError:
        return False


@contextmanager
def private_database(service: str, folder: Path, *, durable: bool = False) -> Iterator[tuple[Process, str]]:
    """Starts a PostgreSQL for one test, with the service's migrated database: its process and the database's URL."""
    server = Postgres(folder / "postgres", free_port(), log_line, durable=durable)
    try:
        with running(server, folder) as process:
            server.create_role(service_role(service))
            url = server.create_database(PACKAGES[service], service_role(service))
            migrate(service, url)
            yield process, url
    finally:
        server.remove()


def intake_part(url: str, folder: Path, kafka: str | None = None, **settings: str) -> tuple[ServicePart, str]:
    """Intake as a part for `running`, and an API key. Without `kafka` it finds no broker."""
    key, entry = issue("default")
    write_keys(folder / "keys.yaml", KeyFile(keys=(entry,)))
    environment = {
        "TOCSIN_DATABASE_URL": url,
        "TOCSIN_KAFKA": kafka or f"127.0.0.1:{free_port()}",
        "TOCSIN_KEYS": str(folder / "keys.yaml"),
        "TOCSIN_POLICY": str(POLICY_FOLDER / "policy.yaml"),
        "TOCSIN_ACK_KEYS": "k" * 32,
        **settings,
    }
    return ServicePart("intake", "intake", free_port(), environment), key


def service_role(service: str) -> DatabaseRole:
    """The database role of a service."""
    return DatabaseRole(PACKAGES.get(service, service), "for-tests-only")


def migrate(service: str, url: str) -> None:
    """Runs the service's `migrate` command."""
    command: Sequence[str] = (sys.executable, "-m", PACKAGES[service], "migrate")
    done = subprocess.run(
        command, env=os.environ | {"TOCSIN_DATABASE_URL": url}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def log_line(line: str) -> None:
    """Prints a line where pytest captures it."""
    sys.stderr.write(f"{line}\n")
