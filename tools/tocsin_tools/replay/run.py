"""`make replay`: a real log through the whole pipeline as history, and every ticket compared with the pure function."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from tocsin_local.calls import Calls, stored_policies
from tocsin_local.errors import LocalError
from tocsin_local.idle import wait_idle
from tocsin_local.replay import checking
from tocsin_local.replay.log import Log, NoLogError, read_log
from tocsin_local.replay.posting import Posted, post_history
from tocsin_local.replay.report import Outcome, show
from tocsin_local.run import tell
from tocsin_local.running import Run, run_of, started
from tocsin_local.stack import plan_from
from tocsin_local.terminal import console, progress


def replay_from(file: Path, environment: Mapping[str, str]) -> bool:
    """Replays the file on the stack that runs on this state, or on one started there for it; whether all was well.

    Raises LocalError for a file that is no log, and where the stack does not do its part.
    """
    log = read_file(file)
    plan = plan_from(environment)
    run = run_of(plan.state)
    if run is not None:
        return asyncio.run(replay(log, run))
    with started(plan, tell) as stack:
        return asyncio.run(replay(log, stack.run))


async def replay(log: Log, run: Run) -> bool:
    """The same on a running stack."""
    async with Calls(run) as calls:
        before, _ = await checking.mails_for_history(calls, ())
        began = time.monotonic()
        with progress(f"posting {log.rows:,} events", log.rows - len(log.bad)) as advance:
            taken = await post_history(calls, log.tickets, advance)
        posting_seconds = time.monotonic() - began
        await _quiet(run, taken.posted)
        seconds = time.monotonic() - began
        comparison = checking.Comparison(await stored_policies(run))
        with progress(f"comparing {len(taken.posted):,} tickets with the pure function", len(taken.posted)) as advance:
            await comparison.compare(calls, taken.posted, advance)
        customers = {posted.ticket.body["customer"]["id"] for posted in taken.posted}
        compliance = await checking.compliance_of(calls, customers)
        after, for_history = await checking.mails_for_history(calls, taken.posted)
    outcome = Outcome(
        log=log,
        taken=taken,
        seconds=seconds,
        posting_seconds=posting_seconds,
        compliance=compliance,
        differing=comparison.differing,
        miscounted=checking.missing_outcomes(comparison.outcomes, compliance),
        deliveries=(before, after),
        mails_for_history=for_history,
    )
    show(console(), outcome)
    return outcome.good


def read_file(file: Path) -> Log:
    """Raises LocalError where there is no file, or one that is no log."""
    try:
        with file.open(encoding="utf-8-sig", errors="replace", newline="") as lines:
            return read_log(lines)
    except OSError as error:
        raise LocalError(f"{file} cannot be read: {error.strerror}.") from error
    except NoLogError as error:
        raise LocalError(f"{file} is no help-desk log: {error}.") from error


async def _quiet(run: Run, posted: Sequence[Posted]) -> None:
    """Waits until nothing of what was posted is on its way any more."""
    if not posted:
        return
    last_receipt = max(datetime.fromisoformat(ticket.answer["received_at"]) for ticket in posted)
    through = last_receipt - timedelta(microseconds=1)  # on a clock that stands still, progress gets no further
    with progress("waiting until the pipeline is quiet", 1) as advance:
        await wait_idle(run, through)
        advance(1)
