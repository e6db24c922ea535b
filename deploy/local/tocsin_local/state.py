"""The state folder: what a stack keeps from one start to the next, and what it publishes while it runs."""

import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import orjson
import psutil
from tocsin.runtime.http.api_keys import add_key, issue
from tocsin.runtime.process.settings import STACK_ENVIRONMENT

from tocsin_local.atomic_file import write_atomically
from tocsin_local.clock import RequestedClock, StackClock, check_unchanged, new_clock
from tocsin_local.control import CONTROL_FILE
from tocsin_local.errors import LocalError, StateRefusedError
from tocsin_local.postgres import DatabaseRole
from tocsin_local.processes import find_process, kill_processes

LEAST_FREE_BYTES = 1_000_000_000
LEFTOVER_SECONDS = 15.0
PROCESSES_FILE = "processes.json"


class StateFolder:
    """The folder `var/`, or $TOCSIN_STATE."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.run_file = self.folder / "run.json"
        self.keys_file = self.folder / "keys.yaml"
        self.logs = self.folder / "logs"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the state for this stack inside the with block, or until this process ends.

        Only the owner can read the files that this process and its children write meanwhile, because mails have live
        links. Raises StateRefusedError if a stack runs on the state already, LocalError if there is no room.
        """
        with _private_files():
            try:
                self.logs.mkdir(parents=True, exist_ok=True)
                _make_private(self.folder)
                lock = (self.folder / "lock").open("a")
            except OSError as error:
                raise LocalError(f"the state folder {self.folder} cannot be written: {error.strerror}.") from error
            with lock:
                self._refuse_a_second_stack(lock)
                yield

    def read_run(self) -> Mapping[str, Any] | None:
        """The content of run.json if a stack runs on this state, else None. Raises LocalError until it is ready."""
        if not self.folder.exists():
            return None
        with contextlib.suppress(StateRefusedError), self.locked():
            return None
        try:
            run: Mapping[str, Any] = orjson.loads(self.run_file.read_bytes())
        except FileNotFoundError:
            raise LocalError(f"the stack on {self.folder} is not ready yet, or is stopping: retry later.") from None
        return run

    def write_run(self, run: Mapping[str, Any]) -> None:
        """Publish run.json."""
        self._write(self.run_file.name, run)

    def write_environments(self, environments: Mapping[str, Mapping[str, str]]) -> None:
        """Publish the environment of each service, for their commands."""
        self._write(STACK_ENVIRONMENT, environments)

    def forget_run(self) -> None:
        """Remove the files that say how to reach a running stack."""
        for name in (self.run_file.name, CONTROL_FILE, PROCESSES_FILE, STACK_ENVIRONMENT):
            (self.folder / name).unlink(missing_ok=True)

    def record_processes(self, processes: Sequence[Mapping[str, Any]]) -> None:
        """Record the running processes (see `Process.record`) for `end_leftovers`."""
        self._write(PROCESSES_FILE, processes)

    def end_leftovers(self) -> list[str]:
        """End the processes that a killed stack left running; returns the names of their parts."""
        records = self._read(PROCESSES_FILE, default=[])
        found = [(record, process) for record in records if (process := find_process(record))]
        children = [child for _, process in found for child in process.children(recursive=True)]
        for record, process in found:
            process.send_signal(signal.Signals(record["stop_signal"]))
        psutil.wait_procs([process for _, process in found], timeout=LEFTOVER_SECONDS)
        kill_processes([process for _, process in found] + children)
        for name in (self.run_file.name, STACK_ENVIRONMENT):
            (self.folder / name).unlink(missing_ok=True)
        return [record["name"] for record, _ in found]

    def clock(self, requested: RequestedClock) -> StackClock:
        """The clock of this state, set at the first start. Raises StateRefusedError if another one is requested."""
        kept = self._read("clock.json", default=None)
        if kept is not None:
            clock = StackClock(**kept)
            check_unchanged(clock, requested)
            return clock
        clock = new_clock(requested, datetime.now(UTC))
        self._write("clock.json", asdict(clock))
        return clock

    def database_role(self, name: str) -> DatabaseRole:
        """The database login of a service. Its password, like all secrets here, is generated once."""
        return DatabaseRole(name, self._secret(f"database-{name}", lambda: secrets.token_urlsafe(24)))

    def api_key(self) -> str:
        """A key of the tenant `default` with all scopes, known to the services through keys.yaml."""

        def issue_key() -> str:
            text, key = issue("default")
            add_key(self.keys_file, key)
            return text

        return self._secret("api-key", issue_key)

    def ack_key(self) -> str:
        """The key that signs acknowledgement links."""
        return self._secret("ack-key", lambda: secrets.token_urlsafe(32))

    def session_key(self) -> str:
        """The key that signs the sessions of the board."""
        return self._secret("session-key", lambda: secrets.token_urlsafe(32))

    def hook_secret(self) -> str:
        """The secret of all shipped integrations; the environment can set others."""
        return self._secret("hook-secret", lambda: secrets.token_urlsafe(32))

    def _refuse_a_second_stack(self, lock: IO[str]) -> None:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StateRefusedError(
                f"a stack is already running on {self.folder}: stop it (Ctrl-C there), or use another "
                "TOCSIN_STATE with another TOCSIN_PORT_OFFSET."
            ) from error
        free = shutil.disk_usage(self.folder).free
        if free < LEAST_FREE_BYTES:
            raise LocalError(f"only {free / 1e6:.0f} MB are free below {self.folder}: a stack needs 1 GB.")

    def _secret(self, name: str, generate: Callable[[], str]) -> str:
        kept = self._read("secrets.json", default={})
        if name not in kept:
            kept[name] = generate()
            self._write("secrets.json", kept)
        return str(kept[name])

    def _read(self, name: str, *, default: Any) -> Any:
        path = self.folder / name
        return orjson.loads(path.read_bytes()) if path.exists() else default

    def _write(self, name: str, content: object) -> None:
        write_atomically(self.folder / name, orjson.dumps(content, option=orjson.OPT_INDENT_2) + b"\n")


@contextlib.contextmanager
def _private_files() -> Iterator[None]:
    """New files and folders belong to their owner alone, also those of processes that are started meanwhile."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def _make_private(folder: Path) -> None:
    """Remove the permissions of other users from a state that an older version or another program created."""
    found = folder.stat()
    if found.st_mode & stat.S_ISVTX:
        raise LocalError(f"the state folder {folder} is shared by all users: set TOCSIN_STATE to a folder below it.")
    if found.st_mode & 0o077:
        for path in (folder, *folder.rglob("*")):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode & 0o700)
