"""A sender of webhooks as a separate process, to be killed.

    python -m support.webhook_process DATABASE_URL FOLDER LEASE_SECONDS

`FOLDER` has the webhooks.yaml. It stops at TERM.
"""

import asyncio
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import Popen
from typing import Final

from board.sources.webhook_request import WebhookClient
from board.sources.webhooks_file import WebhooksFile
from board.workers.webhook_sender import WebhookSender
from tocsin.runtime.database.engine import engine
from tocsin.runtime.process.clock import BusinessClock

from support.calendar_feed import LOOPBACK
from support.deadline_events import START

TESTS: Final = Path(__file__).parents[1]


@contextmanager
def sender_process(url: str, folder: Path, *, lease: float) -> Iterator[Popen[bytes]]:
    """Starts the process; kills it at the end."""
    process = Popen((sys.executable, "-m", "support.webhook_process", url, str(folder), str(lease)), cwd=TESTS)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def main(url: str, folder: str, lease: str) -> None:
    source = engine(url, "board-writer")
    file = WebhooksFile(Path(folder) / "webhooks.yaml")
    clock = BusinessClock(START, datetime.now(UTC), 1)
    sender = WebhookSender(source, file, clock, WebhookClient(LOOPBACK), lease=timedelta(seconds=float(lease)))
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    await sender.run(stopping)
    await source.dispose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
