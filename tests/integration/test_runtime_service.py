"""A small service as a real process: how it starts, serves and stops."""

import json
import os
import signal
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from support.polling import eventually
from support.runtime_world import DEAD_LETTERS, OUTBOX, add_to_outbox, event, read_topic, rows
from support.servers import MakeDatabase, SharedKafka, is_ready
from tocsin.runtime.database.dead_letters import DeadLetter, DeadLetterOrigin
from tocsin.runtime.database.engine import engine
from tocsin.runtime.http.api_keys import add_key, issue
from tocsin.runtime.kafka.client import DEADLINES_TOPIC, TICKETS_TOPIC
from tocsin.runtime.kafka.record_headers import pack
from tocsin_local.loopback import free_port

pytestmark = pytest.mark.long

MAIN = """
import sys
from dataclasses import replace
from support.runtime_world import DEAD_LETTERS, KEY_USES, OFFSETS, OUTBOX, RecordingHandler
from tocsin.runtime.kafka.client import DEADLINES_TOPIC, TICKETS_TOPIC
from tocsin.runtime.process.bootstrap import build_runtime
from tocsin.runtime.process.commands import service_commands
from tocsin.runtime.process.serve import serve
from tocsin.runtime.process.service import Service
from tocsin.runtime.process.settings import ServiceSettings

outbox = replace(OUTBOX, topic=DEADLINES_TOPIC)

def build(settings: ServiceSettings) -> Service:
    runtime = build_runtime(settings, "bell", outbox=outbox, dead_letters=DEAD_LETTERS, key_uses=KEY_USES)
    consumer = runtime.consumer(TICKETS_TOPIC, OFFSETS, RecordingHandler().on_batch)
    return Service(runtime=runtime, app=runtime.create_app("Rings", [consumer], []), consumers=[consumer])

if len(sys.argv) > 1:
    service_commands("bell", "Rings", outbox, None)()
else:
    serve("bell", ServiceSettings, build)
"""
ENV = """
from support.runtime_world import metadata
from tocsin.runtime.database.migrations import run_migrations

run_migrations(metadata)
"""
FIRST = """
from alembic import op
from support.runtime_world import SEEN
from tocsin.runtime.database.migrations import create_runtime_tables

revision = "0001"
down_revision = None

def upgrade() -> None:
    create_runtime_tables(offsets=True)
    SEEN.create(op.get_bind())
"""


class Bell:
    """The service: its folder, environment and processes."""

    def __init__(self, folder: Path, database_url: str, bootstrap: str) -> None:
        (folder / "bell").mkdir()
        (folder / "bell/__init__.py").touch()
        (folder / "bell/__main__.py").write_text(MAIN)
        (folder / "migrations/versions").mkdir(parents=True)
        (folder / "migrations/env.py").write_text(ENV)
        (folder / "migrations/versions/0001_first.py").write_text(FIRST)
        self.folder = folder
        self.port = free_port()
        self.key, entry = issue("default")
        add_key(folder / "keys.yaml", entry)
        self.environment = os.environ | {
            "PYTHONPATH": f"{folder}:{Path(__file__).parent.parent}",
            "TOCSIN_DATABASE_URL": database_url,
            "TOCSIN_KAFKA": bootstrap,
            "TOCSIN_KEYS": str(folder / "keys.yaml"),
        }

    def migrate(self) -> None:
        command = (sys.executable, "-m", "bell", "migrate")
        subprocess.run(command, env=self.environment, check=True, timeout=90)

    @contextmanager
    def serves(self, port: int) -> Iterator[subprocess.Popen[str]]:
        environment = self.environment | {"TOCSIN_PORT": str(port)}
        process = subprocess.Popen(
            (sys.executable, "-m", "bell"), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    async def is_up(self, port: int) -> None:
        await eventually(lambda: is_ready(f"http://127.0.0.1:{port}"), seconds=90)


@pytest.fixture
def bell(tmp_path: Path, make_database: MakeDatabase, kafka: SharedKafka) -> Bell:
    kafka.fresh_topics()
    return Bell(tmp_path, make_database(), kafka.bootstrap)


async def test_a_service_serves_and_stops_cleanly_and_a_second_one_takes_over(bell: Bell, kafka: SharedKafka) -> None:
    bell.migrate()
    bell.migrate()
    db = engine(bell.environment["TOCSIN_DATABASE_URL"], "bell-writer")
    other = free_port()
    with bell.serves(bell.port) as first, bell.serves(other) as second:
        await bell.is_up(bell.port)
        await bell.is_up(other)
        await add_to_outbox(db, *(event("out", n) for n in range(1, 4)))
        await eventually(lambda: outbox_is_empty(db))
        async with httpx.AsyncClient() as http:
            metrics = (await http.get(f"http://127.0.0.1:{bell.port}/metrics")).text
        assert 'sla_consumer_lag{partition="5",topic="tocsin.tickets.v1"} 0.0' in metrics
        assert 'sla_dead_letters_total{topic="tocsin.tickets.v1"} 0.0' in metrics
        assert "_created" not in metrics
        first.send_signal(signal.SIGTERM)
        output, _ = first.communicate(timeout=90)
        assert first.returncode == 0, output
        lines = [json.loads(line) for line in output.splitlines()]
        assert {line["service"] for line in lines} == {"bell"}
        assert lines[-1]["event"] == "stopped"
        await add_to_outbox(db, event("out", 4))
        await eventually(lambda: outbox_is_empty(db))
        second.send_signal(signal.SIGINT)
        output, _ = second.communicate(timeout=90)
        assert second.returncode == 0, output
    published = [one for part in await read_topic(kafka.bootstrap, DEADLINES_TOPIC) for one in part]
    assert len(published) == 4
    await db.dispose()


async def test_the_outbox_is_published_before_the_process_ends(bell: Bell, kafka: SharedKafka) -> None:
    """There is no other process: rows left in the outbox would wait for the next start."""
    bell.migrate()
    db = engine(bell.environment["TOCSIN_DATABASE_URL"], "bell-writer")
    events = [event("out", number) for number in range(2, 5002)]  # several batches of the relay
    with bell.serves(bell.port) as process:
        await bell.is_up(bell.port)
        await add_to_outbox(db, event("out", 1))
        await eventually(lambda: outbox_is_empty(db))  # this process holds the lease
        await add_to_outbox(db, *events)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=90)
        assert process.returncode == 0, output
    assert "outbox_not_empty" not in output
    assert await outbox_is_empty(db)
    published = [one for part in await read_topic(kafka.bootstrap, DEADLINES_TOPIC) for one in part]
    assert len(published) == 1 + len(events)
    await db.dispose()


@pytest.mark.parametrize(
    ("value", "whose"),
    [
        (b'{"tenant": "acme"}', "acme"),
        (b'{"ticket": {"tenant": "acme"}, "tenant": "other"}', "acme"),
        (b'{"ticket": {"tenant": 7}}', None),
        (b'{"ticket": "acme"}', None),
        (b'["acme"]', None),
        (b"\xff", None),
        (None, None),
    ],
)
def test_the_tenant_of_a_dead_letter_is_read_from_its_event(value: bytes | None, whose: str | None) -> None:
    letter = DeadLetter(DeadLetterOrigin.OUTBOX, DEADLINES_TOPIC, 0, None, b"k", b"[]", value, "was too large")
    assert letter.tenant == whose
    assert letter.is_visible_to("acme")
    assert letter.is_visible_to("other") == (whose is None)


async def test_dead_letters_are_listed_and_replayed_over_http(bell: Bell, kafka: SharedKafka) -> None:
    bell.migrate()
    db = engine(bell.environment["TOCSIN_DATABASE_URL"], "bell-writer")
    async with db.begin() as connection:
        packed = pack([("ce_type", b"notify")])
        letters = [DeadLetter(DeadLetterOrigin.OUTBOX, DEADLINES_TOPIC, 1, None, b"k", packed, b"{}", "was too large")]
        poison = b"\xff" * 1_000_000
        letters += [
            DeadLetter(DeadLetterOrigin.CONSUMED, TICKETS_TOPIC, 1, offset, b"theirs", packed, value, "cannot be read")
            for offset, value in enumerate((poison, b'{"tenant": "other"}'))
        ]
        await DEAD_LETTERS.add(connection, letters)
    with bell.serves(bell.port):
        await bell.is_up(bell.port)
        base, headers = f"http://127.0.0.1:{bell.port}/v1/dead-letters", {"Authorization": f"Bearer {bell.key}"}
        async with httpx.AsyncClient(headers=headers) as http:
            assert (await http.get(base, headers={"Authorization": ""})).status_code == 401
            answer = await http.get(base)
            assert len(answer.content) < 3000
            listed = answer.json()
            assert [(one["type"], one["reason"], one["size"], one["excerpt"]) for one in listed["items"]] == [
                ("notify", "was too large", 2, "{}"),
                ("notify", "cannot be read", 1_000_000, "\ufffd" * 200),
            ]
            first = listed["items"][1]["id"]
            letter = (await http.get(f"{base}/{first}")).json()
            assert b64decode(letter["value_base64"]) == poison
            assert letter["headers"] == {"ce_type": "notify"}
            assert (await http.get(f"{base}/{first + 1}")).status_code == 404  # another tenant's
            assert (await http.get(f"{base}/+{first}")).status_code == 422
            behind = f"{base}/{listed['items'][1]['id']}/replay"  # a letter of another tenant would be replayed with it
            assert (await http.post(behind)).status_code == 404
            replay = f"{base}/{listed['items'][0]['id']}/replay"
            assert (await http.post(replay)).json() == {"replayed": 1}
            assert (await http.post(replay)).status_code == 409
            assert (await http.post(f"{base}/999/replay")).status_code == 404
            assert (await http.post(f"{base}/{1 << 63}/replay")).status_code == 422
            left = (await http.get(base, params={"limit": 1})).json()
            assert ([one["id"] for one in left["items"]], left["next_cursor"]) == ([first], None)
    await db.dispose()


def test_a_failure_to_start_is_one_sentence(bell: Bell) -> None:
    with bell.serves(bell.port) as process:
        output, _ = process.communicate(timeout=90)
        assert process.returncode == 1
        assert "python -m bell migrate" in output
    bell.migrate()
    bell.environment["TOCSIN_KAFKA"] = "nonsense"
    with bell.serves(bell.port) as process:
        output, _ = process.communicate(timeout=90)
        assert process.returncode == 2
        assert output == "TOCSIN_KAFKA: must be HOST:PORT, or several separated by commas.\n"


async def test_a_port_in_use_is_one_sentence(bell: Bell) -> None:
    bell.migrate()
    with bell.serves(bell.port):
        await bell.is_up(bell.port)
        with bell.serves(bell.port) as late:
            output, _ = late.communicate(timeout=90)
            assert late.returncode == 1
            assert ": Address already in use" in output
            assert "Traceback" not in output


async def outbox_is_empty(db: AsyncEngine) -> bool:
    return not await rows(db, OUTBOX.table)
