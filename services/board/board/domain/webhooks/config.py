"""webhooks.yaml: which events are sent to which endpoints. Pure.

The file contains no secrets, only the names of environment variables and files.
"""

from collections.abc import Iterator
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator
from tocsin.events import Category, Severity
from tocsin.yaml_document import (
    FieldPath,
    Identifier,
    Name,
    SecretLocation,
    YamlModel,
    Zone,
    field_errors,
    load_document,
)

from board.domain.webhooks.occurrence import WebhookEvent, WebhookOccurrence
from board.errors import WebhooksFileError

_MOST_ENDPOINTS: Final = 200
_LONGEST_URL: Final = 2000
_EXAMPLE_URL: Final = "https://psa.example.com/hooks/tocsin"
_UNSIGNED: Final = ("teams", "slack")
"""The formats of tools that do not verify signatures: their URL is the secret."""


def check_url(text: str) -> str:
    """The URL of an endpoint. Raises ValueError, without the URL, which may be a secret."""
    try:
        parts = urlsplit(text)
        sound = parts.scheme in ("https", "http") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    is_plain = text.isascii() and text.isprintable() and " " not in text and len(text) <= _LONGEST_URL
    if not sound or not is_plain or "@" in parts.netloc or parts.fragment:
        raise ValueError(f"is not a URL; write it like {_EXAMPLE_URL}, without user, password and fragment")
    return text


EndpointUrl = Annotated[str, AfterValidator(check_url), Field(examples=[_EXAMPLE_URL])]
TemplatePath = Annotated[str, Field(min_length=1, max_length=1000, examples=["psa.json.j2"])]


class WebhookFilters(YamlModel):
    """Selects the tickets whose events are sent. A ticket must match each list; an empty list matches all."""

    customers: tuple[Name, ...] = ()
    """Ids of customers."""
    severities: tuple[Severity, ...] = ()
    """The severity that governs at the event."""
    categories: tuple[Category, ...] = ()
    sources: tuple[Name, ...] = ()
    """The tools that tickets come from."""

    def select(self, occurrence: WebhookOccurrence) -> bool:
        """Whether the event's ticket is selected."""
        ticket = occurrence.ticket
        return all(
            not wanted or value in wanted
            for wanted, value in (
                (self.customers, ticket.customer.id),
                (self.severities, occurrence.severity),
                (self.categories, ticket.category),
                (self.sources, ticket.source),
            )
        )


class WebhookEndpoint(YamlModel):
    """An endpoint, the events that it gets, and how they are written and signed."""

    id: Identifier
    """Unique in the file. It is part of the id of each webhook, so do not give it to another endpoint."""
    tenant: Name = "default"
    """The tenant whose tickets are sent."""
    url: EndpointUrl | None = None
    """https, or http for a host in TOCSIN_WEBHOOK_NETWORKS."""
    url_from: SecretLocation | None = None
    """The place of a URL that is a secret, such as those of Teams and Slack."""
    events: Annotated[tuple[WebhookEvent, ...], Field(min_length=1, examples=["[breached, tier]"])]
    """The events that are sent."""
    filters: WebhookFilters = WebhookFilters()
    secrets: Annotated[
        tuple[SecretLocation, ...], Field(max_length=2, examples=["[{secret_env: TOCSIN_WEBHOOK_PSA}]"])
    ] = ()
    """The secrets that sign each webhook (whsec_...). Two while one is rotated: each webhook has both signatures."""
    format: Literal["standard", "teams", "slack"] = "standard"
    """standard: JSON for programs. teams: an adaptive card for a Workflows webhook. slack: blocks."""
    template: TemplatePath | None = None
    """The path, from the folder of this file, of a Jinja2 template that writes the JSON instead of `format`."""
    zone: Zone = "UTC"
    """The zone of instants in sentences, for people."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if found := list(self._problems()):
            raise field_errors(found)
        return self

    def _problems(self) -> Iterator[tuple[FieldPath, object, str]]:
        if (self.url is None) == (self.url_from is None):
            yield ("url",), None, "must be in one place; write either url or url_from"
        if self.template is not None and "format" in self.model_fields_set:
            yield ("format",), None, "is not used with a template; write either format or template"
        if not self.secrets and self.template is None and self.format not in _UNSIGNED:
            yield ("secrets",), None, "is missing; name the secret: secrets: [{secret_env: TOCSIN_WEBHOOK_PSA}]"
        if len(set(self.events)) < len(self.events):
            yield ("events",), None, "lists an event twice; keep one of them"

    def wants(self, occurrence: WebhookOccurrence) -> bool:
        """Whether this event is sent to this endpoint."""
        return (
            occurrence.event in self.events
            and occurrence.ticket.tenant == self.tenant
            and self.filters.select(occurrence)
        )


class Webhooks(YamlModel):
    """All endpoints."""

    version: Annotated[Name, Field(examples=["2026-1"])]
    endpoints: Annotated[tuple[WebhookEndpoint, ...], Field(max_length=_MOST_ENDPOINTS)] = ()

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Self:
        first: dict[str, int] = {}
        found: list[tuple[FieldPath, object, str]] = []
        for number, endpoint in enumerate(self.endpoints):
            if endpoint.id in first:
                found.append((("endpoints", number, "id"), None, f"`{endpoint.id}` is used twice; choose another id"))
            first.setdefault(endpoint.id, number)
        if found:
            raise field_errors(found)
        return self

    def find(self, tenant: str, endpoint_id: str) -> WebhookEndpoint | None:
        """The tenant's endpoint with this id, or None."""
        return next((each for each in self.endpoints if (each.tenant, each.id) == (tenant, endpoint_id)), None)


def load_webhooks(text: str, name: str) -> Webhooks:
    """The webhooks in the text of a file. `name` is its name in errors. Raises WebhooksFileError."""
    return load_document(text, name, Webhooks, WebhooksFileError)
