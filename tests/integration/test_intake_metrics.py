"""Intake's counters: their label sets exist at start, and the first value of every series is visible to Prometheus."""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from support.intake_world import ticket, world
from support.metrics import counter_value
from support.polling import eventually
from support.prometheus import scraping
from support.servers import MakeDatabase, intake_part, running
from support.webhook_client import deliver, integrations_yaml, payload
from tocsin_local.layout import POLICY_FOLDER

SERIES = re.compile(r"^((?:sla_\w+_total)\{[^}]*\}) ([0-9.e+]+)$", re.M)
RESULTS = ("created", "duplicate", "conflict", "failed", "invalid", "postponed", "too_large")
FIELDS = ("severity", "services", "contact", "customer", "summary", "opened_at")
SOURCES = ("probe", "desk", "zendesk", "halopsa", "other")
"""A machine source, an integration, two sources of stored tickets, and the label of all further ones."""


@contextmanager
def running_intake(url: str, folder: Path) -> Iterator[httpx.Client]:
    """A client of an intake process with the machine source `probe` and the integration `desk`."""
    policy = (POLICY_FOLDER / "policy.yaml").read_text()
    (folder / "policy.yaml").write_text(policy.replace("machine_sources: {}", "machine_sources: {probe: 2}"))
    (folder / "integrations.yaml").write_text(integrations_yaml(folder))
    settings = {
        "TOCSIN_POLICY": str(folder / "policy.yaml"),
        "TOCSIN_INTEGRATIONS": str(folder / "integrations.yaml"),
    }
    service, key = intake_part(url, folder, **settings)
    with (
        running(service, folder),
        httpx.Client(base_url=service.url, headers={"Authorization": f"Bearer {key}"}, timeout=10) as client,
    ):
        yield client


def counters(client: httpx.Client) -> dict[str, float]:
    """Every counter with labels, with its value."""
    return {series: float(value) for series, value in SERIES.findall(client.get("/metrics").text)}


def ingested(source: str) -> set[str]:
    name = "sla_tickets_ingested_total"
    return {
        f'{name}{{result="{result}",severity="{severity}",source="{source}"}}'
        for severity in (1, 2, 3, 4)
        for result in RESULTS
    }


def defaults(source: str) -> set[str]:
    return {f'sla_default_fields_total{{field="{field}",source="{source}"}}' for field in FIELDS}


async def test_the_label_sets_of_known_sources_exist_at_the_start(make_database: MakeDatabase, tmp_path: Path) -> None:
    url = make_database("intake")
    async with world(url, tmp_path) as intake:
        for number, key in enumerate(("default", "default", "other")):
            await intake.post("/v1/tickets", ticket(f"SR-{number}", source="zendesk"), 201, key=key)
        await intake.post("/v1/tickets", ticket(source="halopsa"), 201, key="other")
    with running_intake(url, tmp_path) as client:
        known = {series for source in SOURCES for series in ingested(source) | defaults(source)}
        first = await eventually(lambda: found if (found := counters(client)).keys() >= known else None)
        assert set(first.values()) == {0.0}
        assert any(series.startswith("sla_hook_deliveries_total") for series in first)

        body = ticket(source="zendesk", severity=3)
        for change, status in (({}, 201), ({}, 200), ({"summary": "Other"}, 409), ({"severity": 9}, 422)):
            assert client.post("/v1/tickets", json=body | change).status_code == status
        assert client.get("/ack/forged").status_code == 404
        after = counters(client)
    assert after.keys() == first.keys()
    label = 'severity="3",source="zendesk"'
    assert {series: value for series, value in after.items() if value} == {
        f'sla_tickets_ingested_total{{result="created",{label}}}': 1,
        f'sla_tickets_ingested_total{{result="duplicate",{label}}}': 1,
        f'sla_tickets_ingested_total{{result="conflict",{label}}}': 1,
        'sla_tickets_ingested_total{result="invalid",severity="unknown",source="unknown"}': 1,
        'sla_acknowledgement_links_total{result="refused"}': 1,
    }


async def test_prometheus_sees_the_first_ticket_of_a_source_that_nobody_knew(
    make_database: MakeDatabase, tmp_path: Path
) -> None:
    """And what was counted between the start of the process and the first scrape."""
    with running_intake(make_database("intake"), tmp_path) as client:
        body = ticket(source="probe", severity=None)
        assert client.post("/v1/tickets", json=body).status_code == 201
        with scraping(tmp_path / "prometheus", {"intake": [f"127.0.0.1:{client.base_url.port}"]}) as prometheus:

            async def increase(**labels: str) -> float:
                """What `increase()` finds of the series, once a scrape has got its value."""
                selector = ",".join(f'{name}="{value}"' for name, value in labels.items())
                series = f"sla_tickets_ingested_total{{{selector}}}"
                await eventually(lambda: prometheus.query(f"{series} > 0"), f"{series} is above 0")
                await prometheus.scraped(2)
                return prometheus.value(f"increase({series}[2m])")  # 1 or more: Prometheus extrapolates

            assert await increase(source="probe", severity="2", result="created") >= 1
            await prometheus.scraped(2)
            assert client.post("/v1/tickets", json=ticket(source="new tool", severity=3)).status_code == 201
            assert await increase(source="new tool", severity="3", result="created") >= 1
            assert client.get("/metrics").text.count('source="new tool"') == len(ingested("")) + len(defaults(""))


@pytest.mark.rule("1.9")
async def test_each_default_that_a_ticket_took_is_counted(make_database: MakeDatabase, tmp_path: Path) -> None:
    (tmp_path / "integrations.yaml").write_text(integrations_yaml(tmp_path))

    def counted(source: str) -> Counter[str]:
        name = "sla_default_fields_total"
        return Counter({field: int(counter_value(name, source=source, field=field)) for field in FIELDS})

    async with world(make_database("intake"), tmp_path) as intake:
        before = {source: counted(source) for source in ("probe", "desk")}
        machine = ticket(source="probe", severity=None)
        for status in (201, 200):
            await intake.post("/v1/tickets", machine, status)
        await intake.post("/v1/tickets", ticket("SR-2", source="probe", severity=2), 201)
        for number in range(2):
            await deliver(intake, payload(f"T-{number}", services=None, who=None, mail=None))
        await deliver(intake, payload("T-0", services=None, status="Answered", at="2026-06-08T11:00:00Z"))
        assert counted("probe") - before["probe"] == {"severity": 1}
        assert counted("desk") - before["desk"] == {"services": 2, "contact": 2}
        found = await intake.get("/v1/tickets", flag="default_contact")
        assert [item["flags"] for item in found["items"]] == [["default_services", "default_contact"]] * 2
