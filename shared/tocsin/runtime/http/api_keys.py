"""API keys: their hashes are in keys.yaml, which `python -m intake keys` writes and every service reloads."""

import fcntl
import hashlib
import hmac
import os
import re
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

from tocsin.characters import Id
from tocsin.runtime.errors import KeyFileError
from tocsin.runtime.process.regular_file import read_text
from tocsin.runtime.process.reloaded_file import ReloadedFile
from tocsin.validation import describe_validation_error

TICKETS_READ: Final = "tickets:read"
TICKETS_WRITE: Final = "tickets:write"
ADMIN: Final = "admin"
SCOPES: Final = (TICKETS_READ, TICKETS_WRITE, ADMIN)
"""tickets:read reads tickets, clocks, escalations, deliveries and reports; tickets:write creates tickets and events;
admin is for dead letters, redelivery and keys.
"""

_PREFIX = "tcs"
_ALPHABET = string.ascii_letters + string.digits
_TEXT = re.compile(rf"{_PREFIX}_[A-Za-z0-9]{{8}}_[A-Za-z0-9]+")
_NO_HASH = "0" * 64


InvalidKey = Literal["unknown", "expired"]
"""Why a key is not valid."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The owner of a valid key: its tenant, and the scopes of the key."""

    tenant: str
    key_id: str
    scopes: frozenset[str]
    requests_per_minute: int | None = None


class Key(BaseModel):
    """An entry of keys.yaml: the SHA-256 of a key. The key itself is shown only once, when it is created."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[A-Za-z0-9]{8}$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    tenant: Id = Field(min_length=1, max_length=100)
    scopes: tuple[str, ...]
    created_at: AwareDatetime
    expires_at: AwareDatetime | None = None
    requests_per_minute: int | None = Field(default=None, ge=1, le=1_000_000)
    """The rate limit in each process of a service; None: no limit."""


class KeyFile(BaseModel):
    """The content of keys.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: tuple[Key, ...] = ()


class KeyRing:
    """The keys of one file, reloaded when it changes: a new or removed key takes effect immediately."""

    def __init__(self, path: Path) -> None:
        self._file = ReloadedFile(path, _parse_keys, KeyFileError, event="key_file_invalid")
        self._keys: dict[str, Key] = {}
        self.used: dict[str, datetime] = {}
        """When each key was last used in this process, by key id; `KeyUsage.save` moves it to the database."""
        self._refresh()

    @property
    def keys(self) -> Sequence[Key]:
        """All keys of the file."""
        self._refresh()
        return tuple(self._keys.values())

    def check(self, text: str) -> Caller | InvalidKey:
        """The caller with this key, or why the key is not valid. Comparison takes constant time."""
        self._refresh()
        prefix, _, rest = text.partition("_")
        key = self._keys.get(rest.partition("_")[0]) if prefix == _PREFIX else None
        is_right = hmac.compare_digest(_digest(text), key.sha256 if key else _NO_HASH)
        return self._use(key if is_right else None)

    def check_id(self, key_id: str) -> Caller | InvalidKey:
        """As `check`, for somebody who has shown before that the key of this id is theirs."""
        self._refresh()
        return self._use(self._keys.get(key_id))

    async def ready(self) -> str | None:
        """A readiness check: what is wrong with the file, or None."""
        self._refresh()
        return self._file.problem

    def _use(self, key: Key | None) -> Caller | InvalidKey:
        if key is None:
            return "unknown"
        now = datetime.now(UTC)
        if key.expires_at is not None and key.expires_at <= now:
            return "expired"
        self.used[key.id] = now
        return Caller(key.tenant, key.id, frozenset(key.scopes), key.requests_per_minute)

    def _refresh(self) -> None:
        if (content := self._file.reload()) is not None:
            self._keys = {key.id: key for key in content.keys}


def issue(
    tenant: str,
    scopes: tuple[str, ...] = SCOPES,
    expires_at: datetime | None = None,
    requests_per_minute: int | None = None,
) -> tuple[str, Key]:
    """Create a key. Returns its text `tcs_ID_SECRET`, to be shown once, and the entry for keys.yaml."""
    if unknown := sorted(set(scopes) - set(SCOPES)):
        raise ValueError(f"Unknown scope {', '.join(unknown)}. Known are {', '.join(SCOPES)}.")
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


def has_key_form(text: str) -> bool:
    """Whether the text has the form of a key, `tcs_ID_SECRET`. Such a text is a valid value of a header."""
    return _TEXT.fullmatch(text) is not None


def read_keys(path: Path) -> KeyFile:
    """The keys of the file. Raises KeyFileError if it is invalid, FileReadError if it cannot be read."""
    return _parse_keys(read_text(path), path.name)


def _parse_keys(text: str, name: str) -> KeyFile:
    try:
        content = YAML(typ="safe").load(text)
    # Besides YAMLError, ruamel raises these for an impossible date, for `!!bool x`, and for 5,000 brackets.
    except (YAMLError, ValueError, KeyError, RecursionError) as error:
        raise KeyFileError(f"{name} is not YAML") from error
    try:
        return KeyFile.model_validate(content or {})
    except ValidationError as error:
        raise KeyFileError(f"{name}: {describe_validation_error(error)}") from error


def write_keys(path: Path, keys: KeyFile) -> None:
    """Replace the file atomically. Only its owner may read it."""
    text = StringIO()
    YAML(typ="safe", pure=True).dump(keys.model_dump(mode="json", exclude_none=True), text)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text.getvalue())
        file.flush()
        os.fsync(file.fileno())  # otherwise a crash could leave the new file empty
    Path(temporary).replace(path)


def edit_keys(path: Path, change: Callable[[tuple[Key, ...]], Iterable[Key]]) -> None:
    """Replace the keys of the file, which may not exist yet, by `change(keys)`. Concurrent edits run one by one."""
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = read_keys(path) if path.exists() else KeyFile()
        write_keys(path, KeyFile(keys=tuple(change(before.keys))))


def add_key(path: Path, key: Key) -> None:
    """Add a key to the file, which may not exist yet."""
    edit_keys(path, lambda keys: (*keys, key))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()
