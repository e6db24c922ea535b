"""Intake's settings, from environment variables with the prefix TOCSIN_."""

from pathlib import Path

from pydantic import Field
from tocsin.runtime.process.settings import EnvironmentSettings, LinkSettings, Port, ServiceSettings


class Settings(ServiceSettings, LinkSettings):
    """The settings of every service, and intake's own. The README describes each."""

    port: Port = 8080
    policy: Path
    progress_interval: float = Field(default=0.1, gt=0, le=10)
    """Seconds between two watermarks of a partition."""
    history_outbox_limit: int = Field(default=5000, ge=0)
    """While more events are unpublished, history is rejected with 503."""
    integrations: Path | None = None
    """integrations.yaml; without it there are no webhooks."""
    hook_retention_days: int = Field(default=30, ge=1, le=3650)
    """How long the bodies of webhook deliveries are kept, including unmapped ones."""


class IntegrationsSettings(EnvironmentSettings):
    """The settings of the commands that only read integrations.yaml."""

    integrations: Path
