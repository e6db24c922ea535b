"""The services as parts of the stack."""

import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tocsin_local.loopback import LOOPBACK, responds
from tocsin_local.processes import LaunchCommand

PIPELINE: Final = ("intake", "sla-timer", "escalator", "notifier")
"""The services that every stack needs, in the direction of the data."""
BOARD: Final = "board"
"""The optional service: no other service needs it."""
PACKAGES: Final = {name: name.replace("-", "_") for name in (*PIPELINE, BOARD)}
STACK_VARIABLES = (
    "TOCSIN_STATE",
    "TOCSIN_PORT_OFFSET",
    "TOCSIN_CLOCK_EPOCH",
    "TOCSIN_CLOCK_RATE",
    "TOCSIN_CLOCK_ORIGIN",
)


@dataclass(frozen=True)
class ServicePart:
    """A process of a service. A second replica has another `name` and `port`, and the same package and settings."""

    name: str
    package: str
    port: int
    settings: Mapping[str, str]
    stop_signal = signal.SIGTERM

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def launch(self) -> LaunchCommand:
        settings = {**self.settings, "TOCSIN_HOST": LOOPBACK, "TOCSIN_PORT": str(self.port)}
        return LaunchCommand((sys.executable, "-m", self.package), service_environment(settings))

    def ready(self) -> bool:
        return responds(self.port, "/readyz")


def service_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Our environment with `settings`, and without the variables that concern the stack only."""
    return {name: value for name, value in os.environ.items() if name not in STACK_VARIABLES} | dict(settings)
