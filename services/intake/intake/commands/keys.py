"""`python -m intake keys`: manage the API keys in keys.yaml, which all services read."""

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer
from pydantic import ValidationError
from tocsin.instants import render_instant
from tocsin.runtime.errors import FileReadError, KeyFileError
from tocsin.runtime.http.api_keys import SCOPES, TICKETS_READ, TICKETS_WRITE, Key, KeyFile, edit_keys, issue, read_keys
from tocsin.runtime.process.settings import EnvironmentSettings, load, use_stack_environment
from tocsin.validation import describe_validation_error

app = typer.Typer(no_args_is_help=True)

DEFAULT_SCOPES: Final = (TICKETS_READ, TICKETS_WRITE)
"""The scopes of a provider. `admin` is for the operator of the installation and must be named."""

_DEFAULT_OVERLAP: Final = timedelta(days=7)
_DURATION: Final = re.compile(r"(\d{1,5})([dhm])")
_UNITS: Final = {"d": "days", "h": "hours", "m": "minutes"}


def _parse_duration(text: str | timedelta) -> timedelta:
    if isinstance(text, timedelta):
        return text
    found = _DURATION.fullmatch(text)
    if found is None:
        raise typer.BadParameter("must be a number of days, hours or minutes, such as 7d, 12h or 30m")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


class KeysSettings(EnvironmentSettings):
    """The settings of the `keys` commands."""

    keys: Path


KeyId = Annotated[str, typer.Argument(help="The key's id: the eight characters after `tcs_`.")]


@app.command()
def create(
    tenant: Annotated[str, typer.Option(help="The provider that the key belongs to.")] = "default",
    scope: Annotated[
        list[str] | None,
        typer.Option(help=f"One of {', '.join(SCOPES)}; repeatable. Default: {' and '.join(DEFAULT_SCOPES)}."),
    ] = None,
    days: Annotated[
        int | None, typer.Option(min=1, max=36500, help="Days until the key expires. Default: it does not expire.")
    ] = None,
    requests_per_minute: Annotated[
        int | None, typer.Option(min=1, max=1_000_000, help="Rate limit in each process. Default: no limit.")
    ] = None,
) -> None:
    """Create a key and print it. It is printed only once: the file keeps its hash."""
    try:
        text, key = issue(tenant, tuple(scope) if scope else DEFAULT_SCOPES, _in_days(days), requests_per_minute)
    except ValidationError as error:
        _fail(f"Invalid {describe_validation_error(error)}.")
    except ValueError as error:
        _fail(str(error))
    _edit(_key_file(), lambda keys: (*keys, key))
    typer.echo(text)


@app.command("list")
def list_keys() -> None:
    """List the keys: id, tenant, scopes, expiry, rate limit, creation."""
    for key in _read(_key_file()).keys:
        expiry = "does not expire" if key.expires_at is None else f"expires {render_instant(key.expires_at)}"
        limit = "no limit" if key.requests_per_minute is None else f"{key.requests_per_minute} requests/min"
        created = f"created {render_instant(key.created_at)}"
        typer.echo(f"{key.id}  {key.tenant}  {','.join(key.scopes)}  {expiry}  {limit}  {created}")


@app.command()
def rotate(
    key_id: KeyId,
    overlap: Annotated[
        timedelta,
        typer.Option(
            parser=_parse_duration, metavar="DURATION", help="How long the old key stays valid: 7d, 12h, 30m."
        ),
    ] = _DEFAULT_OVERLAP,
    days: Annotated[
        int | None,
        typer.Option(min=1, max=36500, help="Days until the new key expires. Default: when the old one would have."),
    ] = None,
) -> None:
    """Create and print a key with the same rights; the old key stays valid for the overlap."""
    path = _key_file()
    _read(path)  # fail now if the file is missing: an edit would create it
    created: list[str] = []

    def replace_key(keys: tuple[Key, ...]) -> Iterator[Key]:
        for key in keys:
            if key.id != key_id:
                yield key
                continue
            if key.expires_at is not None and key.expires_at <= _now():
                _fail(
                    f"The key {key_id} expired at {render_instant(key.expires_at)}. Create another one: `keys create`."
                )
            overlap_end = _now() + overlap
            yield key.model_copy(update={"expires_at": min(key.expires_at or overlap_end, overlap_end)})
            expires_at = key.expires_at if days is None else _in_days(days)
            text, successor = issue(key.tenant, key.scopes, expires_at, key.requests_per_minute)
            created.append(text)
            yield successor

    _edit(path, replace_key)
    if not created:
        _fail(f"Key {key_id} not found.")
    typer.echo(created[0])


@app.command()
def revoke(key_id: KeyId) -> None:
    """Delete a key. All services reject it at once."""
    path = _key_file()
    if all(key.id != key_id for key in _read(path).keys):
        _fail(f"Key {key_id} not found.")
    _edit(path, lambda keys: (key for key in keys if key.id != key_id))


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _in_days(days: int | None) -> datetime | None:
    return None if days is None else _now() + timedelta(days=days)


def _edit(path: Path, change: Callable[[tuple[Key, ...]], Iterable[Key]]) -> None:
    try:
        edit_keys(path, change)
    except (KeyFileError, FileReadError, OSError) as error:
        _fail(_describe(path, error))


def _key_file() -> Path:
    """The file that is configured, or that of the stack of `make run`."""
    use_stack_environment("intake")
    return load(KeysSettings).keys


def _read(path: Path) -> KeyFile:
    try:
        return read_keys(path)
    except (KeyFileError, FileReadError) as error:
        _fail(_describe(path, error))


def _describe(path: Path, error: KeyFileError | FileReadError | OSError) -> str:
    if isinstance(error, KeyFileError):
        return f"{error}."
    if not path.parent.is_dir():
        return f"The folder {path.parent} of TOCSIN_KEYS does not exist. Create it first."
    if isinstance(error, FileReadError):
        if not path.exists():
            return f"{path} does not exist. `python -m intake keys create` creates it with the first key."
        return f"{path} cannot be read: {error.reason}."
    return f"{error.filename or path}: {error.strerror}."


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)
