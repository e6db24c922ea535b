"""The recorded story of each tool as a dry run: the facts, and the same timeline in another order."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from random import Random
from typing import Any

import pytest
from intake.domain.webhooks.adapters.registry import ADAPTERS
from intake.domain.webhooks.dry_run import DryRun, Result
from support.stories import simulated_ticket
from support.webhook_recordings import PROVIDERS, recorded, shipped, story

RECEIVED = datetime(2026, 6, 12, tzinfo=UTC)
LIVE_SINCE = datetime(2026, 1, 1, tzinfo=UTC)


def deliver(provider: str, deliveries: Sequence[bytes]) -> tuple[list[Result], set[str]]:
    """The facts of the story's ticket after these deliveries, and its flags."""
    dry_run = DryRun(shipped(provider).model_copy(update={"live_since": LIVE_SINCE}), provider, RECEIVED)
    facts: list[Result] = []
    flags: set[str] = set()
    for result in (each for body in deliveries for each in dry_run.deliver(body)):
        ticket = result.get("ticket", result)
        if ticket["external_id"] != external_id(provider):
            continue
        if "ticket" in result:
            facts.append({**ticket, "type": "opened", "occurred_at": ticket["opened_at"]})
            flags = set(result["flags"])
        facts += result.get("events", ())
    return facts, flags


@cache
def external_id(provider: str) -> str:
    integration = shipped(provider)
    (first,) = ADAPTERS[integration.adapter].read(story(provider)[0], integration).snapshots
    return first.external_id


def timeline(facts: Sequence[Result]) -> dict[str, Any]:
    return simulated_ticket(facts, RECEIVED)


def summary(facts: Sequence[Result]) -> list[tuple[str, str, int | None]]:
    ordered = sorted(facts, key=lambda fact: datetime.fromisoformat(fact["occurred_at"]))
    return [(fact["type"], fact["occurred_at"][8:19], fact.get("severity")) for fact in ordered]


SHARED = [
    ("opened", "08T12:00:07", 2),
    ("responded", "08T12:30:00", None),
    ("paused", "08T12:30:00", None),
    ("resumed", "08T13:00:00", None),
    ("severity_changed", "08T13:00:00", 1),
    ("resolved", "08T16:00:00", None),
]
"""The same story was recorded for Zendesk and for Jira."""
STORIES = {
    "connectwise": [
        ("opened", "08T12:00:07", 2),
        ("responded", "08T12:41:30", None),
        ("assigned", "08T12:41:31", None),
        ("severity_changed", "08T13:05:12", 1),
        ("paused", "08T15:20:00", None),
        ("resolved", "09T07:10:00", None),
    ],
    "autotask": [
        ("opened", "08T12:00:06", 3),
        ("responded", "08T12:52:39", None),
        # Two changes in one second, in the order of their sequence numbers.
        ("severity_changed", "08T14:00:00", 2),
        ("paused", "08T14:00:00", None),
        ("resolved", "09T08:30:00", None),
    ],
    "halopsa": [
        ("opened", "08T13:00:07", 3),
        ("responded", "08T13:24:10", None),
        ("severity_changed", "08T14:10:00", 2),
        ("paused", "08T15:45:00", None),
        ("resolved", "09T10:05:00", None),
    ],
    "zendesk": SHARED,
    "freshdesk": [
        ("opened", "08T12:00:07", 2),
        ("responded", "08T12:30:00", None),
        ("paused", "08T12:30:00", None),
        ("resolved", "08T16:00:00", None),
        ("severity_changed", "08T16:00:00", 1),
    ],
    "jira": SHARED,
}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_recorded_story(provider: str) -> None:
    facts, _ = deliver(provider, story(provider))
    assert summary(facts) == STORIES[provider]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_another_order_with_repetitions_leads_to_the_same_timeline(provider: str) -> None:
    random, recording = Random(provider), story(provider)
    facts, flags = deliver(provider, recording)
    mixed = [*recording, *random.choices(recording, k=3)]
    random.shuffle(mixed)
    for order in (recording[::-1], mixed):
        others, other_flags = deliver(provider, order)
        assert timeline(others) == timeline(facts)
        assert flags <= other_flags | {"default_severity"}


def test_defaults_are_flagged() -> None:
    assert deliver("connectwise", story("connectwise"))[1] == {"default_services"}
    assert deliver("autotask", story("autotask"))[1] == {"default_services", "default_contact"}
    assert deliver("halopsa", story("halopsa"))[1] == {"default_services"}


def test_updates_before_the_creation_open_no_ticket() -> None:
    created, *updates = story("autotask")
    assert deliver("autotask", updates)[0] == []
    assert summary(deliver("autotask", [*updates, created])[0])[0] == ("opened", "08T12:00:06", 3)


def test_a_deletion_cancels_an_open_ticket() -> None:
    facts, _ = deliver("autotask", [story("autotask")[0], recorded("autotask", "other-delete")])
    assert summary(facts)[-1] == ("cancelled", "10T09:00:00", None)
