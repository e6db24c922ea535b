"""The whole system on one machine: PostgreSQL, Kafka, the SMTP sink and the services."""

import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tocsin_local.clock import NO_REQUEST, RequestedClock, StackClock, requested_clock
from tocsin_local.control import ControlServer
from tocsin_local.errors import LocalError, PartFailedError
from tocsin_local.jars import fetch
from tocsin_local.kafka import Kafka
from tocsin_local.layout import POLICY_FOLDER, port_offset, ports, state_folder
from tocsin_local.loopback import LOOPBACK, check_port, free_port
from tocsin_local.monitoring import Monitor, missing_monitor, monitors
from tocsin_local.postgres import Postgres, jar_bundle
from tocsin_local.services import BOARD, PACKAGES, PIPELINE, ServicePart
from tocsin_local.smtp import SmtpSink
from tocsin_local.state import StateFolder
from tocsin_local.supervisor import Supervisor

SENDER = "tocsin@example.org"
HOOK_SECRET = "TOCSIN_HOOK_"
TOOLS = ("CONNECTWISE", "AUTOTASK", "HALOPSA", "ZENDESK", "FRESHDESK", "JIRA")
"""The shipped integrations; the variable of each one's secret is HOOK_SECRET and its name."""


@dataclass(frozen=True)
class StackOptions:
    """The options of a stack. `settings` are added to the environment of every service and override the stack's own.
    By default the board is not among the `services`.

    With `monitoring`, Prometheus and Alertmanager run too, where the machine has them.
    """

    state: Path
    port_offset: int = 0
    clock: RequestedClock = NO_REQUEST
    services: Sequence[str] = PIPELINE
    durable: bool = True
    monitoring: bool = False
    policy: Path = POLICY_FOLDER / "policy.yaml"
    directory: Path = POLICY_FOLDER / "directory.yaml"
    integrations: Path = POLICY_FOLDER / "integrations.yaml"
    webhooks: Path = POLICY_FOLDER / "webhooks.yaml"
    settings: Mapping[str, str] = field(default_factory=dict)


def options_from(environment: Mapping[str, str]) -> StackOptions:
    """The options of `make run`: all services. Raises LocalError for an invalid value."""
    return StackOptions(
        services=(BOARD, *PIPELINE),
        state=state_folder(environment),
        port_offset=port_offset(environment),
        clock=requested_clock(environment),
        policy=_file(environment, "TOCSIN_POLICY", StackOptions.policy),
        directory=_file(environment, "TOCSIN_DIRECTORY", StackOptions.directory),
        integrations=_file(environment, "TOCSIN_INTEGRATIONS", StackOptions.integrations),
        webhooks=_file(environment, "TOCSIN_WEBHOOKS", StackOptions.webhooks),
        settings={name: value for name, value in environment.items() if name.startswith(HOOK_SECRET)},
    )


class Stack:
    """A stack on its state folder. All calls block; use `asyncio.to_thread` in an event loop.

    `parts` supervises the services, kafka, postgres, smtp, the monitors, and added replicas.
    """

    def __init__(self, options: StackOptions, report: Callable[[str], None]) -> None:
        """`report` is called with each line of progress."""
        self.options = options
        self.state = StateFolder(options.state)
        self._ports = ports(options.port_offset)
        self.postgres = Postgres(
            self.state.folder / "postgres", self._ports["postgres"], report, durable=options.durable
        )
        self.kafka = Kafka(self.state.folder / "kafka", self._ports["kafka"], self._ports["kafka-controller"], report)
        self.smtp = SmtpSink(self.state.folder / "smtp", self._ports["smtp"], self._ports["inbox"])
        self._monitors: list[Monitor] = []
        if options.monitoring:
            self._monitors = monitors(self.state.folder, self._ports, options.services)
        self.parts = Supervisor(self.state.logs, self._publish, report)
        self._report = report
        self._ready = False
        self._publishing = threading.Lock()

    @contextmanager
    def running(self) -> Iterator[Self]:
        """The stack is ready inside the with block and gone after it. Raises LocalError if it does not start.

        `python -m tocsin_local stop|start|kill PART` control it. A KeyboardInterrupt ends the start.
        """
        with self.state.locked():
            for bundle in (jar_bundle(), "kafka"):
                fetch(bundle, self._report)
            commands = {"start": self.parts.start, "stop": self.parts.stop, "kill": self.parts.kill}
            control = ControlServer(self.state.folder, commands)
            try:
                self._in_parallel(self._start)
                yield self
            finally:
                control.close()
                self._stop()

    @property
    def run(self) -> dict[str, Any]:
        """The content of run.json."""
        services = self.options.services
        urls = {name: self._service_url(name) for name in services}
        return {
            "urls": urls | {"inbox": self.smtp.inbox} | {monitor.name: monitor.url for monitor in self._monitors},
            "api_key": self.state.api_key(),
            "kafka": self.kafka.bootstrap,
            "smtp": self.smtp.address,
            "databases": {name: self._database_url(name) for name in services},
            "pids": self.parts.pids() | {"supervisor": os.getpid()},
            "clock": {"epoch": self.clock.epoch, "rate": self.clock.rate, "origin": self.clock.origin},
        }

    @property
    def clock(self) -> StackClock:
        return self.state.clock(self.options.clock)

    def add_replica(self, service: str) -> str:
        """Start another process of a service on a free port; returns the name of its part when it is ready."""
        taken = set(self.parts.names())
        name = next(name for number in range(2, 100) if (name := f"{service}-{number}") not in taken)
        self.parts.launch(self._service(service, name=name, port=free_port()))
        self.parts.wait_ready(name)
        return name

    def _start(self) -> None:
        for name in self.state.end_leftovers():
            self._report(f"ended {name}, left behind by a stack that was killed")
        # The first start generates secrets and the clock here: the threads below only read them.
        self.state.api_key()
        for name in self.options.services:
            self._settings(name)
        unused = {"prometheus", "alertmanager"} - {monitor.name for monitor in self._monitors}
        for name in self._ports.keys() - unused:
            check_port(name, self._ports[name])
        self.parts.watch()
        self._report("starting PostgreSQL, Kafka and the SMTP sink ...")
        self._in_parallel(self._start_databases, self._start_kafka, self._start_smtp)
        services = self.options.services
        if services:
            self._report(f"starting {', '.join(services)} ...")
        for name in services:
            self.parts.launch(self._service(name, name=name, port=self._ports[name]))
        for monitor in self._monitors:
            self.parts.launch(monitor)
        for name in services:
            self.parts.wait_ready(name)
        self._wait_for_monitors()
        self._ready = True
        self._publish()

    def _wait_for_monitors(self) -> None:
        """Return when the monitors are ready. One that does not start is reported and dropped."""
        if self.options.monitoring and (missing := missing_monitor()):
            self._report(missing)
        for monitor in list(self._monitors):
            try:
                self.parts.wait_ready(monitor.name)
            except PartFailedError as error:
                self._report(f"the stack runs without it: {error}")
                self.parts.remove(monitor.name)
                self._monitors.remove(monitor)

    def _start_databases(self) -> None:
        self.parts.launch(self.postgres)
        from tocsin_local.preparation import migrate_database

        self.parts.wait_ready("postgres")
        existing = self.postgres.databases()
        for name in self.options.services:
            role = self.state.database_role(PACKAGES[name])
            self.postgres.create_role(role)
            if role.name not in existing:
                self.postgres.create_database(role.name, role)
            migrate_database(PACKAGES[name], self._database_url(name))

    def _start_kafka(self) -> None:
        self.parts.launch(self.kafka)
        from tocsin_local.preparation import create_all_topics

        self.parts.wait_ready("kafka")
        if self.options.services:
            create_all_topics(self.kafka.bootstrap)

    def _start_smtp(self) -> None:
        self.parts.launch(self.smtp)
        self.parts.wait_ready("smtp")

    def _in_parallel(self, *work: Callable[[], None]) -> None:
        """Run functions in threads. A failure, or a KeyboardInterrupt in the main thread, makes all of them end soon.

        A signal cannot interrupt a thread between starting a process and recording it, so no process is left behind.
        """
        with ThreadPoolExecutor(len(work)) as pool:
            running = [pool.submit(each) for each in work]
            try:
                done, _ = wait(running, return_when=FIRST_EXCEPTION)
                for each in done:
                    each.result()
            except BaseException:
                self.parts.interrupt()
                raise

    def _stop(self) -> None:
        """Stop everything in order: the services, which flush their outboxes, then the servers they need."""
        names = self.parts.names()
        if names:
            self._report("stopping ...")
        services = [name for name in names if name not in ("smtp", "kafka", "postgres")]
        self.parts.end(services, ["smtp", "kafka"], ["postgres"])
        self.state.forget_run()
        if names:
            self._report("stopped; no process is left")

    def _service(self, service: str, *, name: str, port: int) -> ServicePart:
        return ServicePart(name, PACKAGES[service], port, self._settings(service))

    def _settings(self, service: str) -> dict[str, str]:
        own = {
            "TOCSIN_DATABASE_URL": self._database_url(service),
            "TOCSIN_KAFKA": self.kafka.bootstrap,
            "TOCSIN_KEYS": str(self.state.keys_file),
            "TOCSIN_POLICY": str(self.options.policy.absolute()),
            "TOCSIN_DIRECTORY": str(self.options.directory.absolute()),
            "TOCSIN_INTEGRATIONS": str(self.options.integrations.absolute()),
            "TOCSIN_SMTP": self.smtp.address,
            "TOCSIN_SMTP_TLS": "none",
            "TOCSIN_MAIL_FROM": SENDER,
            "TOCSIN_ACK_KEYS": self.state.ack_key(),
            "TOCSIN_PUBLIC_URL": self._service_url("intake"),
        }
        if service == BOARD:
            own |= self._board_settings()
        hooks = dict.fromkeys((f"{HOOK_SECRET}{tool}" for tool in TOOLS), self.state.hook_secret())
        return own | hooks | self.clock.environment() | dict(self.options.settings)

    def _board_settings(self) -> dict[str, str]:
        """The settings that only the board has, and those that differ from the other services'."""
        return {
            "TOCSIN_SLA_TIMER_URL": self._service_url("sla-timer"),
            "TOCSIN_ESCALATOR_URL": self._service_url("escalator"),
            "TOCSIN_UPSTREAM_KEYS": json.dumps({"default": self.state.api_key()}),
            "TOCSIN_BOARD_SESSION_KEYS": self.state.session_key(),
            "TOCSIN_PUBLIC_URL": self._service_url(BOARD),
            "TOCSIN_WEBHOOKS": str(self.options.webhooks.absolute()),
        }

    def _service_url(self, service: str) -> str:
        return f"http://{LOOPBACK}:{self._ports[service]}"

    def _database_url(self, service: str) -> str:
        role = self.state.database_role(PACKAGES[service])
        return self.postgres.url(role, role.name)

    def _publish(self) -> None:
        """Write what changed with the parts' processes: run.json and the list for `end_leftovers`."""
        with self._publishing:
            self.state.record_processes(self.parts.records())
            if self._ready:
                self.state.write_environments({name: self._settings(name) for name in self.options.services})
                self.state.write_run(self.run)


def _file(environment: Mapping[str, str], name: str, default: Path) -> Path:
    path = Path(environment.get(name) or default)
    if not path.is_file():
        raise LocalError(f"{name}: there is no file {path}.")
    return path
