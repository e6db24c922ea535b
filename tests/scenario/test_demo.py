"""The demo's day on the scenarios' stack: posted as past while time stands, and played live while it runs."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console
from support.movable_stack import MovableStack
from support.scenario import Scenario
from support.stories import shipped_policy
from tocsin.runtime.process.clock import BusinessClock, FileClock
from tocsin_tools.demo import run
from tocsin_tools.demo.tickets import DAY, TICKETS

TWO_HOURS_PER_SECOND = 7200


@pytest.fixture(autouse=True)
def quick_wait(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scenario's wait is exact; the demo's takes 6 s, because it sees the gauges only."""
    monkeypatch.setattr(run, "wait_until_idle", lambda _client: scenario.wait_until_idle())


async def test_the_day_is_posted_as_past(scenario: Scenario, movable_stack: MovableStack) -> None:
    console = Console(record=True, width=160)
    clock = BusinessClock(scenario.now, datetime.now(UTC), 0.0)
    begins = scenario.now - DAY - timedelta(minutes=1)
    good = await run.play(movable_stack.stack.run, shipped_policy(), clock, begins, console, live=False)
    printed = console.export_text()
    assert good, printed
    assert all(f"{ticket.title}, S{ticket.severity}" in printed for ticket in TICKETS)
    assert "tier 6, no response, late" in printed


async def test_the_day_is_played_live(scenario: Scenario, movable_stack: MovableStack) -> None:
    console = Console(record=True, width=160)
    await scenario.run_clock(TWO_HOURS_PER_SECOND)
    clock = FileClock(movable_stack.clock_file)
    begins = clock.now() + timedelta(minutes=5)
    good = await run.play(movable_stack.stack.run, shipped_policy(), clock, begins, console, live=True)
    printed = console.export_text()
    assert good, printed
    assert re.findall(r"Mail is down .* tier (\d), no response", printed) == ["1", "2", "3", "4", "5", "6"]
    assert ", late" not in printed
