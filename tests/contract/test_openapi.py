"""What each service says of its calls at /openapi.json is OpenAPI 3.1, and names every call of the contract."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import escalator.api
import escalator.store
import httpx
import intake.api
import intake.handlers
import intake.store
import notifier.api
import notifier.tables
import pytest
import sla_timer.api
import sla_timer.book
import sla_timer.store.tables
from fastapi import APIRouter
from openapi_spec_validator import OpenAPIV31SpecValidator
from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.policy.files import read_policy
from tocsin.runtime.clock import BusinessClock
from tocsin.runtime.database import engine
from tocsin.runtime.dead_letter_routes import dead_letter_routes
from tocsin.runtime.directory_file import DirectoryFile
from tocsin.runtime.http import create_app
from tocsin.runtime.keys import KeyFile, KeyRing, write_keys

REPOSITORY = Path(__file__).parents[2]
CLOCK = BusinessClock(datetime(2026, 6, 8, tzinfo=UTC), datetime(2026, 6, 8, tzinfo=UTC), 1.0)
PUBLIC = {"/livez", "/readyz", "/metrics"}
EVERYWHERE = {
    "get /livez",
    "get /readyz",
    "get /metrics",
    "get /v1/dead-letters",
    "post /v1/dead-letters/{letter_id}/replay",
}
CALLS = {
    "intake": {
        "post /v1/tickets",
        "post /v1/tickets/batch",
        "post /v1/tickets/{ticket_id}/events",
        "post /v1/tickets/by-external/{source}/{external_id}/events",
        "get /v1/tickets/{ticket_id}",
        "get /v1/tickets",
    },
    "sla-timer": {"get /v1/tickets/{ticket_id}/clocks", "post /v1/simulate", "get /v1/compliance"},
    "escalator": {"get /v1/escalations", "get /v1/tickets/{ticket_id}/escalation"},
    "notifier": {"get /v1/deliveries", "get /v1/deliveries/{delivery_id}"},
}

each_service = pytest.mark.parametrize("service", CALLS)


@pytest.fixture
async def described(tmp_path: Path) -> Callable[[str], Any]:
    """What a service answers at /openapi.json. No database is asked for that."""
    write_keys(tmp_path / "keys.yaml", KeyFile())
    unused = engine("postgresql+asyncpg://nobody@127.0.0.1:1/nothing", "contract")

    async def get(service: str) -> Any:
        app = create_app(service, "", KeyRing(tmp_path / "keys.yaml"), {})
        for routes in ROUTES[service](unused):
            app.include_router(routes)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://service") as client:
            answer = await client.get("/openapi.json")
        return answer.json()

    return get


def intake_routes(database: AsyncEngine) -> list[APIRouter]:
    policy = read_policy(REPOSITORY / "deploy" / "policy" / "policy.yaml")
    desk = intake.handlers.Desk(policy, CLOCK.business, intake.store.outbox, 1)
    return [
        intake.api.router(desk, database, database, lambda: None),
        dead_letter_routes(database, intake.store.dead_letters, intake.store.outbox, None),
    ]


def sla_timer_routes(database: AsyncEngine) -> list[APIRouter]:
    tables = sla_timer.store.tables
    return [
        sla_timer.api.router(database, sla_timer.book.PolicyBook(), CLOCK, lambda partition: False),
        dead_letter_routes(database, tables.DEAD_LETTERS, tables.OUTBOX, None),
    ]


def escalator_routes(database: AsyncEngine) -> list[APIRouter]:
    directory = DirectoryFile(REPOSITORY / "deploy" / "policy" / "directory.yaml")
    return [
        escalator.api.router(database, directory),
        dead_letter_routes(database, escalator.store.dead_letters, escalator.store.outbox, None),
    ]


def notifier_routes(database: AsyncEngine) -> list[APIRouter]:
    tables = notifier.tables
    return [
        notifier.api.router(database),
        dead_letter_routes(database, tables.DEAD_LETTERS, tables.OUTBOX, None),
    ]


ROUTES: Mapping[str, Callable[[AsyncEngine], list[APIRouter]]] = {
    "intake": intake_routes,
    "sla-timer": sla_timer_routes,
    "escalator": escalator_routes,
    "notifier": notifier_routes,
}


@each_service
async def test_it_is_openapi_3_1(service: str, described: Callable[[str], Any]) -> None:
    found = await described(service)
    assert found["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(found).validate()


@each_service
async def test_it_names_every_call(service: str, described: Callable[[str], Any]) -> None:
    assert set(operations(await described(service))) >= EVERYWHERE | CALLS[service]


@each_service
async def test_every_call_but_health_wants_a_key_and_answers_errors_as_problems(
    service: str, described: Callable[[str], Any]
) -> None:
    for name, operation in operations(await described(service)).items():
        assert bool(operation.get("security")) == (name.partition(" ")[2] not in PUBLIC), name
        assert operation.get("summary"), name
        assert "application/problem+json" in operation["responses"]["4XX"]["content"], name


def operations(described: Mapping[str, Any]) -> dict[str, Any]:
    """Each operation by its method and path."""
    paths = described["paths"].items()
    return {f"{method} {path}": operation for path, item in paths for method, operation in item.items()}
