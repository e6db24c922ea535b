"""The timer's settings, from environment variables."""

from pathlib import Path

from pydantic import Field
from tocsin.runtime.process.settings import Port, ServiceSettings


class Settings(ServiceSettings):
    """The common settings, the policy, and when intake counts as silent (docs/rules.md#4-22)."""

    port: Port = 8081
    policy: Path
    silence_seconds: float = Field(default=90, gt=0)
    probe_seconds: float = Field(default=5, gt=0)
