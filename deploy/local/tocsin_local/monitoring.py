"""Prometheus and Alertmanager as parts of the stack, where the machine has them.

They run with the shipped configuration and rules (deploy/prometheus); only addresses differ. Nobody is notified: alerts
show on the pages of both, and the inbox holds tocsin's own mails only.
"""

import shutil
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import orjson
from ruamel.yaml import YAML

from tocsin_local.atomic_file import write_atomically
from tocsin_local.layout import PROMETHEUS_FOLDER
from tocsin_local.loopback import LOOPBACK, responds
from tocsin_local.processes import LaunchCommand, StackPart

_MISSING: Final = {
    "prometheus": "no Prometheus on PATH, so nothing shows metrics and alerts (Debian: apt install prometheus)",
    "alertmanager": "no Alertmanager on PATH, so only Prometheus shows alerts (Debian: apt install "
    "prometheus-alertmanager)",
}
_PROGRAMS: Final = {"prometheus": ("prometheus",), "alertmanager": ("alertmanager", "prometheus-alertmanager")}
"""The names of each program; Debian calls Alertmanager by the second one."""
_NOBODY: Final = {"route": {"receiver": "nobody", "group_by": ["alertname"]}, "receivers": [{"name": "nobody"}]}
_KEPT: Final = "15d"


class Monitor(StackPart, Protocol):
    """A part that watches the others: the stack runs without it."""

    @property
    def url(self) -> str: ...


def find_program(name: str) -> str | None:
    """The path of `prometheus` or `alertmanager`; None if it is not installed."""
    return next((path for program in _PROGRAMS[name] if (path := shutil.which(program))), None)


def missing_monitor() -> str | None:
    """What this machine lacks, in one sentence; None if it has both programs."""
    return next((sentence for name, sentence in _MISSING.items() if find_program(name) is None), None)


def monitors(folder: Path, ports: Mapping[str, int], services: Sequence[str]) -> list[Monitor]:
    """The monitors that can run here; none without Prometheus. `folder` keeps their state."""
    prometheus, alertmanager = find_program("prometheus"), find_program("alertmanager")
    if prometheus is None:
        return []
    targets = {name: [f"{LOOPBACK}:{ports[name]}"] for name in (*services, "prometheus")}
    if alertmanager is None:
        return [Prometheus(prometheus, folder / "prometheus", ports["prometheus"], targets, None)]
    receiver = Alertmanager(alertmanager, folder / "alertmanager", ports["alertmanager"])
    address = f"{LOOPBACK}:{receiver.port}"
    targets[receiver.name] = [address]
    return [receiver, Prometheus(prometheus, folder / "prometheus", ports["prometheus"], targets, address)]


class Prometheus:
    """Scrapes `targets` (addresses by job) and sends alerts to the address `alertmanager`.

    `pace` replaces the shipped intervals (`scrape_interval` ...).
    """

    name = "prometheus"
    stop_signal = signal.SIGTERM

    def __init__(
        self,
        program: str,
        folder: Path,
        port: int,
        targets: Mapping[str, Sequence[str]],
        alertmanager: str | None,
        *,
        pace: Mapping[str, str] | None = None,
    ) -> None:
        self._program = program
        self._folder = folder
        self._targets = targets
        self._alertmanager = alertmanager
        self._pace = pace or {}
        self.port = port

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def launch(self) -> LaunchCommand:
        config = _write(self._folder, "prometheus.json", self._config())
        options = (
            f"--config.file={config}",
            f"--storage.tsdb.path={self._folder.resolve() / 'data'}",
            f"--storage.tsdb.retention.time={_KEPT}",
            f"--web.listen-address={LOOPBACK}:{self.port}",
            "--log.level=warn",
        )
        return LaunchCommand((self._program, *options))

    def ready(self) -> bool:
        return responds(self.port, "/-/ready")

    def _config(self) -> dict[str, Any]:
        """The shipped configuration with the addresses of this stack."""
        shipped: dict[str, Any] = YAML(typ="safe").load(PROMETHEUS_FOLDER / "prometheus.yaml")
        scrapes = [
            {"job_name": name, "static_configs": [{"targets": addresses}]} for name, addresses in self._targets.items()
        ]
        receivers = [{"static_configs": [{"targets": [self._alertmanager]}]}] if self._alertmanager else []
        rules = [str(PROMETHEUS_FOLDER / name) for name in shipped["rule_files"]]
        alerting = shipped["alerting"] | {"alertmanagers": receivers}
        addresses = {"rule_files": rules, "scrape_configs": scrapes, "alerting": alerting}
        return shipped | addresses | {"global": shipped["global"] | self._pace}


class Alertmanager:
    """Groups and silences alerts, and notifies whom the configuration names."""

    name = "alertmanager"
    stop_signal = signal.SIGTERM

    def __init__(self, program: str, folder: Path, port: int, config: Mapping[str, Any] = _NOBODY) -> None:
        self._program = program
        self._folder = folder
        self._config = config
        self.port = port

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def launch(self) -> LaunchCommand:
        config = _write(self._folder, "alertmanager.json", self._config)
        options = (
            f"--config.file={config}",
            f"--storage.path={self._folder.resolve() / 'data'}",
            f"--web.listen-address={LOOPBACK}:{self.port}",
            "--cluster.listen-address=",
            "--log.level=warn",
        )
        return LaunchCommand((self._program, *options))

    def ready(self) -> bool:
        return responds(self.port, "/-/ready")


def _write(folder: Path, name: str, content: object) -> Path:
    """Write a configuration as JSON, which is YAML too."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder.resolve() / name
    write_atomically(path, orjson.dumps(content, option=orjson.OPT_INDENT_2))
    return path
