"""Processes of the stack: started with a log file each, waited for, stopped or killed with all their children."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import psutil

from tocsin_local.errors import PartFailedError
from tocsin_local.loopback import check_port

POLL_SECONDS = 0.05
STOP_SECONDS = 30.0
MAX_LOG_BYTES = 50_000_000


@dataclass(frozen=True)
class LaunchCommand:
    """How to start a process; `user` and `group` are ids, None for our own."""

    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    user: int | None = None
    group: int | None = None

    def options(self) -> dict[str, Any]:
        """The arguments of subprocess.Popen."""
        return {
            "args": self.argv,
            "env": dict(self.env),
            "user": self.user,
            "group": self.group,
            "extra_groups": None if self.user is None else [],  # another user has none of our groups
            "stdin": subprocess.DEVNULL,
            "stderr": subprocess.STDOUT,
            "cwd": "/",
        }


class StackPart(Protocol):
    """A server or service of the stack: how to start it, how to see that it is ready, how to stop it."""

    @property
    def name(self) -> str: ...

    @property
    def stop_signal(self) -> signal.Signals: ...

    @property
    def port(self) -> int: ...

    def launch(self) -> LaunchCommand:
        """Prepare what the process needs (files, formats) and return how to start it. Raises LocalError."""

    def ready(self) -> bool:
        """Whether it responds now. It is polled, so it must not block for more than a few seconds."""


class Process:
    """One run of a part, from start to end."""

    def __init__(self, part: StackPart, log: Path) -> None:
        """Start it. Raises PortTakenError if its port is in use, PartFailedError if it cannot be executed."""
        check_port(part.name, part.port)
        self.part = part
        self.log = log
        _rotate(log)
        command = part.launch()
        with log.open("ab") as output:
            try:
                # A new session, so that Ctrl-C reaches only the supervisor, which stops the parts in order.
                self._popen = subprocess.Popen(**command.options(), stdout=output, start_new_session=True)
            except OSError as error:
                raise PartFailedError(f"{part.name} could not be started: {error}.") from error
        self.pid = self._popen.pid
        self._created = psutil.Process(self.pid).create_time()

    @property
    def record(self) -> dict[str, Any]:
        """What another process needs to find and end this one (see `find_process`)."""
        stop_signal = self.part.stop_signal.value
        return {"name": self.part.name, "pid": self.pid, "created": self._created, "stop_signal": stop_signal}

    def is_alive(self) -> bool:
        return self._popen.poll() is None

    def wait_ready(self, seconds: float) -> None:
        """Return when the part is ready. Raises PartFailedError if it ends, or is not ready within `seconds`."""
        end = time.monotonic() + seconds
        while not self.part.ready():
            if not self.is_alive():
                raise PartFailedError(
                    f"{self.part.name} ended with code {self._popen.returncode} while starting: "
                    f"{last_line(self.log)} (see {self.log})."
                )
            if time.monotonic() > end:
                raise PartFailedError(f"{self.part.name} is not ready after {seconds:.0f} s: see {self.log}.")
            time.sleep(POLL_SECONDS)

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Ask it to end, kill it after `seconds`, and return when it is gone with all its children."""
        children = self._children()
        if self.is_alive():
            self._popen.send_signal(self.part.stop_signal)
        try:
            self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        kill_processes(children)

    def kill(self) -> None:
        """Kill it with SIGKILL, as a crash would, and return when it is gone with all its children."""
        children = self._children()
        self._popen.kill()
        self._popen.wait()
        kill_processes(children)

    def _children(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self.pid).children(recursive=True) if self.is_alive() else []
        except psutil.NoSuchProcess:
            return []


def find_process(record: Mapping[str, Any]) -> psutil.Process | None:
    """The process of a record if it still runs: its pid alone may belong to another process by now."""
    try:
        process = psutil.Process(record["pid"])
        same = abs(process.create_time() - record["created"]) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return None
    return process if same else None


def run_command(command: LaunchCommand) -> subprocess.CompletedProcess[bytes]:
    """Run a command to its end; `stdout` holds all its output."""
    return subprocess.run(**command.options(), stdout=subprocess.PIPE, check=False)


def kill_processes(processes: Sequence[psutil.Process]) -> None:
    """Kill the processes that still run and wait until they are gone (psutil recognises a reused pid)."""
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(processes, timeout=STOP_SECONDS)


def last_line(log: Path) -> str:
    """The last line of a log that is not blank."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "its log is empty"


def _rotate(log: Path) -> None:
    """Move a large log aside, over the one before, when its part starts anew."""
    if log.exists() and log.stat().st_size > MAX_LOG_BYTES:
        log.replace(log.with_suffix(".old.log"))
