"""`python -m board webhooks`: check webhooks.yaml, print its schema, and test an endpoint.

Without variables, the commands work on the stack of `make run`.
"""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NoReturn
from uuid import uuid4

import typer
from tocsin.runtime.errors import FileReadError
from tocsin.runtime.process.settings import load, use_stack_environment

from board.domain.ticket_links import TicketLinks
from board.domain.webhooks.config import WebhookEndpoint, Webhooks
from board.domain.webhooks.delivery import AttemptOutcome
from board.domain.webhooks.rendering import render_body
from board.domain.webhooks.samples import example_occurrence
from board.errors import WebhooksFileError, WebhookTemplateError
from board.settings import WebhookSettings
from board.sources.webhook_request import WebhookClient
from board.sources.webhooks_file import LoadedWebhooks, read_secrets, read_url, read_webhooks

app = typer.Typer(no_args_is_help=True)

FileOption = Annotated[Path | None, typer.Option("--webhooks", help="webhooks.yaml; by default TOCSIN_WEBHOOKS.")]


@app.command()
def check(file: FileOption = None) -> None:
    """Check webhooks.yaml: print each mistake on a line, or the endpoints and what prevents webhooks to them.

    Nothing is sent, but the names of the endpoints are resolved.
    """
    settings = _settings()
    endpoints = _load(file, settings).webhooks.endpoints
    for endpoint, state in zip(endpoints, asyncio.run(_states(settings, endpoints)), strict=True):
        events = ", ".join(endpoint.events)
        written = endpoint.template or endpoint.format
        typer.echo(f"{endpoint.id}  {endpoint.tenant}  {written}  {events}: {state}")


@app.command()
def schema() -> None:
    """Print the JSON Schema of webhooks.yaml, for editors."""
    typer.echo(schema_text(), nl=False)


@app.command("test")
def send_test(
    endpoint_id: Annotated[str, typer.Argument(metavar="ENDPOINT", help="The id of an endpoint in webhooks.yaml.")],
    file: FileOption = None,
) -> None:
    """Send an example to an endpoint, as a webhook of its first event, and print the response. Nothing is stored."""
    settings = _settings()
    loaded = _load(file, settings)
    endpoint = next((each for each in loaded.webhooks.endpoints if each.id == endpoint_id), None)
    if endpoint is None:
        known = ", ".join(each.id for each in loaded.webhooks.endpoints)
        _fail(f"Endpoint {endpoint_id} not found; known are {known or 'none'}.")
    outcome = asyncio.run(_send_example(settings, loaded, endpoint))
    if outcome.status is None:
        _fail(f"{endpoint.id} {outcome.problem}.")
    typer.echo(f"{endpoint.id} responded with status {outcome.status}: {outcome.response}".rstrip(": "))
    if not outcome.is_delivered:
        _fail("Only 2xx is success.")


def schema_text() -> str:
    """The JSON Schema of webhooks.yaml, generated from the models."""
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps(dialect | Webhooks.model_json_schema(), indent=2, ensure_ascii=False) + "\n"


async def _send_example(settings: WebhookSettings, loaded: LoadedWebhooks, endpoint: WebhookEndpoint) -> AttemptOutcome:
    occurrence = example_occurrence(endpoint.tenant, datetime.now(UTC), endpoint.events[0])
    links = TicketLinks(settings.public_url, settings.ticket_urls or {})
    try:
        body = render_body(endpoint, loaded.template_of(endpoint), occurrence, links, is_example=True)
    except WebhookTemplateError as error:
        _fail(f"{error}.")
    return await WebhookClient(settings.webhook_networks).send(endpoint, uuid4(), body)


def _settings() -> WebhookSettings:
    use_stack_environment("board")
    return load(WebhookSettings)


def _load(file: Path | None, settings: WebhookSettings) -> LoadedWebhooks:
    path = file or settings.webhooks
    if path is None:
        _fail("Name the file: --webhooks FILE, or TOCSIN_WEBHOOKS.")
    try:
        return read_webhooks(path)
    except WebhooksFileError as error:
        _fail(str(error))
    except FileReadError as error:
        _fail(f"{path} cannot be read: {error.reason}.")


async def _states(settings: WebhookSettings, endpoints: Sequence[WebhookEndpoint]) -> Sequence[str]:
    client = WebhookClient(settings.webhook_networks)
    return await asyncio.gather(*(_state(client, endpoint) for endpoint in endpoints))


async def _state(client: WebhookClient, endpoint: WebhookEndpoint) -> str:
    """Whether it has its URL, secrets and an allowed address in this environment, which need not be the service's."""
    try:
        url = read_url(endpoint)
        read_secrets(endpoint)
    except ValueError as error:
        return f"{error} in this environment"
    return await client.check_address(url) or "ready"


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)
