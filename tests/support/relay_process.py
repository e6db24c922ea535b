"""A relay in a process of its own, for tests that suspend it: python -m support.relay_process DATABASE_URL KAFKA."""

import asyncio
import sys

from tocsin.runtime.database.engine import engine
from tocsin.runtime.kafka.relay import Relay

from support.runtime_world import DEAD_LETTERS, OUTBOX


async def main(url: str, bootstrap: str) -> None:
    await Relay(engine(url, "intake-relay"), bootstrap, OUTBOX, DEAD_LETTERS, interval=0.05).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
