"""The whole system on one machine: servers, services, one after the other, as `make run` and the tests start it."""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tocsin_local.clock import NOTHING_ASKED, Asked, Clock, asked
from tocsin_local.errors import LocalError
from tocsin_local.kafka import Kafka
from tocsin_local.paths import POLICY_FOLDER, state_folder
from tocsin_local.ports import LOOPBACK, offset_from, ports
from tocsin_local.postgres import Postgres
from tocsin_local.preparation import create_all_topics, migrate_all
from tocsin_local.processes import Part, check_port, free_port
from tocsin_local.services import PACKAGES, Service
from tocsin_local.smtp import SmtpSink
from tocsin_local.state import State
from tocsin_local.supervisor import Supervisor

SERVER_SECONDS = 120.0
SERVICE_SECONDS = 90.0
SENDER = "tocsin@example.org"
HOOK_SECRET = "TOCSIN_HOOK_"
TOOLS = ("CONNECTWISE", "AUTOTASK", "HALOPSA", "ZENDESK", "FRESHDESK", "JIRA")
"""Where the shipped integrations have their secrets: the variable's name begins with the first and ends in the tool."""


@dataclass(frozen=True)
class Plan:
    """How a stack is to be. `settings` are added to every service's environment and win over the stack's own."""

    state: Path
    port_offset: int = 0
    clock: Asked = NOTHING_ASKED
    services: Sequence[str] = tuple(PACKAGES)
    durable: bool = True
    policy: Path = POLICY_FOLDER / "policy.yaml"
    directory: Path = POLICY_FOLDER / "directory.yaml"
    integrations: Path = POLICY_FOLDER / "integrations.yaml"
    settings: Mapping[str, str] = field(default_factory=dict)


class Stack:
    """A running stack. All calls block, and may come from any thread; use `asyncio.to_thread` in an event loop.

    Parts: intake, sla-timer, escalator, notifier, kafka, postgres, smtp, and the replicas that were added.
    """

    def __init__(self, plan: Plan, tell: Callable[[str], None]) -> None:
        listeners = ports(plan.port_offset)
        self.plan = plan
        self.state = State(plan.state)
        self.postgres = Postgres(self.state.folder / "postgres", listeners["postgres"], tell, durable=plan.durable)
        self.kafka = Kafka(self.state.folder / "kafka", listeners["kafka"], listeners["kafka-controller"], tell)
        self.smtp = SmtpSink(self.state.folder / "smtp", listeners["smtp"], listeners["inbox"])
        self._listeners = listeners
        self._tell = tell
        self._ready = False
        self._recording = threading.Lock()
        self._supervisor = Supervisor(self.state.logs, self._record, tell)

    def start(self) -> None:
        """Brings everything up and returns when all is ready. Raises LocalError, or Interrupted after `interrupt`;
        `stop` must follow in every case. Call it while `state.held()`.
        """
        for left in self.state.end_leftovers():
            self._tell(f"ended {left}, left behind by a stack that was killed")
        self._clock = self.state.clock(self.plan.clock)
        self._api_key = self.state.api_key()
        self._check_ports()
        self._tell("starting PostgreSQL, Kafka and the mail sink ...")
        for server in (self.postgres, self.kafka, self.smtp):
            self._supervisor.launch(server)
        self._supervisor.wait_ready("postgres", SERVER_SECONDS)
        self._prepare_databases()
        self._supervisor.wait_ready("smtp", SERVER_SECONDS)
        self._supervisor.wait_ready("kafka", SERVER_SECONDS)
        if self.plan.services:
            create_all_topics(self.kafka.bootstrap)
            self._tell(f"starting {', '.join(self.plan.services)} ...")
        for name in self.plan.services:
            self._supervisor.launch(self._service(name, name, self._listeners[name]))
        for name in self.plan.services:
            self._supervisor.wait_ready(name, SERVICE_SECONDS)
        self._ready = True
        self._record()

    def stop(self) -> None:
        """Stops everything in order: services (which flush their outboxes), then the servers they need."""
        servers = ("smtp", "kafka", "postgres")
        services = [name for name in self._supervisor.names() if name not in servers]
        self._supervisor.end(services, ["smtp", "kafka"], ["postgres"])
        self.state.forget_run()

    def interrupt(self) -> None:
        """Makes a `start` in another thread give up."""
        self._supervisor.interrupt()

    def start_part(self, name: str) -> None:
        """Brings a part back and returns when it is ready."""
        self._supervisor.start(name, SERVICE_SECONDS)

    def stop_part(self, name: str) -> None:
        """Keeps a part down, stopped cleanly; returns when it is gone."""
        self._supervisor.stop(name)

    def kill_part(self, name: str) -> None:
        """Keeps a part down, ended by SIGKILL; returns when it is gone."""
        self._supervisor.kill(name)

    def add_replica(self, service: str) -> str:
        """Starts another process of a service on a free port and returns its part's name when it is ready."""
        taken = set(self._supervisor.names())
        name = next(name for number in range(2, 100) if (name := f"{service}-{number}") not in taken)
        self._supervisor.launch(self._service(name, service, free_port()))
        self._supervisor.wait_ready(name, SERVICE_SECONDS)
        return name

    def remove_replica(self, name: str, *, kill: bool = False) -> None:
        """Ends a replica for good."""
        (self._supervisor.kill if kill else self._supervisor.stop)(name)
        self._supervisor.remove(name)

    def crash(self, name: str) -> None:
        """Kills a part behind the supervisor's back: it comes back by itself within 5 s."""
        self._supervisor.crash(name)

    @property
    def run(self) -> dict[str, Any]:
        """What run.json holds."""
        services = self.plan.services
        return {
            "urls": {name: f"http://{LOOPBACK}:{self._listeners[name]}" for name in services}
            | {"inbox": self.smtp.inbox},
            "api_key": self._api_key,
            "kafka": self.kafka.bootstrap,
            "smtp": self.smtp.address,
            "databases": {name: self._database_url(name) for name in services},
            "pids": self._supervisor.pids() | {"supervisor": os.getpid()},
            "clock": {"epoch": self._clock.epoch, "rate": self._clock.rate, "origin": self._clock.origin},
        }

    @property
    def clock(self) -> Clock:
        return self._clock

    def _check_ports(self) -> None:
        """All of them before the first process: a port in use is told at once, and nothing has to be taken back."""
        for name, port in self._listeners.items():
            check_port(name, port)

    def _prepare_databases(self) -> None:
        existing = self.postgres.databases()
        for name in self.plan.services:
            role = self.state.role(PACKAGES[name])
            self.postgres.create_role(role)
            if role.name not in existing:
                self.postgres.create_database(role.name, role)
        migrate_all({PACKAGES[name]: self._database_url(name) for name in self.plan.services})

    def _service(self, name: str, service: str, port: int) -> Part:
        return Service(name, PACKAGES[service], port, self._settings(service))

    def _settings(self, service: str) -> dict[str, str]:
        own = {
            "TOCSIN_DATABASE_URL": self._database_url(service),
            "TOCSIN_KAFKA": self.kafka.bootstrap,
            "TOCSIN_KEYS": str(self.state.keys_file),
            "TOCSIN_POLICY": str(self.plan.policy.absolute()),
            "TOCSIN_DIRECTORY": str(self.plan.directory.absolute()),
            "TOCSIN_INTEGRATIONS": str(self.plan.integrations.absolute()),
            "TOCSIN_SMTP": self.smtp.address,
            "TOCSIN_SMTP_TLS": "none",
            "TOCSIN_MAIL_FROM": SENDER,
            "TOCSIN_ACK_KEYS": self.state.ack_key(),
            "TOCSIN_PUBLIC_URL": f"http://{LOOPBACK}:{self._listeners['intake']}",
        }
        hooks = dict.fromkeys((f"{HOOK_SECRET}{tool}" for tool in TOOLS), self.state.hook_secret())
        return own | hooks | self._clock.environment() | dict(self.plan.settings)

    def _database_url(self, service: str) -> str:
        role = self.state.role(PACKAGES[service])
        return self.postgres.url(role, role.name)

    def _record(self) -> None:
        with self._recording:
            self.state.record_processes(self._supervisor.entries())
            if self._ready:
                self.state.write_run(self.run)


def plan_from(environment: Mapping[str, str]) -> Plan:
    """The plan of `make run`: state, offset, clock, policy, directory, integrations and secrets, by environment."""
    return Plan(
        state=state_folder(environment),
        port_offset=offset_from(environment),
        clock=asked(environment),
        policy=_file(environment, "TOCSIN_POLICY", Plan.policy),
        directory=_file(environment, "TOCSIN_DIRECTORY", Plan.directory),
        integrations=_file(environment, "TOCSIN_INTEGRATIONS", Plan.integrations),
        settings={name: value for name, value in environment.items() if name.startswith(HOOK_SECRET)},
    )


def _file(environment: Mapping[str, str], name: str, default: Path) -> Path:
    path = Path(environment.get(name) or default)
    if not path.is_file():
        raise LocalError(f"{name}: there is no file {path}.")
    return path
