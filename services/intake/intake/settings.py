"""Intake's settings, from the environment (prefix TOCSIN_)."""

from pathlib import Path

from pydantic import Field
from tocsin.runtime.process.settings import LinkSettings, Port, ServiceSettings


class Settings(ServiceSettings, LinkSettings):
    """What intake is told beside what all services are."""

    port: Port = 8080
    policy: Path
    progress_interval: float = Field(default=0.1, gt=0, le=10)
    """Seconds between two progress records of a partition."""
    history_outbox_limit: int = Field(default=5000, ge=0)
    """While more events than this wait to be published, history is refused with 503."""
    integrations: Path | None = None
    """integrations.yaml; without it there are no webhooks."""
    hook_retention_days: int = Field(default=30, ge=1, le=3650)
    """How long webhook deliveries are kept as they came, the unmapped ones too."""
