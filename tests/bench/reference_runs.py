"""Runs the references in their own environment, on a PostgreSQL and a Redis started for them."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
from support.servers import log_line, running, service_role
from tocsin_local.loopback import free_port, is_listening
from tocsin_local.postgres import Postgres
from tocsin_local.processes import LaunchCommand

ROOT: Final = Path(__file__).parents[2]
PYTHON: Final = ROOT / ".venv/bench/bin/python"
ON_POSTGRES: Final = ("apscheduler", "procrastinate", "pgqueuer")
CELERY: Final = "celery"
TITLES: Final = {
    "apscheduler": "APScheduler",
    "procrastinate": "procrastinate",
    "pgqueuer": "PgQueuer",
    "celery": "Celery with Redis",
}


@dataclass(frozen=True)
class ReferenceRuns:
    """The references that can run here; `urls` has the server of each."""

    urls: dict[str, str]

    @property
    def names(self) -> Sequence[str]:
        return tuple(self.urls)

    def run(self, name: str, command: str, *numbers: int) -> dict[str, Any]:
        """What `python -m bench.references` prints."""
        argv = (str(PYTHON), "-m", "bench.references", name, self.urls[name], command, *map(str, numbers))
        environment = os.environ | {"PYTHONPATH": str(ROOT / "tests")}
        done = subprocess.run(argv, env=environment, capture_output=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{name} {command} failed: {done.stderr.decode(errors='replace')[-2000:]}")
        found: dict[str, Any] = orjson.loads(done.stdout.splitlines()[-1])
        return found


@contextmanager
def reference_runs(*names: str) -> Iterator[ReferenceRuns]:
    """Starts what these references need. Without a Redis on PATH, Celery is left out, and one line says so."""
    if not PYTHON.exists():
        raise RuntimeError("the references are not installed: run `make bench`, or `make .venv/bench/installed`")
    with ExitStack() as servers:
        folder = Path(servers.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        postgres = Postgres(folder / "postgres", free_port(), log_line, durable=True)
        servers.callback(postgres.remove)
        servers.enter_context(running(postgres, folder))
        postgres.create_role(service_role("reference"))
        urls = {
            name: postgres.create_database(name, service_role("reference")) for name in names if name in ON_POSTGRES
        }
        binary = shutil.which("redis-server") or shutil.which("valkey-server")
        if CELERY in names and binary:
            redis = Redis(binary, folder)
            servers.enter_context(running(redis, folder))
            urls[CELERY] = redis.url
        elif CELERY in names:
            sys.stderr.write("Celery is left out: neither redis-server nor valkey-server is on PATH\n")
        yield ReferenceRuns(urls)


class Redis:
    """Redis or Valkey as a part for `running`: each command is synced to its file."""

    name = "redis"
    stop_signal = signal.SIGTERM

    def __init__(self, binary: str, folder: Path) -> None:
        self.port = free_port()
        self._binary = binary
        self._folder = folder

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def launch(self) -> LaunchCommand:
        durable = ("--appendonly", "yes", "--appendfsync", "always", "--save", "")
        where = ("--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self._folder))
        return LaunchCommand((self._binary, *where, *durable))

    def ready(self) -> bool:
        return is_listening(self.port)
