"""The demo's day on the stack of the stories: told as past where time stands, and played where it runs."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.movable_stack import MovableStack
from support.scenario import Scenario
from tocsin.runtime.process.clock import BusinessClock, FileClock
from tocsin_local.demo.run import demo
from tocsin_local.demo.stories import DAY, STORIES

HOUR_A_SECOND = 3600


async def test_the_day_is_told_as_past(
    scenario: Scenario, movable_stack: MovableStack, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = BusinessClock(scenario.now, datetime.now(UTC), 0.0)
    good = await demo(movable_stack.stack.run, clock, scenario.now - DAY - timedelta(minutes=1), live=False)
    printed = capsys.readouterr().out
    assert good, printed
    assert all(f"{story.title}, S{story.severity}" in printed for story in STORIES)
    assert "tier 6, no response, late" in printed


async def test_the_day_is_played_as_it_happens(
    scenario: Scenario, movable_stack: MovableStack, capsys: pytest.CaptureFixture[str]
) -> None:
    await scenario.run_clock(HOUR_A_SECOND)
    clock = FileClock(Path(movable_stack.stack.plan.settings["TOCSIN_CLOCK_FILE"]))
    good = await demo(movable_stack.stack.run, clock, clock.now() + timedelta(minutes=5), live=True)
    printed = capsys.readouterr().out
    assert good, printed
    assert re.findall(r"Mail is down .* tier (\d), no response", printed) == ["1", "2", "3", "4", "5", "6"]
    assert ", late" not in printed
