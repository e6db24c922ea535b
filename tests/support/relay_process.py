"""A relay in a process of its own, for tests that suspend it: python -m support.relay_process DATABASE_URL KAFKA."""

import asyncio
import sys

from tocsin.runtime.database.engine import engine
from tocsin.runtime.kafka.relay import Relay

from support.runtime_world import DEAD_LETTERS, OUTBOX

LEASE_SECONDS = 0.9


async def main(url: str, bootstrap: str) -> None:
    relay = Relay(
        engine(url, "intake-relay"), bootstrap, OUTBOX, DEAD_LETTERS, interval=0.05, lease_seconds=LEASE_SECONDS
    )
    await relay.run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
