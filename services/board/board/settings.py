"""The board's settings, from the environment."""

from pathlib import Path

from pydantic import Json, SecretStr
from tocsin.runtime.process.settings import CalendarSettings, Port, ServiceSettings


class Settings(ServiceSettings, CalendarSettings):
    """The service's README describes every setting."""

    port: Port = 8084
    directory: Path
    """The path of directory.yaml, which says who holds a role. Reloaded when it changes."""
    sla_timer_url: str = "http://127.0.0.1:8081"
    escalator_url: str = "http://127.0.0.1:8082"
    upstream_keys: Json[dict[str, SecretStr]]
    """For each tenant, an API key with `tickets:read`, with which the board calls the other services."""
