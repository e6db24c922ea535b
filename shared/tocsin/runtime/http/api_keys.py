"""API keys: hashes in keys.yaml, written by `python -m intake keys`, read again by every service when the file
changes.
"""

import fcntl
import hashlib
import hmac
import os
import secrets
import string
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tocsin.runtime.errors import KeyFileError
from tocsin.runtime.process.reloaded_file import ReloadedFile

TICKETS_READ: Final = "tickets:read"
TICKETS_WRITE: Final = "tickets:write"
ADMIN: Final = "admin"
SCOPES: Final = (TICKETS_READ, TICKETS_WRITE, ADMIN)
"""Reading (tickets, clocks, escalations, deliveries, reports); taking tickets and events in; dead letters and
redelivery.
"""

_PREFIX = "tcs"
_ALPHABET = string.ascii_letters + string.digits
_NOBODY = "0" * 64


Refused = Literal["unknown", "expired"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: the provider (tenant) a key belongs to, and what the key may do."""

    tenant: str
    key_id: str
    scopes: frozenset[str]
    requests_per_minute: int | None = None


class Key(BaseModel):
    """An entry of keys.yaml. The key itself is shown once, when it is issued; here is only its SHA-256."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[A-Za-z0-9]{8}$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    tenant: str = Field(min_length=1, max_length=100)
    scopes: tuple[str, ...]
    created_at: AwareDatetime
    expires_at: AwareDatetime | None = None
    requests_per_minute: int | None = Field(default=None, ge=1, le=1_000_000)
    """Of each process of a service; none: no limit."""


class KeyFile(BaseModel):
    """keys.yaml as a whole."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: tuple[Key, ...] = ()


class KeyRing:
    """The keys of one file. `check` looks at the file's time each call, so a new or removed key counts at once."""

    def __init__(self, path: Path) -> None:
        self._file = ReloadedFile(path, read_keys, KeyFileError, event="keys_unusable")
        self._keys: dict[str, Key] = {}
        self.used: dict[str, datetime] = {}
        """When each key was last used here, until somebody takes it away to keep it."""
        self._refresh()

    @property
    def keys(self) -> Sequence[Key]:
        """Every key of the file."""
        self._refresh()
        return tuple(self._keys.values())

    def check(self, text: str) -> Caller | Refused:
        """The caller whose key this is, or why there is none. A valid key costs the same whatever was tried before."""
        self._refresh()
        prefix, _, rest = text.partition("_")
        key = self._keys.get(rest.partition("_")[0]) if prefix == _PREFIX else None
        right = hmac.compare_digest(_digest(text), key.sha256 if key else _NOBODY)
        if key is None or not right:
            return "unknown"
        now = datetime.now(UTC)
        if key.expires_at is not None and key.expires_at <= now:
            return "expired"
        self.used[key.id] = now
        return Caller(key.tenant, key.id, frozenset(key.scopes), key.requests_per_minute)

    async def ready(self) -> str | None:
        """A readiness check: None, or why there are no keys to check with."""
        self._refresh()
        return self._file.problem

    def _refresh(self) -> None:
        if (found := self._file.look()) is not None:
            self._keys = {key.id: key for key in found.keys}


def issue(
    tenant: str,
    scopes: tuple[str, ...] = SCOPES,
    expires_at: datetime | None = None,
    requests_per_minute: int | None = None,
) -> tuple[str, Key]:
    """A new key: its text, `tcs_ID_SECRET`, to be shown once, and the entry to keep."""
    if unknown := sorted(set(scopes) - set(SCOPES)):
        raise ValueError(f"There is no scope {' or '.join(unknown)}; there are {', '.join(SCOPES)}.")
    key_id = "".join(secrets.choice(_ALPHABET) for _ in range(8))
    text = f"{_PREFIX}_{key_id}_{''.join(secrets.choice(_ALPHABET) for _ in range(40))}"
    entry = Key(
        id=key_id,
        sha256=_digest(text),
        tenant=tenant,
        scopes=scopes,
        created_at=datetime.now(UTC).replace(microsecond=0),
        expires_at=expires_at,
        requests_per_minute=requests_per_minute,
    )
    return text, entry


def read_keys(path: Path) -> KeyFile:
    """The file's keys. Raises `KeyFileError` if it is no list of keys, OSError if it cannot be read."""
    try:
        written = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise KeyFileError(f"{path.name} is not UTF-8") from error
    # Beside YAMLError: what ruamel says of a date that is none, of `!!bool x`, of 5,000 brackets.
    except (YAMLError, ValueError, KeyError, RecursionError) as error:
        raise KeyFileError(f"{path.name} is not YAML") from error
    try:
        return KeyFile.model_validate(written or {})
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise KeyFileError(f"{path.name}: {where}: {error.errors()[0]['msg']}") from error


def write_keys(path: Path, keys: KeyFile) -> None:
    """Replace the file atomically; only its owner may read it."""
    text = StringIO()
    YAML(typ="safe", pure=True).dump(keys.model_dump(mode="json", exclude_none=True), text)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text.getvalue())
        file.flush()
        os.fsync(file.fileno())  # or a machine that stops now might leave the new name and none of the keys
    Path(temporary).replace(path)


def edit_keys(path: Path, change: Callable[[tuple[Key, ...]], Iterable[Key]]) -> None:
    """Give the file, which may not exist yet, the keys that `change` makes of its own; one editor after the other."""
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = read_keys(path) if path.exists() else KeyFile()
        write_keys(path, KeyFile(keys=tuple(change(before.keys))))


def add_key(path: Path, key: Key) -> None:
    """Add a key to the file, which may not exist yet."""
    edit_keys(path, lambda keys: (*keys, key))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()
