"""`python -m intake hooks`: check integrations.yaml, try payloads, and list, replay or dismiss unmapped deliveries."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection
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
from intake.domain.webhooks.config.integrations import Integration, Integrations, load_integrations
from intake.domain.webhooks.dry_run import DryRun
from intake.errors import IntegrationsError
from intake.sources.integrations_file import read_secret
from intake.store.webhooks import WebhookState, WebhookStore

app = typer.Typer(no_args_is_help=True)

_PATH: Final = "/v1/hooks"
_PAGE: Final = 500
_MAX_NAME_LENGTH: Final = 100
_T = TypeVar("_T")

FileOption = Annotated[
    Path | None, typer.Option("--integrations", help="integrations.yaml; by default TOCSIN_INTEGRATIONS.")
]
TenantOption = Annotated[str | None, typer.Option(help="Only this tenant; by default all tenants.")]


class IntegrationsSettings(EnvironmentSettings):
    """The settings of `check` and `try`."""

    integrations: Path


@app.command()
def check(file: FileOption = None) -> None:
    """Check integrations.yaml: print each mistake on a line, or the webhooks and which of their secrets are missing."""
    integrations = _read(file)
    for tenant, providers in integrations.tenants.items():
        for provider, integration in providers.items():
            fetched = ", keys fetched from ConnectWise" if integration.auth.fetch_keys else ""
            state = _secret_state(integration.auth)
            typer.echo(f"POST {_PATH}/{provider}/{tenant}  {integration.adapter}{fetched}: {state}")
    for tenant, email in integrations.email.items():
        state = _secret_state(email.auth) if email.auth else "command only"
        typer.echo(f"POST {_PATH}/email/{tenant}  mail: {state}")


@app.command("try")
def try_payloads(
    files: Annotated[list[Path], typer.Argument(help="Payloads as the tool sends them, in order; `-` is stdin.")],
    provider: Annotated[
        str | None, typer.Option(help="The provider in the webhook's path; by default the tenant's only one.")
    ] = None,
    tenant: Annotated[str, typer.Option(help="The tenant in the webhook's path.")] = "default",
    file: FileOption = None,
) -> None:
    """Show the result of payloads, one line of JSON per ticket. Nothing is stored."""
    name, integration = _select(_read(file), tenant, provider)
    dry_run = DryRun(integration, integration.source or name, datetime.now(UTC))
    for path in files:
        try:
            body = typer.get_binary_stream("stdin").read() if str(path) == "-" else path.read_bytes()
        except OSError as error:
            _fail(f"{path} cannot be read: {describe_read_error(error)}.")
        for result in dry_run.deliver(body):
            typer.echo(json.dumps(result, ensure_ascii=False))


@app.command()
def unmapped(tenant: TenantOption = None) -> None:
    """List the deliveries that integrations.yaml does not map, the oldest first."""

    async def list_all(connection: AsyncConnection) -> int:
        last, count = 0, 0
        while page := await WebhookStore(connection).list_unmapped(tenant, last, _PAGE):
            for delivery in page:
                at = render_instant(delivery.received_at)
                path = f"{delivery.provider}/{delivery.tenant}"
                typer.echo(f"{delivery.id}  {at}  {path}  {delivery.reason}: {delivery.detail or ''}")
            last, count = page[-1].id, count + len(page)
        return count

    if not _with_database(list_all):
        typer.echo("No unmapped deliveries.", err=True)


@app.command()
def replay(
    ids: Annotated[
        list[int] | None, typer.Argument(help="Delivery ids from `unmapped` or from a response to the tool.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All unmapped deliveries.")] = False,
    ignored: Annotated[
        bool, typer.Option("--ignored", help="Ignored deliveries too, for example of a queue that was not configured.")
    ] = False,
    provider: Annotated[str | None, typer.Option(help="Only this provider.")] = None,
    tenant: TenantOption = None,
    since: Annotated[
        datetime | None,
        typer.Option(parser=instant_option, metavar="T", help="Only deliveries received since: 2026-06-08T12:00:00Z."),
    ] = None,
) -> None:
    """Queue unmapped deliveries; the running service processes them with its present integrations.yaml."""
    if bool(ids) == everything:
        _fail("Give either ids or --all.")
    states = [WebhookState.UNMAPPED, *([WebhookState.IGNORED] if ignored else [])]

    async def requeue(connection: AsyncConnection) -> list[int]:
        return await WebhookStore(connection).requeue(tenant, ids or None, states, provider=provider, since=since)

    queued = _with_database(requeue)
    typer.echo(f"Queued {len(queued)} deliveries for the running service.")
    _fail_on_missing(ids or (), queued, " or ".join(states))


@app.command()
def dismiss(
    ids: Annotated[list[int], typer.Argument(help="Delivery ids from `unmapped`.")],
    by: Annotated[str | None, typer.Option(help="Who dismisses them; by default the current user.")] = None,
    tenant: TenantOption = None,
) -> None:
    """Ignore unmapped deliveries, such as tests. They stay stored until the end of the retention period."""
    detail = f"dismissed by {(by or getuser())[:_MAX_NAME_LENGTH]}"

    async def dismiss_all(connection: AsyncConnection) -> list[int]:
        return await WebhookStore(connection).dismiss(tenant, ids, detail)

    dismissed = _with_database(dismiss_all)
    typer.echo(f"Dismissed {len(dismissed)} deliveries.")
    _fail_on_missing(ids, dismissed, WebhookState.UNMAPPED)


@app.command()
def schema() -> None:
    """Print the JSON Schema of integrations.yaml, for editors."""
    typer.echo(schema_text(), nl=False)


def schema_text() -> str:
    """The JSON Schema of integrations.yaml, generated from the models."""
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps(dialect | Integrations.model_json_schema(), indent=2, ensure_ascii=False) + "\n"


def _secret_state(auth: Auth) -> str:
    """Whether all secrets exist in this environment, which need not be that of the service."""
    missing = [secret for secret in auth.secrets if read_secret(secret) is None]
    names = ", ".join(secret.secret_env or secret.secret_file or "" for secret in missing)
    return f"no secret in this environment: {names}" if missing else "ready"


def _read(file: Path | None) -> Integrations:
    path = file or load(IntegrationsSettings).integrations
    try:
        return load_integrations(path.read_text("utf-8"), str(path))
    except IntegrationsError as error:
        _fail(str(error))
    except (OSError, UnicodeDecodeError) as error:
        _fail(f"{path} cannot be read: {describe_read_error(error)}.")


def _select(integrations: Integrations, tenant: str, provider: str | None) -> tuple[str, Integration]:
    """The tenant's integration of that provider, or its only one, with the provider's name."""
    providers = integrations.tenants.get(tenant, {})
    if provider is None and len(providers) > 1:
        _fail(f"Select the tool: --provider {', '.join(providers)}.")
    name = provider or next(iter(providers), "*")
    integration = providers.get(name)
    if integration is None:
        known = ", ".join(f"{each}/{owner}" for owner, names in integrations.tenants.items() for each in names)
        _fail(f"Integration {name}/{tenant} not found; known are {known or 'none'}.")
    return name, integration


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


def _fail_on_missing(ids: Collection[int], found: Collection[int], state: str) -> None:
    if missing := sorted(set(ids) - set(found)):
        _fail(f"Not {state}: {', '.join(map(str, missing))}.")


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)
