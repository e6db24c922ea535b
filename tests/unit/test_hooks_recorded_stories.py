"""The recorded story of each tool, delivered in every order and with repetitions: always the timeline of the tool's."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from itertools import permutations
from typing import Any

import pytest
from intake.domain.webhooks.adapters.registry import ADAPTERS
from intake.domain.webhooks.dry_run import DryRun
from support.stories import simulated_ticket
from support.webhook_recordings import PROVIDERS, recorded, shipped, story

RECEIVED = datetime(2026, 6, 12, tzinfo=UTC)
LIVE_SINCE = datetime(2026, 1, 1, tzinfo=UTC)
Told = dict[str, Any]


def taken_in(provider: str, deliveries: Sequence[bytes]) -> tuple[list[Told], tuple[str, ...]]:
    """The facts of the story's ticket once these were delivered, in this order, and its flags."""
    trial = DryRun(shipped(provider).model_copy(update={"live_since": LIVE_SINCE}), provider, RECEIVED)
    facts: list[Told] = []
    flags: tuple[str, ...] = ()
    for told in (one for body in deliveries for one in trial.deliver(body)):
        ticket = told.get("ticket", told)
        if ticket["external_id"] != _ticket(provider):
            continue
        if "ticket" in told:
            facts.append({**ticket, "type": "opened", "occurred_at": ticket["opened_at"]})
            flags = tuple(told["flags"])
        facts += told.get("events", ())
    return facts, flags


def timeline(facts: Sequence[Told]) -> Told:
    return simulated_ticket(facts, RECEIVED)


def happened(facts: Sequence[Told]) -> list[tuple[str, str, int | None]]:
    ordered = sorted(facts, key=lambda fact: datetime.fromisoformat(fact["occurred_at"]))
    return [(fact["type"], fact["occurred_at"][8:19], fact.get("severity")) for fact in ordered]


@cache
def _ticket(provider: str) -> str:
    integration = shipped(provider)
    (first,) = ADAPTERS[integration.adapter].read(story(provider)[0], integration).sightings
    return first.external_id


AS_TOLD = [
    ("opened", "08T12:00:07", 2),
    ("responded", "08T12:30:00", None),
    ("paused", "08T12:30:00", None),
    ("resumed", "08T13:00:00", None),
    ("severity_changed", "08T13:00:00", 1),
    ("resolved", "08T16:00:00", None),
]
"""The one story that was recorded of Zendesk and of Jira."""
STORIES = {
    "connectwise": [
        ("opened", "08T12:00:07", 2),
        ("responded", "08T12:41:30", None),
        ("severity_changed", "08T13:05:12", 1),
        ("paused", "08T15:20:00", None),
        ("resolved", "09T07:10:00", None),
    ],
    "autotask": [
        ("opened", "08T12:00:06", 3),
        ("responded", "08T12:52:39", None),
        # Two changes of one second, in the order of their numbers.
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
    "zendesk": AS_TOLD,
    "freshdesk": [
        ("opened", "08T12:00:07", 2),
        ("responded", "08T12:30:00", None),
        ("paused", "08T12:30:00", None),
        ("resolved", "08T16:00:00", None),
        ("severity_changed", "08T16:00:00", 1),
    ],
    "jira": AS_TOLD,
}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_story_as_it_was(provider: str) -> None:
    facts, _ = taken_in(provider, story(provider))
    assert happened(facts) == STORIES[provider]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_order_of_the_deliveries_ends_in_the_same_timeline(provider: str) -> None:
    deliveries = story(provider)
    expected, flags = timeline(taken_in(provider, deliveries)[0]), taken_in(provider, deliveries)[1]
    for order in permutations(deliveries):
        facts, others = taken_in(provider, order)
        assert timeline(facts) == expected
        assert set(flags) <= set(others) | {"default_severity"}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_repeated_deliveries_change_nothing(provider: str) -> None:
    deliveries = story(provider)
    expected = timeline(taken_in(provider, deliveries)[0])
    assert timeline(taken_in(provider, [one for one in deliveries for _ in range(3)])[0]) == expected
    assert timeline(taken_in(provider, [*deliveries, *deliveries])[0]) == expected
    assert timeline(taken_in(provider, [*reversed(deliveries), *deliveries])[0]) == expected


def test_what_a_tool_leaves_out_is_flagged() -> None:
    assert taken_in("connectwise", story("connectwise"))[1] == ("default_services",)
    assert set(taken_in("autotask", story("autotask"))[1]) == {"default_services", "default_contact"}
    assert taken_in("halopsa", story("halopsa"))[1] == ("default_services",)


def test_an_update_that_comes_before_the_creation_opens_no_ticket_of_an_age_that_nobody_knows() -> None:
    created, *updates = story("autotask")
    assert taken_in("autotask", updates)[0] == []
    assert happened(taken_in("autotask", [*updates, created])[0])[0] == ("opened", "08T12:00:06", 3)


def test_a_deleted_ticket_is_cancelled_where_it_was_open() -> None:
    facts, _ = taken_in("autotask", [story("autotask")[0], recorded("autotask", "other-delete")])
    assert happened(facts)[-1] == ("cancelled", "10T09:00:00", None)
