"""The escalator's settings, from the environment."""

from pathlib import Path

from tocsin.runtime.process.settings import Port, ServiceSettings


class Settings(ServiceSettings):
    """The service's README describes every setting."""

    port: Port = 8082
    directory: Path
    """directory.yaml, which says which tiers are vacant when. Reloaded when it changes."""
