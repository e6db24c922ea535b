"""The notifier as a process with real Kafka, killed while it hands over a mail."""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from support.calendar_feed import one_event
from support.notifier_events import about_clock, escalation, stand_down, ticket
from support.notifier_world import DIRECTORY
from support.polling import eventually
from support.servers import NO_CERTIFICATES, MakeDatabase, SharedKafka, SharedSink
from tocsin.events import Notify, StandDown, encode, event_type
from tocsin.runtime.http.api_keys import KeyFile, issue, write_keys
from tocsin.runtime.kafka.client import ESCALATIONS_TOPIC, NOTIFICATIONS_TOPIC, discard, new_consumer, new_producer
from tocsin_local.loopback import free_port
from tocsin_local.processes import Process
from tocsin_local.services import ServicePart

pytestmark = pytest.mark.long

LEAD, MANAGER, NOBODYS = "service_desk_team_lead", "senior_it_operations_manager", "chief_executive_officer"
ROTATING = """
people:
  dana: {{ name: Dana, email: dana@example.com }}
  kim: {{ name: Kim, email: kim@example.com }}
rotations:
  desk: {{ zone: UTC, calendar: {{ file: desk.ics }} }}
roles:
  service_desk_team_lead: [{{ rotation: desk }}]
  senior_it_operations_manager: [{{ person: kim, to: {until} }}]
"""


class RunningNotifier:
    """A notifier process that can be restarted, and the topics that it consumes and publishes."""

    def __init__(self, settings: dict[str, str], key: str, kafka: SharedKafka, sink: SharedSink, folder: Path) -> None:
        self.settings = settings
        self.key = key
        self.kafka = kafka
        self.sink = sink
        self.folder = folder
        self.processes: list[Process] = []

    async def start(self) -> Process:
        part = ServicePart("notifier", "notifier", free_port(), self.settings)
        process = Process(part, self.folder / "notifier.log")
        self.processes.append(process)
        await asyncio.to_thread(process.wait_ready, 60)
        return process

    async def publish(self, *events: Notify | StandDown) -> None:
        producer = new_producer(self.kafka.bootstrap)
        try:
            await producer.start()
            for event in events:
                headers, value = encode(event, "escalator")
                key = str(event.ticket_id).encode()
                await producer.send_and_wait(ESCALATIONS_TOPIC, value, key=key, headers=headers)
        finally:
            await discard(producer)

    async def mails(self) -> list[dict[str, Any]]:
        return await asyncio.to_thread(self.sink.messages)

    async def mailed(self, count: int) -> None:
        async def reached() -> bool:
            return len(await self.mails()) >= count

        await eventually(reached, self.mails, 60)

    async def deliveries(self, process: Process, **filters: str) -> list[dict[str, Any]]:
        return list((await self.get(process, "/v1/deliveries", **filters)).json()["items"])

    async def on_call(self, process: Process, role: str) -> str | None:
        holder = (await self.get(process, "/v1/on-call", role=role)).json()["holder"]
        return holder and str(holder["person"])

    async def metrics(self, process: Process) -> str:
        return (await self.get(process, "/metrics")).text

    async def metric(self, process: Process, series: str) -> float:
        [line] = [line for line in (await self.metrics(process)).splitlines() if line.startswith(f"{series} ")]
        return float(line.rpartition(" ")[2])

    async def get(self, process: Process, path: str, **parameters: str) -> httpx.Response:
        url, headers = f"http://127.0.0.1:{process.part.port}", {"Authorization": f"Bearer {self.key}"}
        async with httpx.AsyncClient(base_url=url, headers=headers, verify=NO_CERTIFICATES) as client:
            return (await client.get(path, params=parameters)).raise_for_status()

    async def settled(self, process: Process, states: Sequence[str]) -> None:
        async def reached() -> bool:
            return [delivery["state"] for delivery in await self.deliveries(process)] == list(states)

        await eventually(reached, lambda: self.deliveries(process), 60)

    async def reaches(self, process: Process, **expected: int) -> None:
        """Wait until so many deliveries have each state."""

        async def reached() -> bool:
            return Counter(delivery["state"] for delivery in await self.deliveries(process)) == expected

        await eventually(reached, lambda: self.deliveries(process), 60, every=0.2)

    async def published_types(self, count: int) -> list[str]:
        """The types of the first events on the notifications topic."""
        consumer = new_consumer(self.kafka.bootstrap, None)
        consumer.subscribe([NOTIFICATIONS_TOPIC])
        await consumer.start()
        try:
            await consumer.seek_to_beginning()
            types: list[str] = []
            async with asyncio.timeout(30):
                while len(types) < count:
                    batches = await consumer.getmany(timeout_ms=300)
                    types += [dict(record.headers)["ce_type"].decode() for got in batches.values() for record in got]
        finally:
            await consumer.stop()
        return types


@pytest.fixture
async def running(
    make_database: MakeDatabase, kafka: SharedKafka, smtp_sink: SharedSink, tmp_path: Path
) -> AsyncIterator[RunningNotifier]:
    kafka.fresh_topics()
    key, entry = issue("default")
    write_keys(tmp_path / "keys.yaml", KeyFile(keys=(entry,)))
    (tmp_path / "directory.yaml").write_text(DIRECTORY)
    settings = {
        "TOCSIN_DATABASE_URL": make_database("notifier"),
        "TOCSIN_KAFKA": kafka.bootstrap,
        "TOCSIN_KEYS": str(tmp_path / "keys.yaml"),
        "TOCSIN_DIRECTORY": str(tmp_path / "directory.yaml"),
        "TOCSIN_SMTP": smtp_sink.address,
        "TOCSIN_MAIL_FROM": "tocsin@example.org",
        "TOCSIN_PUBLIC_URL": "https://sla.example.org",
        "TOCSIN_ACK_KEYS": "a key for the links of tests only",
        "TOCSIN_LEASE_SECONDS": "2",
    }
    made = RunningNotifier(settings, key, kafka, smtp_sink, tmp_path)
    yield made
    for process in made.processes:
        await asyncio.to_thread(process.stop)


def due_now(**fields: Any) -> Notify:
    return escalation(ticket(ticket_id=uuid4()), event_id=uuid4(), at=datetime.now(UTC), **fields)


def warning_now() -> Notify:
    return about_clock("warning", ticket=ticket(ticket_id=uuid4()), event_id=uuid4(), severity=3, at=datetime.now(UTC))


def tickets_of(mail: dict[str, Any]) -> list[str]:
    return [value for name, value in mail["headers"] if name == "Tocsin-Ticket"]


async def test_from_the_topic_to_the_inbox_and_the_published_events(running: RunningNotifier) -> None:
    process = await running.start()
    first = due_now()
    await running.publish(first)
    await running.mailed(1)
    await running.settled(process, ["sent"])
    end = stand_down(first.ticket, notifications=(first.event_id,), at=datetime.now(UTC))
    await running.publish(end, first)
    await running.mailed(2)
    await running.settled(process, ["sent", "sent"])
    assert [event_type(event) for event in (first, end)] == ["notify", "stand_down"]
    assert await running.published_types(2) == ["delivery.sent", "delivery.sent"]
    since = first.at.strftime("%Y-%m-%dT%H:%M:%SZ")
    command = (sys.executable, "-m", "notifier", "republish", "--since", since)
    again = await asyncio.create_subprocess_exec(*command, env=running.settings)
    assert await again.wait() == 0
    assert await running.published_types(4) == ["delivery.sent"] * 4
    [delivery, _] = await running.deliveries(process, ticket_id=str(first.ticket_id), recipient="dana@example.com")
    assert (delivery["kind"], delivery["tier"], delivery["attempts"]) == ("escalation", 1, 1)
    assert await running.deliveries(process, state="refused") == []
    assert await running.deliveries(process, recipient="kim@example.com") == []
    metrics = await running.metrics(process)
    assert 'sla_emails_total{result="sent"} 2.0' in metrics
    assert "sla_breach_to_email_seconds_count 1.0" in metrics


async def test_killed_between_the_final_dot_and_the_reply(running: RunningNotifier) -> None:
    """The server has the message, but nobody knows. The journal says so, and the mail is repeated with the same id."""
    running.sink.fail("hang_after_dot")
    process = await running.start()
    await running.publish(due_now())
    await running.mailed(1)
    await running.settled(process, ["in_data"])
    await asyncio.to_thread(process.kill)
    running.sink.fail("none")
    process = await running.start()
    await running.settled(process, ["sent"])
    mails = await running.mails()
    assert len(mails) == 2
    assert len({dict(mail["headers"])["Message-ID"] for mail in mails}) == 1
    [delivery] = await running.deliveries(process)
    assert (delivery["ambiguous"], delivery["attempts"]) == (True, 2)
    metrics = await running.metrics(process)
    assert 'sla_emails_total{result="ambiguous"} 1.0' in metrics


async def test_killed_during_a_burst_no_mail_is_lost(running: RunningNotifier) -> None:
    running.sink.fail("delay", seconds=0.05)
    process = await running.start()
    notifies = [due_now() for _ in range(60)]
    await running.publish(*notifies)
    await running.mailed(10)
    await asyncio.to_thread(process.kill)
    running.sink.fail("none")
    process = await running.start()
    await running.settled(process, ["sent"] * 60)
    ambiguous = {delivery["message_id"] for delivery in await running.deliveries(process) if delivery["ambiguous"]}
    identities = [dict(mail["headers"])["Message-ID"] for mail in await running.mails()]
    twice = {identity for identity in identities if identities.count(identity) > 1}
    assert len(set(identities)) == 60
    assert twice <= ambiguous


@pytest.mark.rule("5.23", "5.31")
async def test_killed_while_a_digest_is_handed_over_nothing_is_lost(running: RunningNotifier) -> None:
    """The digest is held for its real time, and repeated with the same id and the same tickets."""
    process = await running.start()
    storm = [warning_now() for _ in range(9)]
    await running.publish(*storm)
    await running.reaches(process, sent=5, held=4)
    running.sink.fail("hang_after_dot")
    await running.reaches(process, sent=5, in_data=4)
    await running.mailed(6)
    await asyncio.to_thread(process.kill)
    running.sink.fail("none")
    process = await running.start()
    await running.reaches(process, sent=9)
    first, again = [mail for mail in await running.mails() if ["Tocsin-Kind", "digest"] in mail["headers"]]
    assert dict(first["headers"])["Message-ID"] == dict(again["headers"])["Message-ID"]
    assert tickets_of(first) == tickets_of(again)
    singles = [mail for mail in await running.mails() if ["Tocsin-Kind", "warning"] in mail["headers"]]
    named = [ticket_id for mail in (*singles, again) for ticket_id in tickets_of(mail)]
    assert sorted(named) == sorted(str(notify.ticket_id) for notify in storm)
    items = [delivery for delivery in await running.deliveries(process) if delivery["in_digest"]]
    assert [(item["ambiguous"], item["attempts"], item["late"]) for item in items] == [(True, 2, False)] * 4
    assert await running.metric(process, "sla_mail_digests_total") == 1
    assert await running.metric(process, "sla_mail_digest_items_total") == len(items)


async def test_gauges_follow_directory_and_queue_and_a_broken_directory_changes_nothing(
    running: RunningNotifier,
) -> None:
    rotation, directory = running.folder / "desk.ics", running.folder / "directory.yaml"
    rotation.write_text(one_event("dana"))
    until = datetime.now(UTC) + timedelta(days=3)
    directory.write_text(ROTATING.format(until=until.isoformat()))
    process = await running.start()
    assert await running.on_call(process, LEAD) == "dana"
    rotation.write_text(one_event("kim"))
    await running.publish(due_now(role=NOBODYS, role_title="Chief Executive Officer"))

    async def watched() -> tuple[str | None, float, float]:
        gap = await running.metric(process, f'sla_directory_gap_seconds{{role="{NOBODYS}"}}')
        undelivered = await running.metric(process, 'sla_mail_undelivered{state="undeliverable"}')
        return await running.on_call(process, LEAD), gap, undelivered

    async def all_seen() -> bool:
        return await watched() == ("kim", 0, 1)

    await eventually(all_seen, watched)
    assert await running.metric(process, 'sla_emails_total{result="undeliverable"}') == 1
    gap = await running.metric(process, f'sla_directory_gap_seconds{{role="{MANAGER}"}}')
    assert timedelta(days=2) < timedelta(seconds=gap) <= timedelta(days=3)
    for role in (LEAD, MANAGER, NOBODYS, "it_operations_director", "account_manager", "chief_operating_officer"):
        is_held = await running.on_call(process, role) is not None
        assert await running.metric(process, f'sla_on_call{{role="{role}"}}') == is_held, role
    assert (await running.get(process, "/readyz")).json()["checks"]["directory_file"] == "ok"
    directory.write_text("people: [\n")
    ready = (await running.get(process, "/readyz")).json()
    assert ready["status"] == "ok"
    assert ready["checks"]["directory_file"].startswith("directory.yaml")
    assert await running.metric(process, "sla_directory_broken") == 1
    assert await running.on_call(process, LEAD) == "kim"


async def test_a_report_to_the_command_is_counted_by_the_running_service(running: RunningNotifier) -> None:
    process = await running.start()
    await running.settled(process, [])

    async def measured() -> bool:
        return 'sla_mail_queue{state="queued"} 0.0' in await running.metrics(process)

    await eventually(measured, "the gauges were measured")
    piped = (sys.executable, "-m", "notifier", "bounce", "-")
    command = await asyncio.create_subprocess_exec(*piped, env=running.settings, stdin=asyncio.subprocess.PIPE)
    await asyncio.wait_for(command.communicate(b"Subject: I am away\n\n"), 60)
    assert command.returncode == 0
    unreadable = 'sla_mail_reports_total{result="unreadable"}'

    async def counted() -> bool:
        return await running.metric(process, unreadable) == 1

    await eventually(counted, lambda: running.metric(process, unreadable))
    process = await running.start()
    await eventually(measured, "the gauges were measured")
    assert await running.metric(process, unreadable) == 0


async def test_invalid_settings_are_one_sentence_each() -> None:
    environment = {"TOCSIN_SMTP": "nowhere", "TOCSIN_DATABASE_URL": "mysql://x"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "notifier", env=environment, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await asyncio.wait_for(process.communicate(), timedelta(seconds=60).total_seconds())
    assert process.returncode == 2
    assert "TOCSIN_SMTP: must be HOST:PORT, for example 127.0.0.1:2525." in errors.decode()
