"""A consumer of the tickets topic as a process of its own, to be killed or suspended.

    python -m support.consumer_process DATABASE_URL BOOTSTRAP

It stores the events in the table `seen`, where an event that is handled twice is an error, and stops at TERM.
"""

import asyncio
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.runtime.database.engine import engine
from tocsin.runtime.kafka.client import TICKETS_TOPIC
from tocsin.runtime.kafka.consumer import Consumer
from tocsin.runtime.kafka.records import Received

from support.runtime_world import DEAD_LETTERS, OFFSETS, SEEN, number_of

TESTS: Final = Path(__file__).parents[1]
BATCH_SECONDS: Final = 0.05
"""How long a transaction stays open, so that a signal usually meets one."""


@contextmanager
def consumer_process(url: str, bootstrap: str) -> Iterator[Popen[bytes]]:
    """Starts the process; kills it at the end."""
    process = Popen((sys.executable, "-m", "support.consumer_process", url, bootstrap), cwd=TESTS)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def _on_batch(connection: AsyncConnection, batch: Sequence[Received]) -> None:
    await connection.execute(
        SEEN.insert(), [{"ticket": r.event.ticket_id, "number": number_of(r.event)} for r in batch]
    )
    await asyncio.sleep(BATCH_SECONDS)


async def _consume(url: str, bootstrap: str) -> None:
    writer, leases = engine(url, "reader-writer"), engine(url, "reader-lease", pool_size=1, statement_seconds=5)
    consumer = Consumer(
        bootstrap=bootstrap,
        topic=TICKETS_TOPIC,
        group="reader",
        engine=writer,
        lease_engine=leases,
        offsets=OFFSETS,
        dead_letters=DEAD_LETTERS,
        on_batch=_on_batch,
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, consumer.stop)
    await consumer.run()


if __name__ == "__main__":
    asyncio.run(_consume(*sys.argv[1:]))
