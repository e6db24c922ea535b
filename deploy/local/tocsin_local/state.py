"""The state folder: what a stack keeps from one start to the next, and what it tells others while it runs."""

import contextlib
import fcntl
import secrets
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import psutil
from tocsin.runtime.http.api_keys import add_key, issue

from tocsin_local.clock import Asked, Clock, check, first
from tocsin_local.errors import LocalError, StateRefused
from tocsin_local.paths import control_file
from tocsin_local.postgres import Role
from tocsin_local.processes import end_processes, recorded_process

LEAST_FREE_BYTES = 1_000_000_000
LEFTOVER_SECONDS = 15.0


class State:
    """The folder (`var/` or $TOCSIN_STATE)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()

    @property
    def run_file(self) -> Path:
        return self.folder / "run.json"

    @property
    def control_file(self) -> Path:
        return control_file(self.folder)

    @property
    def keys_file(self) -> Path:
        return self.folder / "keys.yaml"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keeps others out as long as this process lives.

        Raises StateRefused when a stack runs on it already, LocalError when there is no room.
        """
        try:
            self.logs.mkdir(parents=True, exist_ok=True)
            lock = (self.folder / "lock").open("a")
        except OSError as error:
            raise LocalError(f"the state folder {self.folder} cannot be written: {error.strerror}.") from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise StateRefused(
                    f"a stack is already running on {self.folder}: stop it (Ctrl-C there), or use another "
                    "TOCSIN_STATE with another TOCSIN_PORT_OFFSET."
                ) from error
            free = shutil.disk_usage(self.folder).free
            if free < LEAST_FREE_BYTES:
                raise LocalError(f"only {free / 1e6:.0f} MB are free below {self.folder}: a stack needs 1 GB.")
            yield

    def end_leftovers(self) -> list[str]:
        """Ends what a stack that was killed left running; returns the names of those parts."""
        found = [(entry, process) for entry in self._recorded() if (process := recorded_process(entry))]
        family = [child for _, process in found for child in process.children(recursive=True)]
        for entry, process in found:
            process.send_signal(signal.Signals(entry["stop_signal"]))
        psutil.wait_procs([process for _, process in found], timeout=LEFTOVER_SECONDS)
        end_processes([process for _, process in found] + family)
        self.run_file.unlink(missing_ok=True)
        return [entry["name"] for entry, _ in found]

    def record_processes(self, entries: list[dict[str, Any]]) -> None:
        """What `end_leftovers` needs to know: written whenever a process was started."""
        self._write("processes.json", entries)

    def clock(self, asked: Asked) -> Clock:
        """The clock of this state, made at the first start. Raises StateRefused when another one is asked for."""
        path = self.folder / "clock.json"
        if path.exists():
            kept = Clock(**orjson.loads(path.read_bytes()))
            check(kept, asked)
            return kept
        made = first(asked, datetime.now(UTC))
        self._write(path.name, asdict(made))
        return made

    def role(self, name: str) -> Role:
        """The database login of a service; its password is made once."""
        return Role(name, self._secret(f"database-{name}", lambda: secrets.token_urlsafe(24)))

    def api_key(self) -> str:
        """A key of the tenant `default` with all scopes, made once and known to the services through keys.yaml."""
        return self._secret("api-key", self._issue)

    def ack_key(self) -> str:
        """The key that acknowledgement links are signed with, made once."""
        return self._secret("ack-key", lambda: secrets.token_urlsafe(32))

    def hook_secret(self) -> str:
        """The secret of all shipped integrations, made once; an administrator's own comes by the environment."""
        return self._secret("hook-secret", lambda: secrets.token_urlsafe(32))

    def write_run(self, run: Mapping[str, Any]) -> None:
        self._write(self.run_file.name, run)

    def write_control(self, control: Mapping[str, Any]) -> None:
        self._write(self.control_file.name, control)

    def forget_run(self) -> None:
        """Nothing of this stack runs any more."""
        for path in (self.run_file, self.control_file, self.folder / "processes.json"):
            path.unlink(missing_ok=True)

    def _issue(self) -> str:
        text, key = issue("default")
        add_key(self.keys_file, key)
        return text

    def _secret(self, name: str, make: Callable[[], str]) -> str:
        path = self.folder / "secrets.json"
        kept = orjson.loads(path.read_bytes()) if path.exists() else {}
        if name not in kept:
            kept[name] = make()
            self._write(path.name, kept)
        return str(kept[name])

    def _recorded(self) -> list[dict[str, Any]]:
        path = self.folder / "processes.json"
        return list(orjson.loads(path.read_bytes())) if path.exists() else []

    def _write(self, name: str, content: object) -> None:
        """Whole or not at all, and for our own eyes: most of these files hold a key or a password."""
        beside = self.folder / f".{name}.{time.monotonic_ns()}"
        beside.touch(mode=0o600)
        beside.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2) + b"\n")
        beside.replace(self.folder / name)
