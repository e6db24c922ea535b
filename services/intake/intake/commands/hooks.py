"""`python -m intake hooks`: check integrations.yaml, try payloads, and list, replay or dismiss stored deliveries.

Without variables, the commands work on the stack of `make run`.
"""

import asyncio
import json
from collections.abc import Collection
from datetime import UTC, datetime
from getpass import getuser
from pathlib import Path
from typing import Annotated, Final

import typer
from tocsin.instants import render_instant
from tocsin.runtime.errors import FileReadError
from tocsin.runtime.process.commands import instant_option
from tocsin.runtime.process.regular_file import describe_read_error, read_text
from tocsin.runtime.process.settings import load, use_stack_environment
from tocsin.sources.secrets import read_secret

from intake.commands.operation import fail, with_service
from intake.domain.webhooks.adapters import connectwise
from intake.domain.webhooks.config.auth import Auth
from intake.domain.webhooks.config.integrations import Integration, Integrations, load_integrations
from intake.domain.webhooks.dry_run import DryRun
from intake.errors import IntegrationsError, SigningKeyError
from intake.handlers.deliveries import dismiss_deliveries, list_deliveries, requeue_deliveries
from intake.service import IntakeService
from intake.settings import IntegrationsSettings
from intake.sources.signing_keys import fetch_signing_key
from intake.store.webhooks import WebhookDelivery, WebhookState, delivery_reason

app = typer.Typer(no_args_is_help=True)

_PATH: Final = "/v1/hooks"
_PAGE: Final = 500

FileOption = Annotated[
    Path | None, typer.Option("--integrations", help="integrations.yaml; by default TOCSIN_INTEGRATIONS.")
]
TenantOption = Annotated[str | None, typer.Option(help="Only this tenant; by default all tenants.")]
ProviderOption = Annotated[
    str | None, typer.Option(help="The provider in the webhook's path; by default the tenant's only one.")
]
ReasonOption = Annotated[str | None, typer.Option(help="Only this reason, as the list shows it.")]
IdsArgument = Annotated[list[int], typer.Argument(help="Delivery ids from `unmapped`.")]


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
    provider: ProviderOption = None,
    tenant: Annotated[str, typer.Option(help="The tenant in the webhook's path.")] = "default",
    file: FileOption = None,
) -> None:
    """Show the result of payloads, one line of JSON per ticket. Nothing is stored.

    The policy is not read: a response of one of its automatic actors shows as a response.
    """
    integrations = _read(file)
    name, integration = _select(integrations, tenant, provider)
    it_contacts = integrations.it_contacts_of(tenant)
    dry_run = DryRun(integration, integration.source or name, datetime.now(UTC), it_contacts)
    for path in files:
        for result in dry_run.deliver(_read_payload(path)):
            typer.echo(json.dumps(result, ensure_ascii=False))


@app.command("signing-key")
def signing_key(
    source: Annotated[
        str, typer.Argument(help="A callback as ConnectWise sends it (a file, or `-`), or the address of the key.")
    ],
    show: Annotated[bool, typer.Option("--show", help="Print the key, and nothing else.")] = False,
    tenant: Annotated[str, typer.Option(help="The tenant whose secrets are compared with the key.")] = "default",
    file: FileOption = None,
) -> None:
    """Fetch ConnectWise's signing key, and check whether integrations.yaml has it as a secret."""
    url = source if "://" in source else connectwise.stated_key_url(_read_payload(Path(source)))
    if url is None:
        fail(f"{source} names no signing key: it is not a callback of ConnectWise, or has no Metadata.key_url.")
    try:
        key = asyncio.run(fetch_signing_key(url))
    except SigningKeyError as error:
        fail(f"{url} {error}.")
    if show:
        typer.echo(key.decode())
        return
    typer.echo(f"Fetched a signing key of {len(key)} characters from {url}.")
    tools = {name: each for name, each in _read(file).tenants.get(tenant, {}).items() if each.adapter == "connectwise"}
    if not tools:
        fail(f"integrations.yaml has no integration with `adapter: connectwise` for the tenant {tenant}.")
    differ = [name for name, tool in tools.items() if key not in tool.auth.read_secrets(read_secret)]
    for name, tool in tools.items():
        if name not in differ:
            typer.echo(f"It is a secret of {name}/{tenant}.")
        elif tool.auth.fetch_keys:
            typer.echo(f"It is not a secret of {name}/{tenant}, which fetches it when a callback arrives.")
    wrong = [name for name in differ if not tools[name].auth.fetch_keys]
    if wrong:
        names = ", ".join(f"{name}/{tenant} ({_secret_names(tools[name].auth)})" for name in wrong)
        fail(f"It is not a secret of {names}. Put the output of `hooks signing-key --show` there.")


@app.command()
def unmapped(tenant: TenantOption = None, reason: ReasonOption = None) -> None:
    """List the deliveries that integrations.yaml does not map, the oldest first."""
    _list(WebhookState.UNMAPPED, tenant, reason)


@app.command()
def ignored(tenant: TenantOption = None, reason: ReasonOption = None) -> None:
    """List the deliveries that changed nothing, the oldest first: mails of machines, and webhooks without a ticket."""
    _list(WebhookState.IGNORED, tenant, reason)


@app.command()
def replay(
    ids: Annotated[
        list[int] | None, typer.Argument(help="Delivery ids from `unmapped` or `ignored`, or from a response.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All unmapped deliveries.")] = False,
    with_ignored: Annotated[
        bool, typer.Option("--ignored", help="With --all: ignored deliveries too, for example of a queue added since.")
    ] = False,
    provider: Annotated[str | None, typer.Option(help="Only this provider.")] = None,
    tenant: TenantOption = None,
    since: Annotated[
        datetime | None,
        typer.Option(parser=instant_option, metavar="T", help="Only deliveries received since: 2026-06-08T12:00:00Z."),
    ] = None,
) -> None:
    """Queue unmapped and ignored deliveries; the running service processes them with its present integrations.yaml."""
    if bool(ids) == everything:
        fail("Give either ids or --all.")

    async def requeue(service: IntakeService) -> list[int]:
        async with service.runtime.side_writer.begin() as connection:
            return await requeue_deliveries(
                connection, tenant, ids or None, with_ignored=with_ignored or bool(ids), provider=provider, since=since
            )

    queued = with_service(requeue)
    typer.echo(f"Queued {_number(queued)} for the running service.")
    _fail_on_missing(ids or (), queued, "unmapped or ignored")


@app.command()
def dismiss(
    ids: IdsArgument,
    by: Annotated[str | None, typer.Option(help="Who dismisses them; by default the current user.")] = None,
    tenant: TenantOption = None,
) -> None:
    """Ignore unmapped deliveries, such as tests. They stay stored until the end of the retention period."""

    async def dismiss_all(service: IntakeService) -> list[int]:
        async with service.runtime.side_writer.begin() as connection:
            return await dismiss_deliveries(connection, tenant, ids, by or getuser())

    dismissed = with_service(dismiss_all)
    typer.echo(f"Dismissed {_number(dismissed)}.")
    _fail_on_missing(ids, dismissed, "unmapped")


@app.command()
def schema() -> None:
    """Print the JSON Schema of integrations.yaml, for editors."""
    typer.echo(schema_text(), nl=False)


def schema_text() -> str:
    """The JSON Schema of integrations.yaml, generated from the models."""
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps(dialect | Integrations.model_json_schema(), indent=2, ensure_ascii=False) + "\n"


def _list(state: WebhookState, tenant: str | None, reason_name: str | None) -> None:
    try:
        reason = delivery_reason(reason_name) if reason_name is not None else None
    except ValueError:
        fail(f"--reason: `{reason_name}` is not a reason. Use one that the list shows without --reason.")

    async def list_all(service: IntakeService) -> bool:
        cursor: int | None = 0
        found = False
        async with service.runtime.reader.connect() as connection:
            while cursor is not None:
                page = await list_deliveries(connection, state, tenant, reason, cursor=cursor, limit=_PAGE)
                for delivery in page.items:
                    typer.echo(_line(delivery))
                found, cursor = found or bool(page.items), page.next_cursor
        return found

    if not with_service(list_all):
        typer.echo(f"No {state} deliveries.", err=True)


def _line(delivery: WebhookDelivery) -> str:
    at, path = render_instant(delivery.received_at), f"{delivery.provider}/{delivery.tenant}"
    return f"{delivery.id}  {at}  {path}  {delivery.reason or ''}: {delivery.detail or ''}"


def _number(deliveries: Collection[int]) -> str:
    return "1 delivery" if len(deliveries) == 1 else f"{len(deliveries)} deliveries"


def _secret_state(auth: Auth) -> str:
    """Whether all secrets exist in this environment, which need not be that of the service."""
    missing = [secret for secret in auth.secrets if read_secret(secret) is None]
    names = ", ".join(secret.name for secret in missing)
    return f"no secret in this environment: {names}" if missing else "ready"


def _secret_names(auth: Auth) -> str:
    return ", ".join(secret.name for secret in auth.secrets)


def _read_payload(path: Path) -> bytes:
    try:
        return typer.get_binary_stream("stdin").read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        fail(f"{path} cannot be read: {describe_read_error(error)}.")


def _read(file: Path | None) -> Integrations:
    use_stack_environment("intake")
    path = file or load(IntegrationsSettings).integrations
    try:
        return load_integrations(read_text(path), str(path))
    except IntegrationsError as error:
        fail(str(error))
    except FileReadError as error:
        fail(f"{path} cannot be read: {error.reason}.")


def _select(integrations: Integrations, tenant: str, provider: str | None) -> tuple[str, Integration]:
    """The tenant's integration of that provider, or its only one, with the provider's name."""
    providers = integrations.tenants.get(tenant, {})
    if provider is None and len(providers) > 1:
        fail(f"Select the tool: --provider {', '.join(providers)}.")
    name = provider or next(iter(providers), "*")
    integration = providers.get(name)
    if integration is None and name == "email":
        fail("`hooks try` reads webhooks. Deliver a mail with `python -m intake mail FILE`, which stores it.")
    if integration is None:
        known = ", ".join(f"{each}/{owner}" for owner, names in integrations.tenants.items() for each in names)
        fail(f"Integration {name}/{tenant} not found; known are {known or 'none'}.")
    return name, integration


def _fail_on_missing(ids: Collection[int], found: Collection[int], state: str) -> None:
    if missing := sorted(set(ids) - set(found)):
        fail(f"Not {state}: {', '.join(map(str, missing))}.")
