"""How fast the notifier sends mails: in a burst and one at a time, beside a bare loop of aiosmtplib in the same run.

    PYTHONPATH=tests python -m bench.notifier [--mails 1000] [--profile FILE]

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
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import structlog
import typer
from aiosmtplib import SMTP
from support.notifier_events import escalation, ticket
from support.notifier_world import NotifierWorld, make_world
from support.servers import SharedSink, log_line, private_database, running
from tocsin.events import Notify
from tocsin_local.loopback import free_port
from tocsin_local.smtp import SmtpSink

CONNECTIONS = 16
MAILS_A_CONNECTION = 20
SINGLES = 30
AS_SHIPPED: dict[str, Any] = {"retry_base": 1, "smtp_timeout": 20, "smtp_data_timeout": 60, "lease_seconds": 15}
AS_SHIPPED["smtp_concurrency"] = CONNECTIONS


def main(mails: Annotated[int, typer.Option()] = 1000, profile: Annotated[Path | None, typer.Option()] = None) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with _servers() as (url, sink, folder):
        asyncio.run(_measure(url, sink, folder, mails, profile))


async def _measure(url: str, sink: SharedSink, folder: Path, mails: int, profile: Path | None) -> None:
    async with make_world(url, sink, folder, datetime.now(UTC), **AS_SHIPPED) as world:
        await _burst(world, _notifies(50))  # warm up: prepared statements, compiled templates
        sink.clear()
        single = await _singles(world)
        sink.clear()
        notifies = _notifies(mails)
        cpu = time.process_time()
        profiler = cProfile.Profile()
        if profile:
            profiler.enable()
        seconds = await _burst(world, notifies)
        if profile:
            profiler.disable()
            profiler.dump_stats(profile)
        cpu = time.process_time() - cpu
        taken = sink.messages()
        assert len(taken) == len({dict(mail["headers"])["Message-ID"] for mail in taken}) == mails
        log_line(f"burst      {mails / seconds:7.0f} mails/s   {1000 * cpu / mails:5.1f} ms CPU of the notifier a mail")
        log_line(f"single     {single[len(single) // 2]:7.0f} ms median, {single[-1]:.0f} ms worst of {len(single)}")
        sink.clear()
        bare = mails / await _bare(sink, [_raw(mail) for mail in taken])
        log_line(f"bare loop  {bare:7.0f} mails/s   the notifier's burst is {mails / seconds / bare:.2f} of it")


async def _burst(world: NotifierWorld, notifies: Sequence[Notify]) -> float:
    """Seconds from the first event to the last recorded result."""
    begun = time.perf_counter()
    async with world.notifier():
        for start in range(0, len(notifies), 250):
            await world.receive(*notifies[start : start + 250])
        await world.quiet(seconds=300, every=0.1)
    return time.perf_counter() - begun


async def _singles(world: NotifierWorld) -> list[float]:
    """Milliseconds from an event to its mail in the sink, one after the other, sorted."""
    begun: dict[str, datetime] = {}
    async with world.notifier():
        for [notify] in (_notifies(1) for _ in range(SINGLES)):
            begun[str(notify.ticket_id)] = datetime.now(UTC)
            await world.receive(notify)
            await world.quiet()
    return sorted(
        (datetime.fromisoformat(mail["received_at"]) - begun[dict(mail["headers"])["Tocsin-Ticket"]])
        / timedelta(milliseconds=1)
        for mail in world.sink.messages()
    )


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


def _notifies(count: int) -> list[Notify]:
    now = datetime.now(UTC)
    return [escalation(ticket(ticket_id=uuid4()), event_id=uuid4(), at=now, due_at=now) for _ in range(count)]


def _raw(mail: dict[str, Any]) -> bytes:
    """A message as large as the one in the sink."""
    head = "".join(f"{name}: {value}\r\n" for name, value in mail["headers"])
    return f"{head}\r\n{mail['text']}\r\n{mail['html']}".encode("ascii", "replace")


@contextmanager
def _servers() -> Iterator[tuple[str, SharedSink, Path]]:
    """The URL of a notifier's empty database, a sink and a folder; all are removed afterwards."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        sink = SmtpSink(folder / "smtp", free_port(), free_port())
        with private_database("notifier", folder, durable=True) as (_, url), running(sink, folder):
            yield url, SharedSink(sink.address, sink.inbox), folder


if __name__ == "__main__":
    typer.run(main)
