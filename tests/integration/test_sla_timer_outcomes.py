"""The timer's API for reports on a real database: decided clocks one by one, and terms."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sla_timer.api.outcome_list import LEDGER_LIMIT
from sla_timer.api.outcome_schemas import OutcomeListResponse
from support.fake_timer import moment, numbered_fact
from support.random_stories import random_story
from support.search_budget import tries
from support.servers import MakeDatabase
from support.stories import at, changed_policy
from support.timer_world import TimerWorld, events, facts_of, fields_of, imported, timer_world

OPENED = numbered_fact(1, "opened", "06-08 13:00", severity=1)
ALL_TIME = {"from": "2020-01-01T00:00:00Z", "to": "2030-01-01T00:00:00Z"}


@pytest.fixture
async def world(make_database: MakeDatabase, tmp_path: Path) -> AsyncIterator[TimerWorld]:
    async with timer_world(make_database("sla-timer"), tmp_path) as made:
        yield made


async def all_pages(world: TimerWorld, query: dict[str, str], limit: int) -> list[Any]:
    items: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        page = await world.get("/v1/outcomes", query=query | cursor | {"limit": str(limit)})
        OutcomeListResponse.model_validate(page)
        assert len(page["items"]) <= limit
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        cursor = {"cursor": page["next_cursor"]}


async def test_the_list_has_every_clock_that_compliance_counts_as_its_ticket_shows_it(world: TimerWorld) -> None:
    for seed in range(tries(30)):
        story = random_story(Random(seed))
        customer = Random(seed).choice(("acme", "zeta"))
        fields = fields_of(story) | {"customer": {"id": customer, "name": customer}}
        await world.receive(*events(f"SR-{seed}", facts_of(story), **fields))
    await world.advance(datetime(2027, 3, 1, tzinfo=UTC))
    items = await all_pages(world, ALL_TIME | {"ledger": "true"}, 500)
    assert len(items) > 50
    assert items == sorted(items, key=lambda one: (one["outcome_at"], one["ticket_id"], one["cycle"], one["clock"]))
    assert await all_pages(world, ALL_TIME | {"ledger": "true"}, 7) == items

    report = await world.get("/v1/compliance", query=ALL_TIME | {"group_by": "severity,customer"})
    counted = Counter((one["clock"], one["severity"], one["customer"]["id"], one["outcome"]) for one in items)
    assert counted == Counter(
        {
            (share["clock"], share["severity"], share["customer"], outcome): share[outcome]
            for share in report["items"]
            for outcome in ("met", "breached", "cancelled")
            if share[outcome]
        }
    )
    for ticket_id in {one["ticket_id"] for one in items}:
        shown = await world.get(f"/v1/tickets/{ticket_id}/clocks")
        clocks = {(one["cycle"], one["clock"]): one for one in shown["clocks"]}
        ledger = {(one["cycle"], one["clock"]): one for one in shown["ledger"]}
        for item in (one for one in items if one["ticket_id"] == ticket_id):
            key = item["cycle"], item["clock"]
            assert {name: item[name] for name in clocks[key] if name != "voided"} == {
                name: value for name, value in clocks[key].items() if name != "voided"
            }
            assert bool(item["voided"]) == clocks[key]["voided"]
            account = ledger[key]
            shortened = {
                "intervals": account["intervals"][:LEDGER_LIMIT],
                "truncated": len(account["intervals"]) > LEDGER_LIMIT,
            }
            assert item["ledger"] == account | shortened
            excluded = item["paused_seconds"] + item["outside_hours_seconds"] + item["closed_seconds"]
            assert item["net_seconds"] + excluded == pytest.approx(item["gross_seconds"], abs=1e-5)


@pytest.mark.rule("6.22")
async def test_the_list_is_filtered_as_compliance_is(world: TimerWorld) -> None:
    responded = numbered_fact(2, "responded", "06-08 13:10")
    zeta = {"id": "zeta", "name": "Zeta"}
    await world.receive(*events("SR-1", [OPENED, responded], channel="voicemail"))
    await world.receive(*events("SR-2", [OPENED.model_copy(update={"severity": 2}), responded], customer=zeta))
    history = [OPENED.model_copy(update={"received_at": responded.received_at}), responded]
    await world.receive(imported("SR-3", history, responded.received_at, category="security"))

    async def names(**filters: str) -> list[str]:
        return sorted(one["external_id"] for one in await all_pages(world, ALL_TIME | filters, 2))

    assert await names() == ["SR-1", "SR-2", "SR-3"]
    assert await names(customer="zeta") == await names(severity="2") == ["SR-2"]
    assert await names(channel="voicemail") == ["SR-1"]
    assert await names(category="security") == await names(historic="true") == ["SR-3"]
    assert await names(clock="resolution") == []
    assert (await world.get("/v1/outcomes", query=ALL_TIME, tenant="other"))["items"] == []
    for wrong in ({"cursor": "x"}, {"cursor": "1.x.1.response"}, {"limit": "501"}, {"to": "2019-01-01T00:00:00Z"}):
        problem = await world.get("/v1/outcomes", 422, query=ALL_TIME | wrong)
        assert [error["field"] for error in problem["errors"]] == list(wrong)
    unreadable = {"cursor": f"1.{'-' * 36}.1.response"}
    assert (await world.get("/v1/outcomes", 422, query=ALL_TIME | unreadable))["errors"][0]["field"] == "cursor"


@pytest.mark.rule("3.12", "4.17", "4.22")
async def test_silence_voiding_and_a_missing_watermark_are_stated(world: TimerWorld) -> None:
    silent = [OPENED, numbered_fact(2, "resolved", "06-12 13:00")]
    await world.receive(*events("SR-1", silent))
    assert (await world.get("/v1/outcomes", query=ALL_TIME))["complete_through"] is None
    early = numbered_fact(2, "responded", "06-08 13:30", "06-08 16:00")
    opened, responded = events("SR-2", [OPENED, early])
    await world.receive(opened)
    await world.advance(moment("06-08 15:00"))
    await world.receive(responded)
    late = numbered_fact(1, "opened", "06-15 13:00", severity=1)
    await world.receive(*events("SR-3", [late]))
    await world.advance(moment("06-15 13:30"))
    await world.sweep_unconfirmed(moment("06-15 14:30"), confirmed_through=moment("06-15 13:30"))
    assert (await world.get("/v1/outcomes", query=ALL_TIME))["complete_through"] == at("06-15 13:30")
    found = {(one["external_id"], one["clock"]): one for one in await all_pages(world, ALL_TIME, 500)}
    resolution = found["SR-1", "resolution"]
    assert (resolution["outcome"], resolution["silent"], resolution["net_seconds"]) == ("breached", True, 0.0)
    response = found["SR-2", "response"]
    assert (response["outcome"], response["voided"], response["silent"]) == ("met", ["breached", "warned"], False)
    assert {key: one["unconfirmed"] for key, one in found.items()} == {
        ("SR-1", "response"): False,
        ("SR-1", "resolution"): False,
        ("SR-2", "response"): False,
        ("SR-2", "resolution"): False,
        ("SR-3", "response"): True,
    }


@pytest.mark.rule("2.9", "4.14")
async def test_terms_are_those_of_the_customer_and_of_the_version_in_force(world: TimerWorld) -> None:
    own = "targets: {response: {1: 30m}}, average_under: {voicemail: 5m}, categories: {project: target}"
    await world.store_policy(changed_policy("customers: {}", f"customers: {{zeta: {{{own}}}}}", version="2"))
    await world.receive(*events("SR-1", [OPENED]))

    async def terms(**query: str) -> tuple[Any, ...]:
        found = await world.get("/v1/terms", query=query)
        targets = {(one["clock"], one["severity"]): one["target"] for one in found["targets"]}
        categories = {one["category"]: one["measure"] for one in found["categories"]}
        averages = {one["channel"]: one["target_seconds"] for one in found["averages"]}
        assert (len(targets), len(categories), found["zone"]) == (12, 7, "America/New_York")
        assert [one["tier"] for one in found["ladder"]] == [1, 2, 3, 4, 5, 6]
        assert targets["answer", 4] == "24 hours"
        return targets["response", 1], categories["project"], averages

    general = ("1 hour", "none", {"voicemail": 3600.0, "chat": 300.0})
    assert await terms() == await terms(customer="acme") == general
    assert await terms(customer="zeta") == ("30 minutes", "target", {"voicemail": 300.0, "chat": 300.0})
    problem = await world.get("/v1/terms", 422, query={"at": "today"})
    assert [error["field"] for error in problem["errors"]] == ["at"]
