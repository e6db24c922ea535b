"""The board's settings, from the environment."""

from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Json, SecretStr
from tocsin.business_time import load_zone
from tocsin.links import page_template, public_url
from tocsin.runtime.process.settings import CalendarSettings, Port, ServiceSettings
from tocsin.yaml_document import Zone

PublicUrl = Annotated[str, AfterValidator(public_url)]


class Settings(ServiceSettings, CalendarSettings):
    """The service's README describes every setting."""

    port: Port = 8084
    directory: Path
    """The path of directory.yaml, which says who holds a role. Reloaded when it changes."""
    sla_timer_url: str = "http://127.0.0.1:8081"
    escalator_url: str = "http://127.0.0.1:8082"
    upstream_keys: Json[dict[str, SecretStr]]
    """For each tenant, an API key with `tickets:read`, with which the board calls the other services."""
    public_url: PublicUrl | None = None
    """The base URL of the pages, for links to them."""
    board_zone: Zone = "UTC"
    """The IANA time zone in which the pages show instants."""
    ticket_urls: Json[dict[str, Annotated[str, AfterValidator(page_template)]]] | None = None
    """By source, the URL of a ticket's page, with {external_id} or {ticket_id} in it."""

    @property
    def zone(self) -> ZoneInfo:
        return load_zone(self.board_zone)
