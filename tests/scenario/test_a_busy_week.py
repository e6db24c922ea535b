"""A week of random events on many tickets: whatever happens, APIs, mails and simulation agree."""

from datetime import timedelta
from random import Random
from typing import Any

import pytest
from support.scenario import Scenario
from support.search_budget import tries

EVENTS = (
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
STEPS = tuple(timedelta(minutes=minutes) for minutes in (1, 45, 60, 90, 300, 900, 1440))


@pytest.mark.parametrize("seed", range(1, 1 + tries(1)))
async def test_a_busy_week(scenario: Scenario, seed: int) -> None:
    random = Random(seed)
    tickets = [
        await scenario.open_ticket(random.randint(1, 4), channel=random.choice(("portal", "email"))) for _ in range(30)
    ]
    posted_at_once, posted_late = tickets[:20], tickets[20:]
    for _ in range(20):
        before = scenario.now
        await scenario.advance_to(before + random.choice(STEPS))
        events = [scenario.post_event(ticket, **random_event(random)) for ticket in random.sample(posted_at_once, 5)]
        for ticket in random.sample(posted_late, 3):
            at = before + random.random() * (scenario.now - before)
            events.append(scenario.post_event(ticket, at=at, **random_event(random)))
        await scenario.concurrently(events)
    await scenario.advance_past(scenario.now + timedelta(days=2))
    await scenario.assert_consistent(*posted_at_once)
    await scenario.concurrently(map(scenario.clocks, posted_late))


def random_event(random: Random) -> dict[str, Any]:
    kind = random.choice(EVENTS)
    return {"kind": kind} | ({"severity": random.randint(1, 4)} if kind == "severity_changed" else {})
