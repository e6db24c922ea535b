"""`make demo`: plays a day of a service desk and checks it against the rules."""

import asyncio
import secrets
import sys
import tempfile
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from tocsin.instants import render_instant
from tocsin.policy import Policy
from tocsin.runtime.process.clock import BusinessClock, FileClock, TimeSource
from tocsin.sources.policy_file import read_policy
from tocsin_local.clock import RequestedClock
from tocsin_local.loopback import free_port_offset
from tocsin_local.run import print_progress, remove_state, running_stack
from tocsin_local.services import BOARD
from tocsin_local.stack import StackOptions, options_from
from tocsin_local.state import StateFolder

from tocsin_tools.client import StackClient
from tocsin_tools.demo.check import find_deviations
from tocsin_tools.demo.day import DemoDay, collect_evidence
from tocsin_tools.demo.screen import Screen
from tocsin_tools.demo.tickets import DAY, TICKETS
from tocsin_tools.errors import PolicyMismatchError
from tocsin_tools.idle import wait_until_idle

MONDAY: Final = datetime(2026, 6, 8, 12, tzinfo=UTC)
MORNING: Final = timedelta(minutes=45)
MORNING_RATE: Final = 1200.0
DAY_RATE: Final = 3600.0
MAX_LIVE_SECONDS: Final = 75.0
MIN_LIVE_SECONDS: Final = 15.0


def run_demo(environment: Mapping[str, str], console: Console) -> bool:
    """Play the day on the stack that runs on the environment's state, or on a temporary one.

    Returns whether everything was as the rules say. Raises LocalError or ToolError if the stack does not work.
    """
    options = options_from(environment)
    policy = read_policy(options.policy)
    run = StateFolder(options.state).read_run()
    if run is not None:
        return asyncio.run(_play_on_running(run, policy, console))
    with tempfile.TemporaryDirectory(prefix="tocsin-demo-") as folder:
        return _play_on_temporary(options, policy, Path(folder), console)


def _play_on_temporary(options: StackOptions, policy: Policy, folder: Path, console: Console) -> bool:
    """Business time stands until the stack is ready, and runs slowly in the morning, in which most events happen.

    At a terminal the stack runs until Enter is pressed, so that its pages can be looked at.
    """
    clock_file = folder / "clock"
    clock_file.write_text(f"2020-01-01T00:00:00Z {render_instant(MONDAY)} 0\n")
    temporary = replace(
        options,
        state=folder / "state",
        port_offset=free_port_offset(),
        clock=RequestedClock(epoch=render_instant(MONDAY)),
        durable=False,
        settings={**options.settings, "TOCSIN_CLOCK_FILE": str(clock_file)},
    )
    try:
        with running_stack(temporary, print_progress) as stack:
            origin = datetime.now(UTC) + timedelta(seconds=0.2)
            noon = origin + MORNING / MORNING_RATE
            with clock_file.open("a") as lines:
                lines.write(f"{render_instant(origin)} {render_instant(MONDAY)} {MORNING_RATE}\n")
                lines.write(f"{render_instant(noon)} {render_instant(MONDAY + MORNING)} {DAY_RATE}\n")
            _introduce(console, MONDAY, DAY_RATE)
            good = asyncio.run(play(stack.run, policy, FileClock(clock_file), MONDAY, console, live=True))
            if console.is_terminal and sys.stdin.isatty():
                console.input("The stack runs until you press Enter. ")
            return good
    finally:
        remove_state(temporary.state)  # PostgreSQL's data can lie outside the folder


async def _play_on_running(run: Mapping[str, Any], policy: Policy, console: Console) -> bool:
    """Live if the stack's business time runs fast enough, otherwise as a day that ends now."""
    clock = BusinessClock(
        epoch=datetime.fromisoformat(run["clock"]["epoch"]),
        origin=datetime.fromisoformat(run["clock"]["origin"]),
        rate=run["clock"]["rate"],
    )
    live = MIN_LIVE_SECONDS * clock.rate <= DAY.total_seconds() <= MAX_LIVE_SECONDS * clock.rate
    now = clock.now().replace(second=0, microsecond=0)
    begins = now + timedelta(minutes=5) if live else now - DAY
    _introduce(console, begins, clock.rate if live else None)
    return await play(run, policy, clock, begins, console, live=live)


async def play(
    run: Mapping[str, Any], policy: Policy, clock: TimeSource, begins: datetime, console: Console, *, live: bool
) -> bool:
    """Play the day that begins then, live or as a day in the past; whether everything was as the rules say."""
    screen = Screen(console)
    async with StackClient(run) as client:
        day = DemoDay(client, screen, clock, begins, TICKETS, f"DEMO-{secrets.token_hex(3)}")
        with nullcontext() if live else screen.sorted_by_time():
            await (day.play_live() if live else day.post_past())
            await wait_until_idle(client)
            await day.show_mails()
        await day.close()
        await wait_until_idle(client)
        await day.show_mails()
        good = await _check(client, screen, policy, day)
    if client.has_board:
        story = day.tickets[0]
        screen.link(story.ticket.title, f"{run['urls'][BOARD]}/tickets/{story.id}", run["api_key"])
    return good


async def _check(client: StackClient, screen: Screen, policy: Policy, day: DemoDay) -> bool:
    results = []
    for played in day.tickets:
        evidence = await collect_evidence(client, played)
        if evidence.clocks["policy_version"] != policy.version:
            raise PolicyMismatchError(
                f"the stack evaluates by policy {evidence.clocks['policy_version']}, the policy file has version "
                f"{policy.version}: set TOCSIN_POLICY to the stack's policy."
            )
        deviations = list(find_deviations(evidence, policy.rules(played.ticket.customer)))
        results.append((played.ticket, evidence, deviations))
    screen.show_results(results)
    return not any(deviations for _, _, deviations in results)


def _introduce(console: Console, begins: datetime, rate: float | None) -> None:
    """Print what follows; `rate` is None for a day in the past."""
    if rate is not None:
        how = f"One hour passes in {3600 / rate:.2g} s. Everything is posted as it happens, and mailed when it is due."
    else:
        how = "Business time runs too slowly to watch: the day is posted as past, and its mails are sent late."
    console.print(f"\nA day at the service desk, from {begins:%A, %-d %B %Y, %H:%M} UTC.\n{how}\n", highlight=False)
