"""Intake as a process and as commands: durable without Kafka, published with it, quick to say no without PostgreSQL."""

import asyncio
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from intake.__main__ import app
from intake.store.tables import webhook_deliveries
from intake.store.webhooks import WebhookStore
from sqlalchemy import func, select, text
from support.intake_world import event, ticket, world
from support.polling import eventually
from support.runtime_world import in_topic
from support.servers import MakeDatabase, SharedKafka, intake_part, private_database, running
from support.webhook_client import payload, written
from tocsin.events import Event, TicketChanged, TicketImported, TicketOpened, Watermark, event_id
from tocsin.runtime.database.engine import engine
from tocsin.runtime.http.api_keys import Caller, KeyRing, add_key, issue
from tocsin_local.processes import Process, free_port
from tocsin_local.services import Service
from typer.testing import CliRunner

SECONDS = 30


class Front:
    """A running intake and its caller."""

    def __init__(self, service: Service, key: str) -> None:
        self._service = service
        self._headers = {"Authorization": f"Bearer {key}"}

    async def post(self, path: str, body: object, status: int) -> Any:
        async with httpx.AsyncClient(base_url=self._service.url, headers=self._headers, timeout=10) as client:
            answer = await client.post(path, json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def words(self, path: str) -> str:
        async with httpx.AsyncClient(base_url=self._service.url, headers=self._headers) as client:
            return (await client.get(path)).raise_for_status().text


@contextmanager
def front(url: str, kafka: str, folder: Path, **settings: str) -> Iterator[Front]:
    service, key = intake_part(url, folder, kafka, **settings)
    with running(service, folder):
        yield Front(service, key)


async def facts_of(bootstrap: str) -> list[Event]:
    """What lies in the topic, without progress."""
    return [each for part in await in_topic(bootstrap) for each in part if not isinstance(each, Watermark)]


async def test_taken_without_kafka_and_published_once_it_is_there(
    make_database: MakeDatabase, kafka: SharedKafka, tmp_path: Path
) -> None:
    kafka.fresh_topics()
    url = make_database("intake")
    with front(url, f"127.0.0.1:{free_port()}", tmp_path) as intake:
        began = time.monotonic()
        answer = await intake.post("/v1/tickets", ticket(severity=2), 201)
        await intake.post(f"/v1/tickets/{answer['ticket_id']}/events", event("responded"), 201)
        assert time.monotonic() - began < 4
    with front(url, kafka.bootstrap, tmp_path) as intake:
        batch = {"tickets": [ticket("SR-2", severity=9), ticket("SR-3", events=[event("paused")])]}
        await intake.post("/v1/tickets/batch", batch, 200)

        async def published() -> bool:
            return len(await facts_of(kafka.bootstrap)) >= 3

        await eventually(published, seconds=SECONDS)
        metrics = await intake.words("/metrics")
    assert 'sla_tickets_ingested_total{result="created",severity="1",source="connectwise"} 1.0' in metrics
    assert 'sla_tickets_ingested_total{result="invalid",severity="unknown",source="unknown"} 1.0' in metrics
    parts = await in_topic(kafka.bootstrap)
    facts = [each for part in parts for each in part if not isinstance(each, Watermark)]
    assert {type(each) for each in facts} == {TicketOpened, TicketChanged, TicketImported}
    mine = [each for each in facts if str(each.ticket_id) == answer["ticket_id"]]
    assert [type(each) for each in mine] == [TicketOpened, TicketChanged]
    for part in parts:
        told = [each for each in part if isinstance(each, Watermark)]
        assert told
        assert [each.accepted_through for each in told] == sorted(each.accepted_through for each in told)


async def test_stored_facts_are_published_again_with_the_same_ids(
    make_database: MakeDatabase, kafka: SharedKafka, tmp_path: Path
) -> None:
    kafka.fresh_topics()
    url = make_database("intake")
    with front(url, kafka.bootstrap, tmp_path) as intake:
        answer = await intake.post("/v1/tickets", ticket(category="mishandled_request", sender_is_it_contact=True), 201)
        events = f"/v1/tickets/{answer['ticket_id']}/events"
        await intake.post(events, event("responded"), 201)
        await intake.post(
            "/v1/tickets/batch", {"tickets": [ticket("SR-3", events=[event("paused")], history=True)]}, 200
        )
        late = await intake.post(events, event("resolved"), 201)

        async def count(number: int) -> bool:
            return len(await facts_of(kafka.bootstrap)) >= number

        await eventually(lambda: count(5), seconds=SECONDS)
        before = await facts_of(kafka.bootstrap)
        assert "5 events queued" in await asyncio.to_thread(command, url, "republish", "--since", answer["received_at"])
        await eventually(lambda: count(10), seconds=SECONDS)
        assert "1 events queued" in await asyncio.to_thread(command, url, "republish", "--since", late["received_at"])
        assert "0 events queued" in await asyncio.to_thread(
            command, url, "republish", "--since", "2098-01-01T00:00:00Z"
        )
        await eventually(lambda: count(11), seconds=SECONDS)
    after = await facts_of(kafka.bootstrap)
    assert {event_id(each): each for each in after} == {event_id(each): each for each in before}


async def test_a_delivery_that_waits_is_taken_in_after_the_start_and_an_old_one_is_forgotten(
    make_database: MakeDatabase, kafka: SharedKafka, tmp_path: Path
) -> None:
    kafka.fresh_topics()
    (tmp_path / "integrations.yaml").write_text(written(tmp_path))
    url = make_database("intake")
    database = engine(url, "test", pool_size=1)
    received_at = datetime(2026, 6, 8, 12, tzinfo=UTC)
    async with database.begin() as connection:
        store = WebhookStore(connection)
        for name in ("waiting", "old"):
            body = json.dumps(payload(name)).encode()
            await store.add_delivery("default", "desk", body, {}, body, received_at, timedelta(0))
        last = select(func.max(webhook_deliveries.c.id)).scalar_subquery()
        aged = webhook_deliveries.update().where(webhook_deliveries.c.id == last)
        old = datetime.now(UTC) - timedelta(days=2)
        await connection.execute(aged.values(state="taken", next_attempt_at=None, stored_at=old))

    async def stands() -> tuple[Any, ...]:
        found = "SELECT ARRAY(SELECT external_id FROM tickets), ARRAY(SELECT state FROM webhook_deliveries)"
        async with database.connect() as connection:
            return tuple((await connection.execute(text(found))).one())

    async def done() -> bool:
        return await stands() == (["waiting"], ["taken"])

    settings = {"TOCSIN_INTEGRATIONS": str(tmp_path / "integrations.yaml"), "TOCSIN_HOOK_RETENTION_DAYS": "1"}
    with front(url, kafka.bootstrap, tmp_path, **settings):
        await eventually(done, stands, seconds=SECONDS)
    await database.dispose()


async def test_without_its_database_it_says_so_at_once(tmp_path: Path) -> None:
    with private_database("intake", tmp_path) as (process, url):
        async with world(url, tmp_path) as intake:
            taken = f"/v1/tickets/{(await intake.post('/v1/tickets', ticket(), 201))['ticket_id']}"
            process.stop()
            asked: list[tuple[str, str, object]] = [
                ("POST", "/v1/tickets", ticket("SR-2")),
                ("POST", "/v1/tickets/batch", {"tickets": [ticket("SR-2")]}),
                ("POST", f"{taken}/events", event("responded")),
                ("POST", "/v1/tickets/by-external/connectwise/SR-1042/events", event("responded")),
                ("GET", "/v1/tickets", None),
                ("GET", taken, None),
                ("GET", "/v1/hooks/unmapped", None),
                ("POST", "/v1/hooks/unmapped/1/replay", None),
            ]
            for method, path, body in asked:
                began = time.monotonic()
                answer = await intake.clients["default"].request(method, path, json=body)
                assert (answer.status_code, answer.headers["retry-after"]) == (503, "1"), path
                assert answer.headers["content-type"] == "application/problem+json"
                assert time.monotonic() - began < 2, path
            again = Process(process.part, tmp_path / "postgres.log")
            again.wait_ready(SECONDS)
            await intake.post("/v1/tickets", ticket("SR-2"), 201)
            again.stop()


def command(url: str, *arguments: str, status: int = 0, settings: Mapping[str, str] | None = None) -> str:
    done = CliRunner().invoke(app, arguments, env={"TOCSIN_DATABASE_URL": url, **(settings or {})})
    assert done.exit_code == status, done.output
    return done.output


def test_keys_are_made_listed_and_revoked(tmp_path: Path) -> None:
    settings = {"TOCSIN_KEYS": str(tmp_path / "keys.yaml")}
    text = command("", "keys", "create", "--tenant", "acme-msp", "--scope", "tickets:read", settings=settings).strip()
    key_id = text.split("_")[1]
    assert f"{key_id}  acme-msp  tickets:read  for ever" in command("", "keys", "list", settings=settings)
    assert text not in (tmp_path / "keys.yaml").read_text()
    wrong = command("", "keys", "create", "--scope", "everything", status=1, settings=settings)
    assert wrong == "There is no scope everything; there are tickets:read, tickets:write, admin.\n"
    command("", "keys", "revoke", key_id, settings=settings)
    assert command("", "keys", "list", settings=settings) == ""
    limited = command("", "keys", "create", "--requests-per-minute", "60", settings=settings)
    assert "default  tickets:read,tickets:write  for ever  60 a minute" in command(
        "", "keys", "list", settings=settings
    )
    command("", "keys", "revoke", limited.split("_")[1], settings=settings)
    assert "no key" in command("", "keys", "revoke", key_id, status=1, settings=settings)


def test_a_rotated_key_and_the_one_before_it_are_good_until_the_overlap_is_over(tmp_path: Path) -> None:
    settings = {"TOCSIN_KEYS": str(tmp_path / "keys.yaml")}
    options = ("--tenant", "acme", "--scope", "tickets:read", "--requests-per-minute", "5")
    old = command("", "keys", "create", *options, settings=settings).strip()
    new = command("", "keys", "rotate", old.split("_")[1], "--overlap", "12h", settings=settings).strip()
    ring = KeyRing(tmp_path / "keys.yaml")
    for caller in (ring.check(old), ring.check(new)):
        assert isinstance(caller, Caller)
        assert (caller.tenant, caller.scopes, caller.requests_per_minute) == ("acme", frozenset({"tickets:read"}), 5)
    before, after = (key.expires_at for key in ring.keys)
    assert before is not None
    assert timedelta(hours=11) < before - datetime.now(UTC) < timedelta(hours=12)
    assert after is None
    command("", "keys", "rotate", new.split("_")[1], "--overlap", "0m", settings=settings)
    assert ring.check(new) == "expired"
    assert isinstance(ring.check(old), Caller)
    for wrong in ("7", "-7d", "7w", ""):
        assert "7d" in command("", "keys", "rotate", "x", "--overlap", wrong, status=2, settings=settings)
    assert "no key" in command("", "keys", "rotate", "nosuchid", status=1, settings=settings)


def test_where_no_keys_file_can_be_it_is_told_what_to_make(tmp_path: Path) -> None:
    file = tmp_path / "secrets" / "keys.yaml"
    settings = {"TOCSIN_KEYS": str(file)}
    told = command("", "keys", "create", status=1, settings=settings)
    assert told == f"There is no folder {file.parent}, where TOCSIN_KEYS says that keys.yaml lies: make it first.\n"
    for words in (("list",), ("rotate", "aB3dE6gH"), ("revoke", "aB3dE6gH")):
        assert command("", "keys", *words, status=1, settings=settings) == told
    file.parent.mkdir()
    for words in (("list",), ("rotate", "aB3dE6gH"), ("revoke", "aB3dE6gH")):
        missing = command("", "keys", *words, status=1, settings=settings)
        assert missing == f"There is no {file}: `python -m intake keys create` makes it, with the first key.\n"
    file.mkdir()
    assert command("", "keys", "list", status=1, settings=settings) == f"{file}: Is a directory.\n"


def test_a_broken_keys_file_is_told_in_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    file.write_bytes(b"keys: [] # M\xfcller")
    for words in (("list",), ("create",), ("rotate", "aB3dE6gH"), ("revoke", "aB3dE6gH")):
        told = command("", "keys", *words, status=1, settings={"TOCSIN_KEYS": str(file)})
        assert told == "keys.yaml is not UTF-8.\n"


def test_a_rotated_key_ends_when_the_one_before_it_would_have(tmp_path: Path) -> None:
    settings = {"TOCSIN_KEYS": str(tmp_path / "keys.yaml")}
    ring = KeyRing(tmp_path / "keys.yaml")

    def rotated(text: str, *options: str) -> datetime | None:
        new = command("", "keys", "rotate", text.split("_")[1], *options, settings=settings).split("_")[1]
        return next(key.expires_at for key in ring.keys if key.id == new)

    old = command("", "keys", "create", "--days", "1", settings=settings).strip()
    end = ring.keys[0].expires_at
    assert end is not None
    assert rotated(old) == end
    longer = rotated(old, "--days", "30")
    assert longer is not None
    assert timedelta(days=28) < longer - end < timedelta(days=30)


def test_an_expired_key_is_not_rotated_back_to_life(tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    _, entry = issue("acme", expires_at=datetime.now(UTC) - timedelta(seconds=2))
    add_key(file, entry)
    before = file.read_bytes()
    for options in ((), ("--days", "30")):
        told = command("", "keys", "rotate", entry.id, *options, status=1, settings={"TOCSIN_KEYS": str(file)})
        assert f"The key {entry.id} expired at 20" in told
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "TOCSIN_DATABASE_URL"),
        ({"TOCSIN_POLICY": "no-such-file.yaml"}, "TOCSIN_POLICY"),
        ({"TOCSIN_ACK_KEYS": "short"}, "TOCSIN_ACK_KEYS"),
        ({"TOCSIN_PROGRESS_INTERVAL": "0"}, "TOCSIN_PROGRESS_INTERVAL"),
    ],
)
def test_a_wrong_setting_is_one_sentence(tmp_path: Path, settings: dict[str, str], words: str) -> None:
    fine = {
        "TOCSIN_KAFKA": "127.0.0.1:1",
        "TOCSIN_KEYS": str(tmp_path),
        "TOCSIN_POLICY": str(tmp_path / "policy.yaml"),
        "TOCSIN_ACK_KEYS": "k" * 32,
    }
    url = "postgresql+asyncpg://a:b@127.0.0.1:1/intake" if settings else ""
    told = command(url, status=2, settings=fine | settings)
    assert words in told
    assert "Traceback" not in told
    assert len(told.strip().splitlines()) == 1


def test_an_instant_without_its_zone_is_refused() -> None:
    url = "postgresql+asyncpg://a:b@127.0.0.1:1/intake"
    assert "2026-06-08T12:00:00Z" in command(url, "republish", "--since", "2026-06-08", status=2)
