"""`python -m intake keys`: the API keys of keys.yaml, which all four services read."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from tocsin.events import render_instant
from tocsin.runtime.keys import SCOPES, KeyFile, KeyFileError, add_key, issue, read_keys, write_keys
from tocsin.runtime.settings import load

app = typer.Typer(no_args_is_help=True)


class KeysSettings(BaseSettings):
    """All that `keys` needs."""

    model_config = SettingsConfigDict(env_prefix="TOCSIN_", frozen=True, extra="ignore")

    keys: Path


@app.command()
def create(
    tenant: Annotated[str, typer.Option(help="The provider that the key belongs to.")] = "default",
    scope: Annotated[
        list[str] | None, typer.Option(help=f"Out of {', '.join(SCOPES)}; all of them if left out.")
    ] = None,
    days: Annotated[
        int | None, typer.Option(min=1, max=36500, help="How long it is valid; for ever if left out.")
    ] = None,
) -> None:
    """Make a key and print it. It is shown this once; the file keeps its hash alone."""
    path = load(KeysSettings).keys
    expires_at = None if days is None else datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)
    try:
        text, key = issue(tenant, tuple(scope) if scope else SCOPES, expires_at)
        add_key(path, key)
    except ValidationError as error:
        _fail(f"The tenant is wrong: {error.errors()[0]['msg']}.")
    except (ValueError, KeyFileError, OSError) as error:
        _fail(str(error))
    typer.echo(text)


@app.command("list")
def show() -> None:
    """List the keys: id, tenant, scopes, expiry."""
    for key in _read(load(KeysSettings).keys).keys:
        expiry = "for ever" if key.expires_at is None else f"until {render_instant(key.expires_at)}"
        typer.echo(f"{key.id}  {key.tenant}  {','.join(key.scopes)}  {expiry}")


@app.command()
def revoke(key_id: Annotated[str, typer.Argument(help="The key's id, the eight characters after `tcs_`.")]) -> None:
    """Remove a key; every service refuses it at once."""
    path = load(KeysSettings).keys
    before = _read(path).keys
    left = tuple(key for key in before if key.id != key_id)
    if len(left) == len(before):
        _fail(f"There is no key {key_id}.")
    write_keys(path, KeyFile(keys=left))


def _read(path: Path) -> KeyFile:
    try:
        return read_keys(path)
    except (KeyFileError, OSError) as error:
        _fail(str(error))


def _fail(sentence: str) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(1)
