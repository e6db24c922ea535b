"""The timer's settings, out of the environment alone."""

from pathlib import Path

from pydantic import Field
from tocsin.runtime.process.settings import Port, ServiceSettings


class Settings(ServiceSettings):
    """What all services share, and: the policy, and when intake counts as gone (DESIGN, Time)."""

    port: Port = 8081
    policy: Path
    silence_seconds: float = Field(default=90, gt=0)
    probe_seconds: float = Field(default=5, gt=0)
