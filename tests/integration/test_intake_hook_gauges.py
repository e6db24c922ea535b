"""The gauges of integrations: whether each one can be authenticated, and when it delivered last."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.intake_world import IntakeWorld, world
from support.servers import MakeDatabase
from support.webhook_client import deliver, integrations_yaml, payload, rows

LAST_DELIVERY = "sla_hook_last_delivery_timestamp_seconds"
LAST_TICKET = "sla_hook_last_ticket_timestamp_seconds"


@pytest.fixture
async def intake(make_database: MakeDatabase, tmp_path: Path) -> AsyncIterator[IntakeWorld]:
    (tmp_path / "integrations.yaml").write_text(integrations_yaml(tmp_path))
    async with world(make_database("intake"), tmp_path) as made:
        yield made


async def measure(intake: IntakeWorld, tenant: str = "default") -> tuple[float | None, float | None]:
    """When the desk of a tenant delivered last, and last with a ticket."""
    await intake.webhook_worker.measure_integrations()
    labels = {"provider": "desk", "tenant": tenant}
    return await intake.scrape(LAST_DELIVERY, **labels), await intake.scrape(LAST_TICKET, **labels)


async def stored_at(intake: IntakeWorld) -> list[float]:
    found = await rows(intake, "SELECT stored_at FROM webhook_deliveries ORDER BY id")
    return [row.stored_at.timestamp() for row in found]


async def test_the_last_delivery_and_the_last_ticket_are_from_the_database(intake: IntakeWorld) -> None:
    assert await measure(intake) == (0, 0)
    await deliver(intake, payload())
    (first,) = await stored_at(intake)
    assert await measure(intake) == (first, first)
    await deliver(intake, {"note": True})
    await deliver(intake, payload("T-2", status="Parked"))
    *_, last = await stored_at(intake)
    assert await measure(intake) == (last, first)
    assert await measure(intake, "other") == (0, 0)
    assert abs(last - datetime.now(UTC).timestamp()) < timedelta(minutes=10).total_seconds()  # real time


async def test_an_integration_without_its_secret_is_not_ready(intake: IntakeWorld) -> None:
    async def ready() -> float | None:
        await intake.webhook_worker.measure_integrations()
        return await intake.scrape("sla_hook_ready", provider="desk", tenant="default")

    assert await ready() == 1
    (intake.integrations.parent / "secret").unlink()
    assert await ready() == 0
    intake.integrations.write_text('version: "1"\ntenants: {}\n')
    assert await ready() is None
    assert await measure(intake) == (None, None)
