"""The escalator's settings, from the environment."""

from pathlib import Path

from tocsin.runtime.process.settings import CalendarSettings, Port, ServiceSettings


class Settings(ServiceSettings, CalendarSettings):
    """The service's README describes every setting."""

    port: Port = 8082
    directory: Path
    """The path of directory.yaml, which decides which tiers are vacant. Reloaded when it changes."""
