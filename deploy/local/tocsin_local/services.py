"""The four services as parts of the stack."""

import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from tocsin_local.ports import LOOPBACK
from tocsin_local.processes import Launch, answers

PACKAGES = {"intake": "intake", "sla-timer": "sla_timer", "escalator": "escalator", "notifier": "notifier"}
OURS = ("TOCSIN_STATE", "TOCSIN_PORT_OFFSET", "TOCSIN_CLOCK_EPOCH", "TOCSIN_CLOCK_RATE", "TOCSIN_CLOCK_ORIGIN")


@dataclass(frozen=True)
class Service:
    """A process of a service; a second replica has another `name` and `port` and the same `package` and settings."""

    name: str
    package: str
    port: int
    settings: Mapping[str, str]
    stop_signal = signal.SIGTERM

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def launch(self) -> Launch:
        settings = {**self.settings, "TOCSIN_HOST": LOOPBACK, "TOCSIN_PORT": str(self.port)}
        return Launch((sys.executable, "-m", self.package), environment(settings))

    def ready(self) -> bool:
        if not answers(self.port):
            return False
        try:
            return httpx.get(f"{self.url}/readyz", timeout=3).is_success
        except httpx.TransportError:
            return False


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Ours, without what speaks of the stack itself, and with `settings`."""
    return {name: value for name, value in os.environ.items() if name not in OURS} | dict(settings)
