"""The board's settings, from the environment."""

from pathlib import Path
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, Json, SecretStr
from pydantic_settings import NoDecode
from tocsin.business_time import load_zone
from tocsin.links import page_template, public_url
from tocsin.runtime.http.api_keys import has_key_form
from tocsin.runtime.http.public_address import Network, parse_networks
from tocsin.runtime.process.settings import CalendarSettings, ClockSettings, EnvironmentSettings, Port, ServiceSettings
from tocsin.yaml_document import Zone

PublicUrl = Annotated[str, AfterValidator(public_url)]

SHORTEST_SESSION_KEY: Final = 32
"""The fewest characters of a key that signs sessions."""


def _session_keys(secret: SecretStr) -> SecretStr:
    if any(len(key) < SHORTEST_SESSION_KEY for key in secret.get_secret_value().split(",")):
        raise ValueError(f"each key must have at least {SHORTEST_SESSION_KEY} characters")
    return secret


def _upstream_key(secret: SecretStr) -> SecretStr:
    if not has_key_form(secret.get_secret_value()):
        raise ValueError("must be an API key, tcs_ID_SECRET, without spaces or line breaks")
    return secret


class UpstreamSettings(ClockSettings):
    """How the board calls the other services, and the business clock: what the command `report` needs."""

    sla_timer_url: str = "http://127.0.0.1:8081"
    escalator_url: str = "http://127.0.0.1:8082"
    upstream_keys: Json[dict[str, Annotated[SecretStr, AfterValidator(_upstream_key)]]]
    """By tenant, the API key with `tickets:read` for calls of the other services."""


class WebhookSettings(EnvironmentSettings):
    """The settings of outgoing webhooks, and of the commands about them."""

    webhooks: Path | None = None
    """webhooks.yaml; without it no webhooks are sent. Reloaded when it changes."""
    webhook_networks: Annotated[tuple[Network, ...], NoDecode, BeforeValidator(parse_networks)] = ()
    """The networks, beside the public internet, that webhooks may be sent to."""
    webhook_retention_days: int = Field(default=30, ge=1, le=3650)
    """How long webhooks are kept after they were delivered or have failed."""
    public_url: PublicUrl | None = None
    """The base URL of the pages, for links to them."""
    ticket_urls: Json[dict[str, Annotated[str, AfterValidator(page_template)]]] | None = None
    """By source, the URL of a ticket's page, with {external_id} or {ticket_id} in it."""


class Settings(ServiceSettings, CalendarSettings, UpstreamSettings, WebhookSettings):
    """The service's README describes every setting."""

    port: Port = 8084
    directory: Path
    """The path of directory.yaml, which says who holds a role. Reloaded when it changes."""
    board_session_keys: Annotated[SecretStr, AfterValidator(_session_keys)] | None = None
    """The key that signs sessions and, separated by commas, older keys whose sessions stay valid. If it is missing,
    nobody can sign in with an API key.
    """
    board_proxies: Annotated[tuple[Network, ...], NoDecode, BeforeValidator(parse_networks)] = ()
    """The networks of proxies that have checked who a person is."""
    board_user_header: str = "X-Forwarded-User"
    """The header of a trusted proxy with the user's name."""
    board_groups_header: str = "X-Forwarded-Groups"
    """The header of a trusted proxy with the user's groups, separated by commas."""
    board_tenants: Json[dict[str, str]] = Field(default_factory=dict, validate_default=False)
    """The tenant whose tickets the members of a group see, by group. The first group that a user has counts."""
    board_zone: Zone = "UTC"
    """The IANA time zone in which the pages show instants."""

    @property
    def zone(self) -> ZoneInfo:
        return load_zone(self.board_zone)
