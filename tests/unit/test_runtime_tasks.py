"""Tasks that end even where something swallows their cancellation."""

import asyncio

from tocsin.runtime.process.tasks import cancel_all


async def test_a_task_that_takes_its_cancellation_for_a_failure_is_cancelled_again() -> None:
    swallowed = 0

    async def retry_for_ever() -> None:
        nonlocal swallowed
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                swallowed += 1
                if swallowed > 1:
                    raise

    async def fail() -> None:
        raise OSError

    stubborn, failing = asyncio.create_task(retry_for_ever()), asyncio.create_task(fail())
    await asyncio.sleep(0)
    await cancel_all([stubborn, failing])
    assert (stubborn.cancelled(), failing.done(), swallowed) == (True, True, 2)
