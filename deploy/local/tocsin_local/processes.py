"""Processes: started with a log file of their own, waited for, stopped or killed with everything they started."""

import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import psutil

from tocsin_local.errors import PartFailed, PortTaken
from tocsin_local.ports import BASE, LOOPBACK, ports

POLL_SECONDS = 0.05
STOP_SECONDS = 30.0
LARGEST_LOG = 50_000_000
BELOW_EPHEMERAL = 32_000


@dataclass(frozen=True)
class Launch:
    """How a process is started; `user` and `group` are ids, None means ours."""

    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    user: int | None = None
    group: int | None = None

    @property
    def extra_groups(self) -> list[int] | None:
        """Another user gets none of our groups."""
        return None if self.user is None else []


class Part(Protocol):
    """A server or service of the stack: what is started, how one sees that it is ready, how it is asked to end."""

    @property
    def name(self) -> str: ...

    @property
    def stop_signal(self) -> signal.Signals: ...

    @property
    def port(self) -> int: ...

    def launch(self) -> Launch:
        """Makes ready what the process needs (files, formats) and tells how to start it. Raises LocalError."""

    def ready(self) -> bool:
        """Whether it answers now; asked again and again, so it must not block longer than some seconds."""


class Process:
    """One run of a part, from start to end."""

    def __init__(self, part: Part, log: Path) -> None:
        """Starts it; raises PortTaken when its port is in use, PartFailed when it cannot be executed."""
        check_port(part.name, part.port)
        self.part = part
        self.log = log
        _keep_small(log)
        launch = part.launch()
        with log.open("ab") as output:
            try:
                self._popen = subprocess.Popen(
                    launch.argv,
                    env=dict(launch.env),
                    user=launch.user,
                    group=launch.group,
                    extra_groups=launch.extra_groups,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd="/",
                    start_new_session=True,  # Ctrl-C is for the supervisor, which stops the parts in order
                )
            except OSError as error:
                raise PartFailed(f"{part.name} could not be started: {error}.") from error
        self.pid = self._popen.pid
        self._created = psutil.Process(self.pid).create_time()

    @property
    def entry(self) -> dict[str, Any]:
        """What another process must know to end this one (see `recorded_process`)."""
        signal_number = self.part.stop_signal.value
        return {"name": self.part.name, "pid": self.pid, "created": self._created, "stop_signal": signal_number}

    def alive(self) -> bool:
        return self._popen.poll() is None

    def wait_ready(self, seconds: float) -> None:
        """Returns when the part answers; raises PartFailed when it ends before, or does not within `seconds`."""
        end = time.monotonic() + seconds
        while not self.part.ready():
            if not self.alive():
                raise PartFailed(
                    f"{self.part.name} ended with code {self._popen.returncode} while it started: "
                    f"{last_line(self.log)} (all of it in {self.log})."
                )
            if time.monotonic() > end:
                raise PartFailed(f"{self.part.name} is not ready after {seconds:.0f} s: see {self.log}.")
            time.sleep(POLL_SECONDS)

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Asks it to end, kills what is there after `seconds`, and returns when it is gone with all its children."""
        family = self._family()
        if self.alive():
            self._popen.send_signal(self.part.stop_signal)
        try:
            self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        end_processes(family)

    def kill(self) -> None:
        """Ends it as a crash would (SIGKILL), with its children, and returns when all are gone."""
        family = self._family()
        self._popen.kill()
        self._popen.wait()
        end_processes(family)

    def _family(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self.pid).children(recursive=True) if self.alive() else []
        except psutil.NoSuchProcess:
            return []


def recorded_process(entry: Mapping[str, Any]) -> psutil.Process | None:
    """The process of an `entry`, if it still runs: a pid alone may belong to somebody else by now."""
    try:
        process = psutil.Process(entry["pid"])
        same = abs(process.create_time() - entry["created"]) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return None
    return process if same else None


def run_to_end(launch: Launch) -> subprocess.CompletedProcess[bytes]:
    """Runs a command that ends by itself; `stdout` holds all it wrote."""
    return subprocess.run(
        launch.argv,
        env=dict(launch.env),
        user=launch.user,
        group=launch.group,
        extra_groups=launch.extra_groups,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd="/",
        check=False,
    )


def end_processes(processes: Sequence[psutil.Process]) -> None:
    """Kills those still running and waits until they are gone (psutil knows a reused pid by its start time)."""
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(processes, timeout=STOP_SECONDS)


def answers(port: int) -> bool:
    """Whether something accepts connections on the loopback port."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1):
            return True
    except OSError:
        return False


def check_port(name: str, port: int) -> None:
    """Raises PortTaken when `port` cannot be listened on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise PortTaken(
                f"port {port} for {name} is taken by another program: stop that, "
                "or move all ports with TOCSIN_PORT_OFFSET=1000."
            ) from error


def free_port() -> int:
    """A port that nobody listens on now, for tests; below those that systems give to outgoing connections."""
    return next(port for port in _candidates(BELOW_EPHEMERAL) if _free(port))


def free_offset() -> int:
    """A port offset at which a whole stack finds its ports free now, for tests."""
    highest = BELOW_EPHEMERAL - max(BASE.values())
    return next(offset for offset in _candidates(highest) if all(_free(port) for port in ports(offset).values()))


def _candidates(end: int) -> Iterator[int]:
    while True:
        yield 10_000 + secrets.randbelow(end - 10_000)


def _free(port: int) -> bool:
    try:
        check_port("a test", port)
    except PortTaken:
        return False
    return True


def _keep_small(log: Path) -> None:
    """A log that grew large is put aside, in place of the one before, when its part starts anew."""
    if log.exists() and log.stat().st_size > LARGEST_LOG:
        log.replace(log.with_suffix(".old.log"))


def last_line(log: Path) -> str:
    """The last line of a log that says something."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it wrote nothing"
