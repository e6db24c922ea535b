"""How fast the notifier sends mails: in a burst, at 50 a second and alone, beside a bare loop of aiosmtplib.

    PYTHONPATH=tests python -m bench.notifier [--quick] [--profile FILE]

PostgreSQL (durable) and the sink run as separate processes; events are handed over as by the consumer. The bare loop
sends the same messages, composed before, to the same sink, with the same connections and mails per connection.
"""

import asyncio
import cProfile
import logging
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from pathlib import Path
from typing import Annotated, Any, Final
from uuid import uuid4

import structlog
import typer
from aiosmtplib import SMTP
from support.notifier_events import escalation, ticket
from support.notifier_world import NotifierWorld, make_world
from support.servers import SharedSink, private_database, running
from tocsin.events import Notify
from tocsin_local.loopback import free_port
from tocsin_local.smtp import SmtpSink

from bench.figures import FULL, QUICK, Effort, Figure, show

CONNECTIONS: Final = 16
MAILS_A_CONNECTION: Final = 20
MAILS: Final = 1000
SINGLES: Final = 30
STEADY_RATE: Final = 50
AS_SHIPPED: dict[str, Any] = {"retry_base": 1, "smtp_timeout": 20, "smtp_data_timeout": 60, "lease_seconds": 15}
AS_SHIPPED["smtp_concurrency"] = CONNECTIONS


@dataclass
class Rounds:
    """The values of each round."""

    burst: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    bare_cpu: list[float] = field(default_factory=list)
    single: list[float] = field(default_factory=list)
    steady: list[list[float]] = field(default_factory=list)


def measure(effort: Effort, profile: Path | None = None) -> list[Figure]:
    """Mails a second in a burst, CPU time, and latencies from an event to its mail in the sink."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with _servers() as (url, sink, folder):
        rounds = asyncio.run(_measure(url, sink, folder, effort, profile))
    return [
        Figure("mail", "1/s", tuple(rounds.burst), {"bare loop": tuple(rounds.bare)}, more_is_better=True),
        Figure("mail, CPU a mail", "ms CPU", tuple(rounds.cpu), {"bare loop": tuple(rounds.bare_cpu)}),
        Figure("mail alone, p50", "ms", tuple(rounds.single)),
        Figure("mail at 50/s, p50", "ms", tuple(_percentile(taken, 50) for taken in rounds.steady)),
        Figure("mail at 50/s, p99", "ms", tuple(_percentile(taken, 99) for taken in rounds.steady)),
    ]


async def _measure(url: str, sink: SharedSink, folder: Path, effort: Effort, profile: Path | None) -> Rounds:
    rounds, mails = Rounds(), effort.sized(MAILS, 50)
    async with make_world(url, sink, folder, datetime.now(UTC), **AS_SHIPPED) as world:
        await _burst(world, _notifies(50))  # warm up: prepared statements, compiled templates
        for _ in range(effort.rounds):
            sink.clear()
            rounds.single.append(_percentile(await _singles(world, effort.sized(SINGLES, 5)), 50))
            sink.clear()
            rounds.steady.append(await _steady(world, effort.sized(500, 50)))
            sink.clear()
            notifies, profiler, cpu = _notifies(mails), cProfile.Profile(), time.process_time()
            if profile:
                profiler.enable()
            rounds.burst.append(mails / await _burst(world, notifies))
            if profile:
                profiler.disable()
                profiler.dump_stats(profile)
            rounds.cpu.append(1000 * (time.process_time() - cpu) / mails)
            taken = [_raw(mail) for mail in sink.messages()]
            assert len(taken) == mails
            sink.clear()
            cpu = time.process_time()
            rounds.bare.append(mails / await _bare(sink, taken))
            rounds.bare_cpu.append(1000 * (time.process_time() - cpu) / mails)
    return rounds


async def _burst(world: NotifierWorld, notifies: Sequence[Notify]) -> float:
    """Seconds from the first event to the last recorded result."""
    begun = time.perf_counter()
    async with world.notifier():
        for start in range(0, len(notifies), 250):
            await world.receive(*notifies[start : start + 250])
        await world.quiet(seconds=300, every=0.1)
    return time.perf_counter() - begun


async def _singles(world: NotifierWorld, count: int) -> list[float]:
    """Milliseconds from an event to its mail in the sink, one after the other."""
    begun: dict[str, datetime] = {}
    async with world.notifier():
        for [notify] in (_notifies(1) for _ in range(count)):
            begun[str(notify.ticket_id)] = datetime.now(UTC)
            await world.receive(notify)
            await world.quiet()
    return _latencies(world, begun)


async def _steady(world: NotifierWorld, count: int) -> list[float]:
    """Milliseconds from an event to its mail in the sink, at a steady rate."""
    begun: dict[str, datetime] = {}
    async with world.notifier(), asyncio.TaskGroup() as arriving:
        start = time.perf_counter()
        for number, notify in enumerate(_notifies(count)):
            await asyncio.sleep(start + number / STEADY_RATE - time.perf_counter())
            begun[str(notify.ticket_id)] = datetime.now(UTC)
            arriving.create_task(world.receive(notify))
        await world.quiet(seconds=300, every=0.1)
    return _latencies(world, begun)


def _latencies(world: NotifierWorld, begun: dict[str, datetime]) -> list[float]:
    return [
        (datetime.fromisoformat(mail["received_at"]) - begun[dict(mail["headers"])["Tocsin-Ticket"]])
        / timedelta(milliseconds=1)
        for mail in world.sink.messages()
    ]


async def _bare(sink: SharedSink, messages: Sequence[bytes]) -> float:
    """Seconds that aiosmtplib alone takes for these messages."""
    waiting = list(messages)
    host, _, port = sink.address.rpartition(":")

    async def connection() -> None:
        while waiting:
            batch = [waiting.pop() for _ in range(min(MAILS_A_CONNECTION, len(waiting)))]
            async with SMTP(hostname=host, port=int(port), start_tls=False) as client:
                for raw in batch:
                    await client.mail("tocsin@example.org")
                    await client.rcpt("dana@example.com")
                    await client.data(raw)

    begun = time.perf_counter()
    await asyncio.gather(*(connection() for _ in range(CONNECTIONS)))
    return time.perf_counter() - begun


def _percentile(values: Sequence[float], percent: int) -> float:
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)]


def _notifies(count: int) -> list[Notify]:
    now = datetime.now(UTC)
    return [escalation(ticket(ticket_id=uuid4()), event_id=uuid4(), at=now, due_at=now) for _ in range(count)]


def _raw(mail: dict[str, Any]) -> bytes:
    """The message in the sink again, with the same parts: the sink takes half as long for one without parts."""
    message = EmailMessage(policy=SMTP_POLICY)
    for name, value in mail["headers"]:
        if name not in ("MIME-Version", "Content-Type"):
            message[name] = value
    message.set_content(mail["text"], cte="quoted-printable")
    message.add_alternative(mail["html"], subtype="html", cte="quoted-printable")
    return message.as_bytes()


@contextmanager
def _servers() -> Iterator[tuple[str, SharedSink, Path]]:
    """The URL of a notifier's empty database, a sink and a folder; all are removed afterwards."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        sink = SmtpSink(folder / "smtp", free_port(), free_port())
        with private_database("notifier", folder, durable=True) as (_, url), running(sink, folder):
            yield url, SharedSink(sink.address, sink.inbox), folder


def main(
    *, quick: Annotated[bool, typer.Option()] = False, profile: Annotated[Path | None, typer.Option()] = None
) -> None:
    show(measure(QUICK if quick else FULL, profile))


if __name__ == "__main__":
    typer.run(main)
