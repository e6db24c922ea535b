"""What the escalator is told by its environment."""

from pathlib import Path

from tocsin.runtime.process.settings import Port, ServiceSettings


class Settings(ServiceSettings):
    """Every setting is in the service's README."""

    port: Port = 8082
    directory: Path
    """directory.yaml: which tiers are vacant when. Read again when it changes."""
