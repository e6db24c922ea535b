"""`make demo`: a day in the life of a service desk, told as it happens, and checked against the rules."""

import asyncio
import secrets
import tempfile
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from sla_timer.domain.policy_history import PolicyHistory
from tocsin.runtime.process.clock import BusinessClock, FileClock, TimeSource
from tocsin_local.calls import Calls, stored_policies
from tocsin_local.clock import Asked, rendered
from tocsin_local.demo.checking import wrong
from tocsin_local.demo.day import Day, Played, findings
from tocsin_local.demo.screen import Screen
from tocsin_local.demo.stories import DAY, STORIES
from tocsin_local.idle import wait_idle
from tocsin_local.processes import free_offset
from tocsin_local.run import remove, tell
from tocsin_local.running import Run, run_of, started
from tocsin_local.stack import Plan, plan_from
from tocsin_local.terminal import console

MONDAY: Final = datetime(2026, 6, 8, 12, tzinfo=UTC)
MORNING: Final = timedelta(minutes=45)
MORNING_RATE: Final = 1200.0
DAY_RATE: Final = 3600.0
LONGEST_PLAY: Final = 75.0
SHORTEST_PLAY: Final = 15.0


def demo_from(environment: Mapping[str, str]) -> bool:
    """Plays the day on the stack that runs on this state, or on one of its own; whether all was as the rules say.

    Raises LocalError where the stack does not do its part.
    """
    plan = plan_from(environment)
    run = run_of(plan.state)
    if run is not None:
        return asyncio.run(_on_running(run))
    with tempfile.TemporaryDirectory(prefix="tocsin-demo-") as folder:
        return _on_own(plan, Path(folder))


def _on_own(plan: Plan, folder: Path) -> bool:
    """A stack for the demo alone. Its business time stands until the day begins, and goes slowly in the morning."""
    file = folder / "clock"
    file.write_text(f"2020-01-01T00:00:00Z {rendered(MONDAY)} 0\n")
    own = replace(
        plan,
        state=folder / "state",
        port_offset=free_offset(),
        clock=Asked(rendered(MONDAY), 1.0, None),
        durable=False,
        settings={**plan.settings, "TOCSIN_CLOCK_FILE": str(file)},
    )
    try:
        with started(own, tell) as stack:
            origin = datetime.now(UTC) + timedelta(seconds=0.2)
            noon = origin + MORNING / MORNING_RATE
            with file.open("a") as lines:
                lines.write(f"{rendered(origin)} {rendered(MONDAY)} {MORNING_RATE}\n")
                lines.write(f"{rendered(noon)} {rendered(MONDAY + MORNING)} {DAY_RATE}\n")
            return asyncio.run(demo(stack.run, FileClock(file), MONDAY, live=True))
    finally:
        remove(own.state)  # what PostgreSQL keeps may lie outside the folder


async def _on_running(run: Run) -> bool:
    """On somebody's stack: played where its business time runs fast, else told as what happened since yesterday."""
    given = run["clock"]
    epoch, origin = datetime.fromisoformat(given["epoch"]), datetime.fromisoformat(given["origin"])
    clock = BusinessClock(epoch, origin, given["rate"])
    live = SHORTEST_PLAY * clock.rate <= DAY.total_seconds() <= LONGEST_PLAY * clock.rate
    now = clock.now().replace(second=0, microsecond=0)
    return await demo(run, clock, now + timedelta(minutes=5) if live else now - DAY, live=live)


async def demo(run: Run, clock: TimeSource, begins: datetime, *, live: bool) -> bool:
    """The day that begins then, played as it happens (`live`) or told as past; whether all was as the rules say."""
    screen = Screen(console())
    _introduce(screen, begins, DAY_RATE if isinstance(clock, FileClock) else clock.rate, live=live)
    mark = f"DEMO-{secrets.token_hex(3)}"
    async with Calls(run) as calls:
        day = Day(run, calls, screen, clock, begins)
        with nullcontext() if live else screen.in_order():
            tickets = await (day.played(STORIES, mark) if live else day.told(STORIES, mark))
            await wait_idle(run, begins + DAY)
            await day.show_mails(tickets)
        await wait_idle(run, await day.closed(tickets) - timedelta(microseconds=1))
        await day.show_mails(tickets)
        return await _is_as_ruled(screen, run, calls, tickets)


async def _is_as_ruled(screen: Screen, run: Run, calls: Calls, tickets: list[Played]) -> bool:
    policies = await stored_policies(run)
    rows = []
    for ticket in tickets:
        found = await findings(run, calls, ticket)
        rules = PolicyHistory.of(policies, ticket.story.customer).latest_rules
        rows.append((ticket.story, found, list(wrong(found, rules))))
    screen.table(rows)
    for story, _, texts in rows:
        screen.wrong(story.title, texts)
    mails = sum(len(found.mails) for _, found, _ in rows)
    if any(texts for _, _, texts in rows):
        screen.verdict("Not everything is as the rules say: see above.", good=False)
        return False
    screen.verdict(
        f"All of it is as the rules say: {len(rows)} tickets, {mails} mails; clocks, ladders, deliveries, inbox.",
        good=True,
    )
    screen.says("Your own: make run, then post a ticket as it shows.")
    return True


def _introduce(screen: Screen, begins: datetime, rate: float, *, live: bool) -> None:
    if live:
        how = f"an hour passes in {3600 / rate:.2g} s; all is posted as it happens, and mailed when it is due"
    else:
        how = "the stack runs at its own pace, so the day is told as past: what was missed is mailed at once, late"
    screen.says("", f"A day at the service desk, from {begins:%A, %-d %B %Y, %H:%M} UTC:", f"{how}.", "")
