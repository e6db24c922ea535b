"""Waiting until the pipeline of a running stack is quiet."""

import asyncio
import time
from datetime import datetime
from typing import Final

from tocsin_local.errors import LocalError
from tocsin_local.idle import Pipeline
from tocsin_local.running import Run

STALLED_SECONDS: Final = 180.0
LOOK_SECONDS: Final = 0.1


async def settled(run: Run, through: datetime) -> None:
    """Returns when nothing is on its way any more of what was received and fell due by the business instant `through`.

    Raises LocalError when it gets no further for three minutes.
    """
    async with Pipeline(run) as pipeline:
        seen, since = await pipeline.busy(through), time.monotonic()
        while seen:
            await asyncio.sleep(LOOK_SECONDS)
            now = await pipeline.busy(through)
            if now != seen:
                seen, since = now, time.monotonic()
            elif time.monotonic() - since > STALLED_SECONDS:
                raise LocalError(f"the pipeline does not become quiet: {'; '.join(seen.what)}.")
