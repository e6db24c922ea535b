"""`python -m intake keys`: the API keys of keys.yaml, which all four services read."""

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer
from pydantic import ValidationError
from tocsin.instants import render_instant
from tocsin.runtime.errors import KeyFileError
from tocsin.runtime.http.api_keys import SCOPES, TICKETS_READ, TICKETS_WRITE, Key, KeyFile, edit_keys, issue, read_keys
from tocsin.runtime.process.settings import EnvironmentSettings, load

app = typer.Typer(no_args_is_help=True)

COMMON: Final = (TICKETS_READ, TICKETS_WRITE)
"""What a key may do unless its maker says otherwise: `admin` is for who runs the installation, not for a provider."""

OVERLAP: Final = timedelta(days=7)
_SPAN: Final = re.compile(r"(\d{1,5})([dhm])")
_UNITS: Final = {"d": "days", "h": "hours", "m": "minutes"}


def _span(text: str | timedelta) -> timedelta:
    if isinstance(text, timedelta):
        return text
    found = _SPAN.fullmatch(text)
    if found is None:
        raise typer.BadParameter("must be a number of days, hours or minutes, such as 7d, 12h or 30m")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


class KeysSettings(EnvironmentSettings):
    """All that `keys` needs."""

    keys: Path


Days = Annotated[int | None, typer.Option(min=1, max=36500, help="How long it is valid; for ever if left out.")]
KeyId = Annotated[str, typer.Argument(help="The key's id, the eight characters after `tcs_`.")]


@app.command()
def create(
    tenant: Annotated[str, typer.Option(help="The provider that the key belongs to.")] = "default",
    scope: Annotated[
        list[str] | None,
        typer.Option(help=f"Out of {', '.join(SCOPES)}; {' and '.join(COMMON)} if left out."),
    ] = None,
    days: Days = None,
    requests_per_minute: Annotated[
        int | None, typer.Option(min=1, max=1_000_000, help="How often each process takes it; no limit if left out.")
    ] = None,
) -> None:
    """Make a key and print it. It is shown this once; the file keeps its hash alone."""
    try:
        text, key = issue(tenant, tuple(scope) if scope else COMMON, _in_days(days), requests_per_minute)
    except ValidationError as error:
        _fail(f"The tenant is wrong: {error.errors()[0]['msg']}.")
    except ValueError as error:
        _fail(str(error))
    _edit(load(KeysSettings).keys, lambda keys: (*keys, key))
    typer.echo(text)


@app.command("list")
def show() -> None:
    """List the keys: id, tenant, scopes, expiry, limit, and when each was made."""
    for key in _read(load(KeysSettings).keys).keys:
        expiry = "for ever" if key.expires_at is None else f"until {render_instant(key.expires_at)}"
        limit = "no limit" if key.requests_per_minute is None else f"{key.requests_per_minute} a minute"
        made = f"made {render_instant(key.created_at)}"
        typer.echo(f"{key.id}  {key.tenant}  {','.join(key.scopes)}  {expiry}  {limit}  {made}")


@app.command()
def rotate(
    key_id: KeyId,
    overlap: Annotated[
        timedelta, typer.Option(parser=_span, metavar="SPAN", help="How long the old one is still taken: 7d, 12h, 30m.")
    ] = OVERLAP,
    days: Annotated[
        int | None,
        typer.Option(min=1, max=36500, help="How long the new one is valid; as long as the old one if left out."),
    ] = None,
) -> None:
    """Make a key that may do what this one may, and print it; the old one is taken until the overlap is over."""
    path = load(KeysSettings).keys
    _read(path)  # an edit would make the file that is missing
    made: list[str] = []

    def rotated(keys: tuple[Key, ...]) -> Iterator[Key]:
        for key in keys:
            if key.id != key_id:
                yield key
                continue
            if key.expires_at is not None and key.expires_at <= _now():
                _fail(
                    f"The key {key_id} expired at {render_instant(key.expires_at)}. Make another one by `keys create`."
                )
            until = _now() + overlap
            yield key.model_copy(update={"expires_at": min(key.expires_at or until, until)})
            end = key.expires_at if days is None else _in_days(days)
            text, following = issue(key.tenant, key.scopes, end, key.requests_per_minute)
            made.append(text)
            yield following

    _edit(path, rotated)
    if not made:
        _fail(f"There is no key {key_id}; a revoked one is gone.")
    typer.echo(made[0])


@app.command()
def revoke(key_id: KeyId) -> None:
    """Remove a key; every service refuses it at once."""
    path = load(KeysSettings).keys
    if all(key.id != key_id for key in _read(path).keys):
        _fail(f"There is no key {key_id}.")
    _edit(path, lambda keys: (key for key in keys if key.id != key_id))


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _in_days(days: int | None) -> datetime | None:
    return None if days is None else _now() + timedelta(days=days)


def _edit(path: Path, change: Callable[[tuple[Key, ...]], Iterable[Key]]) -> None:
    try:
        edit_keys(path, change)
    except (KeyFileError, OSError) as error:
        _fail(_told(path, error))


def _read(path: Path) -> KeyFile:
    try:
        return read_keys(path)
    except (KeyFileError, OSError) as error:
        _fail(_told(path, error))


def _told(path: Path, error: KeyFileError | OSError) -> str:
    if isinstance(error, KeyFileError):
        return f"{error}."
    if not path.parent.is_dir():
        return f"There is no folder {path.parent}, where TOCSIN_KEYS says that {path.name} lies: make it first."
    if isinstance(error, FileNotFoundError):
        return f"There is no {path}: `python -m intake keys create` makes it, with the first key."
    return f"{error.filename or path}: {error.strerror}."


def _fail(sentence: str) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(1)
