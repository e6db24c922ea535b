"""Intake as a process: durable without Kafka, published with it, quick to respond 503 without PostgreSQL."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from intake.commands.app import app
from intake.store.tables import WEBHOOK_DELIVERIES
from intake.store.webhooks import WebhookStore
from sqlalchemy import func, select, text
from support.intake_world import event, ticket, world
from support.polling import eventually
from support.runtime_world import read_topic
from support.servers import MakeDatabase, SharedKafka, intake_part, private_database, running
from support.webhook_client import integrations_yaml, payload
from tocsin.events import Event, TicketChanged, TicketImported, TicketOpened, Watermark, event_id
from tocsin.runtime.database.engine import engine
from tocsin_local.loopback import free_port
from tocsin_local.processes import Process
from typer.testing import CliRunner

SECONDS = 30


@contextmanager
def running_intake(url: str, kafka: str, folder: Path, **settings: str) -> Iterator[httpx.Client]:
    """A client of an intake process."""
    service, key = intake_part(url, folder, kafka, **settings)
    with (
        running(service, folder),
        httpx.Client(base_url=service.url, headers={"Authorization": f"Bearer {key}"}, timeout=10) as client,
    ):
        yield client


def post(intake: httpx.Client, path: str, body: object, status: int) -> Any:
    answer = intake.post(path, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


async def published_events(bootstrap: str) -> list[Event]:
    """The events in the topic without watermarks."""
    return [each for part in await read_topic(bootstrap) for each in part if not isinstance(each, Watermark)]


async def test_a_ticket_is_stored_without_kafka_and_published_when_kafka_is_back(
    make_database: MakeDatabase, kafka: SharedKafka, tmp_path: Path
) -> None:
    kafka.fresh_topics()
    url = make_database("intake")
    with running_intake(url, f"127.0.0.1:{free_port()}", tmp_path) as intake:
        began = time.monotonic()
        answer = post(intake, "/v1/tickets", ticket(severity=2), 201)
        post(intake, f"/v1/tickets/{answer['ticket_id']}/events", event("responded"), 201)
        assert time.monotonic() - began < 4
    with running_intake(url, kafka.bootstrap, tmp_path) as intake:
        batch = {"tickets": [ticket("SR-2", severity=9), ticket("SR-3", events=[event("paused")])]}
        post(intake, "/v1/tickets/batch", batch, 200)

        async def published() -> bool:
            return len(await published_events(kafka.bootstrap)) >= 3

        await eventually(published, seconds=SECONDS)
        metrics = intake.get("/metrics").text
    assert 'sla_tickets_ingested_total{result="created",severity="1",source="connectwise"} 1.0' in metrics
    assert 'sla_tickets_ingested_total{result="invalid",severity="unknown",source="unknown"} 1.0' in metrics
    parts = await read_topic(kafka.bootstrap)
    facts = [each for part in parts for each in part if not isinstance(each, Watermark)]
    assert {type(each) for each in facts} == {TicketOpened, TicketChanged, TicketImported}
    mine = [each for each in facts if str(each.ticket_id) == answer["ticket_id"]]
    assert [type(each) for each in mine] == [TicketOpened, TicketChanged]
    for part in parts:
        watermarks = [each.accepted_through for each in part if isinstance(each, Watermark)]
        assert watermarks == sorted(watermarks) != []


async def test_republish_queues_stored_facts_with_the_same_ids(
    make_database: MakeDatabase, kafka: SharedKafka, tmp_path: Path
) -> None:
    kafka.fresh_topics()
    url = make_database("intake")
    with running_intake(url, kafka.bootstrap, tmp_path) as intake:
        answer = post(intake, "/v1/tickets", ticket(category="mishandled_request", sender_is_it_contact=True), 201)
        events = f"/v1/tickets/{answer['ticket_id']}/events"
        post(intake, events, event("responded"), 201)
        post(intake, "/v1/tickets/batch", {"tickets": [ticket("SR-3", events=[event("paused")], history=True)]}, 200)
        late = post(intake, events, event("resolved"), 201)

        async def count(number: int) -> bool:
            return len(await published_events(kafka.bootstrap)) >= number

        await eventually(lambda: count(5), seconds=SECONDS)
        before = await published_events(kafka.bootstrap)
        assert "5 events queued" in await asyncio.to_thread(command, url, "republish", "--since", answer["received_at"])
        await eventually(lambda: count(10), seconds=SECONDS)
        assert "1 events queued" in await asyncio.to_thread(command, url, "republish", "--since", late["received_at"])
        assert "0 events queued" in await asyncio.to_thread(
            command, url, "republish", "--since", "2098-01-01T00:00:00Z"
        )
        await eventually(lambda: count(11), seconds=SECONDS)
    after = await published_events(kafka.bootstrap)
    assert {event_id(each): each for each in after} == {event_id(each): each for each in before}


async def test_after_the_start_a_waiting_delivery_is_processed_and_an_old_one_is_deleted(
    make_database: MakeDatabase, kafka: SharedKafka, tmp_path: Path
) -> None:
    kafka.fresh_topics()
    (tmp_path / "integrations.yaml").write_text(integrations_yaml(tmp_path))
    url = make_database("intake")
    database = engine(url, "test", pool_size=1)
    received_at = datetime(2026, 6, 8, 12, tzinfo=UTC)
    async with database.begin() as connection:
        store = WebhookStore(connection)
        for name in ("waiting", "old"):
            body = json.dumps(payload(name)).encode()
            await store.add_delivery("default", "desk", body, {}, body, received_at, timedelta(0))
        last = select(func.max(WEBHOOK_DELIVERIES.c.id)).scalar_subquery()
        aged = WEBHOOK_DELIVERIES.update().where(WEBHOOK_DELIVERIES.c.id == last)
        old = datetime.now(UTC) - timedelta(days=2)
        await connection.execute(aged.values(state="taken", next_attempt_at=None, stored_at=old))

    async def state() -> tuple[Any, ...]:
        found = "SELECT ARRAY(SELECT external_id FROM tickets), ARRAY(SELECT state FROM webhook_deliveries)"
        async with database.connect() as connection:
            return tuple((await connection.execute(text(found))).one())

    async def done() -> bool:
        return await state() == (["waiting"], ["taken"])

    settings = {"TOCSIN_INTEGRATIONS": str(tmp_path / "integrations.yaml"), "TOCSIN_HOOK_RETENTION_DAYS": "1"}
    with running_intake(url, kafka.bootstrap, tmp_path, **settings):
        await eventually(done, state, seconds=SECONDS)
    await database.dispose()


async def test_without_its_database_every_call_is_503_within_two_seconds(tmp_path: Path) -> None:
    with private_database("intake", tmp_path) as (process, url):
        async with world(url, tmp_path) as intake:
            created = f"/v1/tickets/{(await intake.post('/v1/tickets', ticket(), 201))['ticket_id']}"
            process.stop()
            calls: list[tuple[str, str, object]] = [
                ("POST", "/v1/tickets", ticket("SR-2")),
                ("POST", "/v1/tickets/batch", {"tickets": [ticket("SR-2")]}),
                ("POST", f"{created}/events", event("responded")),
                ("POST", "/v1/tickets/by-external/connectwise/SR-1042/events", event("responded")),
                ("GET", "/v1/tickets", None),
                ("GET", created, None),
                ("GET", "/v1/hooks/unmapped", None),
                ("POST", "/v1/hooks/unmapped/1/replay", None),
            ]
            for method, path, body in calls:
                began = time.monotonic()
                answer = await intake.clients["default"].request(method, path, json=body)
                assert (answer.status_code, answer.headers["retry-after"]) == (503, "1"), path
                assert answer.headers["content-type"] == "application/problem+json"
                assert time.monotonic() - began < 2, path
            again = Process(process.part, tmp_path / "postgres.log")
            again.wait_ready(SECONDS)
            await intake.post("/v1/tickets", ticket("SR-2"), 201)
            again.stop()


def command(url: str, *arguments: str, status: int = 0) -> str:
    done = CliRunner().invoke(app, arguments, env={"TOCSIN_DATABASE_URL": url})
    assert done.exit_code == status, done.output
    return done.output


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, "TOCSIN_DATABASE_URL"),
        ({"TOCSIN_POLICY": "no-such-file.yaml"}, "TOCSIN_POLICY"),
        ({"TOCSIN_ACK_KEYS": "short"}, "TOCSIN_ACK_KEYS"),
        ({"TOCSIN_PROGRESS_INTERVAL": "0"}, "TOCSIN_PROGRESS_INTERVAL"),
    ],
)
def test_an_invalid_setting_is_reported_in_one_sentence(tmp_path: Path, settings: dict[str, str], name: str) -> None:
    fine = {
        "TOCSIN_KAFKA": "127.0.0.1:1",
        "TOCSIN_KEYS": str(tmp_path),
        "TOCSIN_POLICY": str(tmp_path / "policy.yaml"),
        "TOCSIN_ACK_KEYS": "k" * 32,
    }
    url = "postgresql+asyncpg://a:b@127.0.0.1:1/intake" if settings else ""
    environment = os.environ | {"TOCSIN_DATABASE_URL": url} | fine | settings
    done = subprocess.run(
        (sys.executable, "-m", "intake"), env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    message = done.stdout + done.stderr
    assert done.returncode == 2
    assert name in message
    assert "Traceback" not in message
    assert len(message.strip().splitlines()) == 1


def test_republish_needs_an_instant_with_a_zone() -> None:
    url = "postgresql+asyncpg://a:b@127.0.0.1:1/intake"
    assert "2026-06-08T12:00:00Z" in command(url, "republish", "--since", "2026-06-08", status=2)
