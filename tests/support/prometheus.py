"""A real Prometheus in tests: its query API, and one that scrapes chosen targets every second."""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from tocsin_local.loopback import free_port
from tocsin_local.monitoring import Prometheus, find_program

from support.polling import eventually
from support.servers import NO_CERTIFICATES, running

EVERY_SECOND = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}


class Sample(NamedTuple):
    """One series of a result, without its name."""

    labels: Mapping[str, str]
    value: float


class PrometheusClient:
    """The API of a Prometheus at this URL."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/api/v1"

    def query(self, expression: str) -> list[Sample]:
        """The series of an instant query now. Fails the test if the expression is invalid."""
        found = self._get("query", query=expression)["result"]
        return [
            Sample(
                {name: value for name, value in each["metric"].items() if name != "__name__"}, float(each["value"][1])
            )
            for each in found
        ]

    def value(self, expression: str) -> float:
        """The value of a query whose result is one series."""
        (sample,) = self.query(expression)
        return sample.value

    def by(self, expression: str, *labels: str) -> dict[tuple[str, ...], float]:
        """The values of a query by these labels, which tell all its series apart."""
        samples = self.query(expression)
        values = {tuple(sample.labels.get(label, "") for label in labels): sample.value for sample in samples}
        assert len(values) == len(samples), samples
        return values

    def firing(self) -> dict[str, list[dict[str, Any]]]:
        """The alerts that fire now, by name."""
        alerts: dict[str, list[dict[str, Any]]] = {}
        for alert in self._get("alerts")["alerts"]:
            if alert["state"] == "firing":
                alerts.setdefault(alert["labels"]["alertname"], []).append(alert)
        return alerts

    def rule_names(self) -> set[str]:
        """The names of all loaded rules."""
        return {rule["name"] for group in self._get("rules")["groups"] for rule in group["rules"]}

    def unhealthy_rules(self) -> dict[str, str]:
        """Why rules could not be evaluated, by their names."""
        rules = [rule for group in self._get("rules")["groups"] for rule in group["rules"]]
        return {rule["name"]: rule.get("lastError", "") for rule in rules if rule["health"] == "err"}

    async def scraped(self, times: int = 1) -> None:
        """Waits until every target was scraped that often from now on, without an error."""
        for _ in range(times):
            await eventually(partial(self._all_scraped_since, time.time()), "every target is scraped")

    def _all_scraped_since(self, since: float) -> bool:
        targets = self._get("targets", state="active")["activeTargets"]
        return bool(targets) and all(
            target["health"] == "up" and _unix(target["lastScrape"]) > since for target in targets
        )

    def _get(self, path: str, **parameters: str) -> Any:
        response = httpx.get(f"{self._url}/{path}", params=parameters, timeout=30, verify=NO_CERTIFICATES)
        assert response.is_success, response.text
        return response.json()["data"]


def _unix(instant: str) -> float:
    """The Unix time of an instant as Go writes it: with nanoseconds, which datetime does not read."""
    whole, fraction, zone = re.fullmatch(r"(.+?)(\.\d+)?(Z|[+-][\d:]+)", instant).groups()  # type: ignore[union-attr]
    return datetime.fromisoformat(whole + zone).timestamp() + float(fraction or 0)


@contextmanager
def scraping(folder: Path, targets: Mapping[str, Sequence[str]]) -> Iterator[PrometheusClient]:
    """A Prometheus that scrapes these addresses by job every second, with the shipped rules. Skips the test if the
    machine has none.
    """
    program = find_program("prometheus")
    if program is None:
        pytest.skip("Prometheus is not installed (Debian: apt install prometheus)")
    part = Prometheus(program, folder, free_port(), targets, None, pace=EVERY_SECOND)
    with running(part, folder):
        yield PrometheusClient(part.url)
