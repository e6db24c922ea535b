"""sla-timer as a process: start and stop, invalid policies, facts in and deadlines out through Kafka."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from sla_timer.store.tables import OUTBOX
from sqlalchemy.engine import make_url
from support.fake_timer import numbered_fact, summaries
from support.polling import eventually
from support.runtime_world import read_topic, rows
from support.servers import MakeDatabase, SharedKafka
from support.stories import DEFAULT_POLICY
from support.timer_world import events
from tocsin.events import DeadlineEvent, Event, Watermark, encode
from tocsin.runtime.database.engine import engine
from tocsin.runtime.http.api_keys import KeyFile, write_keys
from tocsin.runtime.kafka.client import DEADLINES_TOPIC, PARTITIONS, TICKETS_TOPIC, new_producer, partition_of
from tocsin_local.loopback import free_port

SECONDS = 90
START = datetime(2026, 6, 8, 16, tzinfo=UTC)
Started = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def start(tmp_path: Path, log: Path) -> Iterator[Started]:
    """start(**settings) -> sla-timer as a process, its log in `log`; business time stands still."""
    started: list[subprocess.Popen[bytes]] = []
    write_keys(tmp_path / "keys.yaml", KeyFile(keys=()))
    (tmp_path / "clock").write_text(f"2020-01-01T00:00:00+00:00 {START.isoformat()} 0\n")

    def begin(**changes: str) -> subprocess.Popen[bytes]:
        settings = {
            "TOCSIN_KAFKA": f"127.0.0.1:{free_port()}",
            "TOCSIN_KEYS": str(tmp_path / "keys.yaml"),
            "TOCSIN_POLICY": str(DEFAULT_POLICY),
            "TOCSIN_PORT": str(free_port()),
            "TOCSIN_CLOCK_FILE": str(tmp_path / "clock"),
        } | {f"TOCSIN_{name.upper()}": value for name, value in changes.items()}
        with log.open("ab") as out:
            started.append(
                subprocess.Popen([sys.executable, "-m", "sla_timer"], env=os.environ | settings, stdout=out, stderr=out)
            )
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.wait()


def exit_status(process: subprocess.Popen[bytes]) -> int:
    return process.wait(SECONDS)


def read(log: Path) -> str:
    return log.read_text()


async def logged(log: Path, words: str) -> None:
    async def there() -> bool:
        return words in read(log)

    await eventually(there, seconds=SECONDS)


@asynccontextmanager
async def forwarded(port: int, url: str) -> AsyncIterator[None]:
    """While this is open, the database also responds at that port."""
    server = make_url(url)

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection(server.host, server.port)
        await asyncio.gather(copy(reader, upstream_writer), copy(upstream_reader, writer))

    server_here = await asyncio.start_server(connect, "127.0.0.1", port)
    yield
    server_here.close()


async def test_it_waits_for_the_database_and_then_serves(
    make_database: MakeDatabase, start: Started, log: Path
) -> None:
    url, port, http = make_database("sla-timer"), free_port(), free_port()
    forwarded_url = make_url(url).set(port=port).render_as_string(hide_password=False)
    process = start(database_url=forwarded_url, port=str(http))
    await logged(log, "waiting_for_database")
    async with forwarded(port, url):
        await logged(log, '"started"')
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"http://127.0.0.1:{http}/livez")).is_success
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(exit_status, process) == 0


async def test_it_stops_cleanly_while_it_waits_for_the_database(start: Started, log: Path) -> None:
    process = start(database_url=f"postgresql+asyncpg://a:b@127.0.0.1:{free_port()}/nowhere")
    await logged(log, "waiting_for_database")
    process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(exit_status, process) == 0


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("zone: America/New_York", "zone: Mars/Olympus", "policy.yaml:"),
        ("1: 24h", "1: 23h", "TOCSIN_POLICY: version '1' is already stored with other content"),
    ],
)
async def test_an_unusable_policy_is_reported_in_one_sentence(
    make_database: MakeDatabase, start: Started, log: Path, tmp_path: Path, old: str, new: str, message: str
) -> None:
    url = make_database("sla-timer")
    first = start(database_url=url)
    await logged(log, '"started"')
    first.send_signal(signal.SIGTERM)
    await asyncio.to_thread(exit_status, first)
    policy = tmp_path / "policy.yaml"
    policy.write_text(DEFAULT_POLICY.read_text().replace(old, new))
    before = len(read(log))
    assert await asyncio.to_thread(exit_status, start(database_url=url, policy=str(policy))) == 2
    text = read(log)[before:]
    assert message in text
    assert "Traceback" not in text
    assert len([line for line in text.splitlines() if not line.startswith("{")]) == 1  # the others are log lines


async def test_a_missing_policy_is_reported_in_one_sentence(start: Started, log: Path, tmp_path: Path) -> None:
    missing = start(database_url="postgresql+asyncpg://a:b@127.0.0.1:1/nowhere", policy=str(tmp_path / "none.yaml"))
    assert await asyncio.to_thread(exit_status, missing) == 2
    assert "TOCSIN_POLICY" in read(log)
    assert "Traceback" not in read(log)


async def produce(bootstrap: str, records: Sequence[Event]) -> None:
    producer = new_producer(bootstrap)
    await producer.start()
    try:
        for event in records:
            headers, value = encode(event, "intake")
            if isinstance(event, Watermark):
                for partition in range(PARTITIONS):
                    await producer.send_and_wait(TICKETS_TOPIC, value, partition=partition, headers=headers)
            else:
                key = str(event.ticket_id).encode()
                await producer.send_and_wait(TICKETS_TOPIC, value, key, partition_of(key), headers=headers)
    finally:
        await producer.stop()


async def test_facts_are_consumed_deadlines_published_and_the_stop_is_clean(
    make_database: MakeDatabase, kafka: SharedKafka, start: Started, log: Path
) -> None:
    kafka.fresh_topics()
    url = make_database("sla-timer")
    reader = engine(url, "test")
    process = start(database_url=url, kafka=kafka.bootstrap, probe_seconds="0.2")
    opened = numbered_fact(1, "opened", "06-08 13:00", severity=1)
    await produce(
        kafka.bootstrap, [*events("SR-1", [opened]), Watermark(accepted_through=START - timedelta(seconds=1))]
    )

    async def published() -> list[DeadlineEvent]:
        found = await read_topic(kafka.bootstrap, DEADLINES_TOPIC)
        return [event for partition in found for event in partition if isinstance(event, DeadlineEvent)]

    async def two_published() -> bool:
        return len(await published()) == 2

    await eventually(two_published, seconds=SECONDS)
    assert summaries(await published()) == [("warned response", "06-08 13:45"), ("breached response", "06-08 14:00")]
    process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(exit_status, process) == 0
    text = read(log)
    assert "Traceback" not in text
    assert "raised an exception" not in text

    # Published events can be queued again, with the same ids.
    environment = os.environ | {"TOCSIN_DATABASE_URL": url}
    command = [sys.executable, "-m", "sla_timer", "republish", "--since", "2026-06-08T16:00:00Z"]
    done = await asyncio.to_thread(subprocess.run, command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "2 events queued.\n"
    assert len(await rows(reader, OUTBOX.table)) == 2
    await reader.dispose()
