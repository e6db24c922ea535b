"""`python -m intake hooks`: check the integrations, try payloads, list, replay and dismiss what is unmapped."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from getpass import getuser
from pathlib import Path
from typing import Annotated, Final, NoReturn, TypeVar

import typer
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.instants import render_instant
from tocsin.runtime.database.engine import engine
from tocsin.runtime.process.commands import exit_on_database_error, instant_option
from tocsin.runtime.process.reloaded_file import describe_read_error
from tocsin.runtime.process.settings import DatabaseSettings, EnvironmentSettings, load

from intake.domain.webhooks.config.auth import Auth
from intake.domain.webhooks.config.integrations import Integration, Integrations, IntegrationsError, load_integrations
from intake.domain.webhooks.dry_run import DryRun
from intake.sources.integrations_file import read_secret
from intake.store.webhooks import WebhookState, WebhookStore

app = typer.Typer(no_args_is_help=True)

PREFIX: Final = "/v1/hooks"
_PAGE: Final = 500
_LONGEST_NAME: Final = 100
_T = TypeVar("_T")

FileOption = Annotated[
    Path | None, typer.Option("--integrations", help="integrations.yaml; TOCSIN_INTEGRATIONS if left out.")
]
TenantOption = Annotated[str | None, typer.Option(help="Only this tenant's; everybody's if left out.")]


class IntegrationsSettings(EnvironmentSettings):
    """All that `check` and `try` need."""

    integrations: Path


@app.command()
def check(file: FileOption = None) -> None:
    """Say what is wrong with integrations.yaml, a line a mistake, and which secrets are not there."""
    integrations = _read(file)
    for tenant, providers in integrations.tenants.items():
        for provider, integration in providers.items():
            fetched = ", keys fetched from ConnectWise" if integration.auth.fetch_keys else ""
            typer.echo(f"POST {PREFIX}/{provider}/{tenant}  {integration.adapter}{fetched}: {_state(integration.auth)}")
    for tenant, mailing in integrations.email.items():
        typer.echo(f"POST {PREFIX}/email/{tenant}  mail: {_state(mailing.auth) if mailing.auth else 'by command only'}")


@app.command("try")
def attempt(
    files: Annotated[list[Path], typer.Argument(help="Payloads as the tool sends them, in order; `-` is stdin.")],
    provider: Annotated[
        str | None, typer.Option(help="The provider in the hook's path; the tenant's only one, if left out.")
    ] = None,
    tenant: Annotated[str, typer.Option(help="The tenant in the hook's path.")] = "default",
    file: FileOption = None,
) -> None:
    """Show what payloads would become: a line of JSON for each ticket in each of them. Nothing is stored."""
    name, integration = _integration(_read(file), tenant, provider)
    trial = DryRun(integration, integration.source or name, datetime.now(UTC))
    for path in files:
        try:
            body = typer.get_binary_stream("stdin").read() if str(path) == "-" else path.read_bytes()
        except OSError as error:
            _fail(f"{path} cannot be read: {describe_read_error(error)}.")
        for told in trial.deliver(body):
            typer.echo(json.dumps(told, ensure_ascii=False))


@app.command()
def unmapped(tenant: TenantOption = None) -> None:
    """List the webhooks that the mapping did not know what to make of, the oldest first."""

    async def listed(connection: AsyncConnection) -> int:
        last, count = 0, 0
        while page := await WebhookStore(connection).unmapped(tenant, last, _PAGE):
            for item in page:
                at = render_instant(item.received_at)
                typer.echo(f"{item.id}  {at}  {item.provider}/{item.tenant}  {item.reason}: {item.detail or ''}")
            last, count = page[-1].id, count + len(page)
        return count

    if not _with_database(listed):
        typer.echo("There are none.", err=True)


@app.command()
def replay(
    ids: Annotated[
        list[int] | None, typer.Argument(help="Ids that `unmapped` lists, or that a tool was answered.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that are unmapped.")] = False,
    ignored: Annotated[
        bool, typer.Option("--ignored", help="What was ignored too: `queues` may not have listed a queue that counts.")
    ] = False,
    provider: Annotated[str | None, typer.Option(help="Only this provider's.")] = None,
    tenant: TenantOption = None,
    since: Annotated[
        datetime | None,
        typer.Option(parser=instant_option, metavar="T", help="Only those received since: 2026-06-08T12:00:00Z."),
    ] = None,
) -> None:
    """Queue webhooks once more; the running service takes them in, by the mapping as it is then."""
    if bool(ids) == everything:
        _fail("Name ids, or use --all.")
    states: list[WebhookState] = ["unmapped", "ignored"] if ignored else ["unmapped"]

    async def queued(connection: AsyncConnection) -> list[int]:
        return await WebhookStore(connection).replay(tenant, ids or None, states, provider=provider, since=since)

    found = _with_database(queued)
    typer.echo(f"Queued {len(found)} for the running service.")
    if missing := set(ids or ()) - set(found):
        _fail(f"Not {' or '.join(states)}: {', '.join(map(str, sorted(missing)))}.")


@app.command()
def dismiss(
    ids: Annotated[list[int], typer.Argument(help="Ids that `unmapped` lists.")],
    by: Annotated[str | None, typer.Option(help="Who says so; who runs this, if left out.")] = None,
    tenant: TenantOption = None,
) -> None:
    """Have unmapped webhooks ignored that nobody needs: junk, or a test. They are kept as long as all others."""
    detail = f"dismissed by {(by or getuser())[:_LONGEST_NAME]}"

    async def dismissed(connection: AsyncConnection) -> list[int]:
        return await WebhookStore(connection).dismiss(tenant, ids, detail)

    found = _with_database(dismissed)
    typer.echo(f"Dismissed {len(found)}.")
    if missing := set(ids) - set(found):
        _fail(f"Not unmapped: {', '.join(map(str, sorted(missing)))}.")


@app.command()
def schema() -> None:
    """Print the JSON Schema of integrations.yaml, for editors."""
    typer.echo(schema_text(), nl=False)


def schema_text() -> str:
    """The JSON Schema of integrations.yaml, generated from the models."""
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps(dialect | Integrations.model_json_schema(), indent=2, ensure_ascii=False) + "\n"


def _state(auth: Auth) -> str:
    lacking = [secret for secret in auth.secrets if read_secret(secret) is None]
    names = ", ".join(secret.secret_env or secret.secret_file or "" for secret in lacking)
    # The service may well have it: it was started elsewhere.
    return f"no secret in this environment, in {names}" if lacking else "ready"


def _read(file: Path | None) -> Integrations:
    path = file or load(IntegrationsSettings).integrations
    try:
        return load_integrations(path.read_text("utf-8"), str(path))
    except IntegrationsError as error:
        _fail(str(error))
    except (OSError, UnicodeDecodeError) as error:
        _fail(f"{path} cannot be read: {describe_read_error(error)}.")


def _integration(integrations: Integrations, tenant: str, provider: str | None) -> tuple[str, Integration]:
    """The tenant's integration of that provider, or its only one, with the provider's name."""
    theirs = integrations.tenants.get(tenant, {})
    if provider is None and len(theirs) > 1:
        _fail(f"Say which tool sends this: --provider {', '.join(theirs)}.")
    name = provider or next(iter(theirs), "*")
    found = theirs.get(name)
    if found is None:
        known = ", ".join(f"{each}/{owner}" for owner, names in integrations.tenants.items() for each in names)
        _fail(f"There is no integration {name}/{tenant}; there are {known or 'none'}.")
    return name, found


def _with_database(act: Callable[[AsyncConnection], Awaitable[_T]]) -> _T:
    url = load(DatabaseSettings).database_url

    async def run() -> _T:
        source = engine(url, "intake-hooks", pool_size=1)
        try:
            async with source.begin() as connection:
                return await act(connection)
        finally:
            await source.dispose()

    with exit_on_database_error():
        return asyncio.run(run())


def _fail(sentence: str) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(1)
