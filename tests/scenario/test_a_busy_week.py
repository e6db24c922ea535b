"""A week in which anything may happen to anybody: whatever it was, all who tell of it tell the same."""

from datetime import timedelta
from random import Random
from typing import Any

import pytest
from support.search_budget import tries
from support.story_world import World

HAPPENINGS = (
    "responded",
    "responded",
    "severity_changed",
    "paused",
    "resumed",
    "resolved",
    "reopened",
    "cancelled",
    "acknowledged",
    "escalated",
)
PASSES = tuple(timedelta(minutes=minutes) for minutes in (1, 45, 60, 90, 300, 900, 1440))


@pytest.mark.parametrize("seed", range(1, 1 + tries(1)))
async def test_a_busy_week(world: World, seed: int) -> None:
    dice = Random(seed)
    tickets = [await world.opens(dice.randint(1, 4), channel=dice.choice(("portal", "email"))) for _ in range(30)]
    punctual, belated = tickets[:20], tickets[20:]
    for _ in range(20):
        before = world.now
        await world.comes_to(before + dice.choice(PASSES))
        for ticket in dice.sample(punctual, 5):
            await world.happens(ticket, **happening(dice))
        for ticket in dice.sample(belated, 3):
            await world.happens(ticket, at=before + dice.random() * (world.now - before), **happening(dice))
    await world.reaches(world.now + timedelta(days=2))
    await world.told_alike(*punctual)
    await world.together(map(world.clocks, belated))


def happening(dice: Random) -> dict[str, Any]:
    kind = dice.choice(HAPPENINGS)
    return {"kind": kind} | ({"severity": dice.randint(1, 4)} if kind == "severity_changed" else {})
