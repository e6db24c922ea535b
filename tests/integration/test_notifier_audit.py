"""Reading deliveries by the API: filtered and paged lists, and one delivery with its journal."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from support.notifier_api import ApiClients
from support.notifier_events import NOON, about_clock, escalation, ticket
from support.notifier_world import NotifierWorld, make_world
from support.servers import MakeDatabase, SharedSink


@pytest.fixture
async def world(make_database: MakeDatabase, smtp_sink: SharedSink, tmp_path: Path) -> AsyncIterator[NotifierWorld]:
    async with make_world(make_database("notifier"), smtp_sink, tmp_path, NOON + timedelta(hours=1)) as made:
        yield made


async def test_mails_are_filtered_by_ticket_recipient_state_kind_and_time(
    world: NotifierWorld, api: ApiClients
) -> None:
    manager: dict[str, Any] = {"role": "senior_it_operations_manager", "role_title": "Manager"}
    other = ticket(ticket_id=UUID(int=8))
    async with world.notifier():
        await world.receive(escalation(), escalation(event_id=UUID(int=2), step=2, **manager))
        await world.quiet()
        world.now += timedelta(hours=1)
        await world.receive(about_clock("warning", ticket=other, event_id=UUID(int=3), **manager))
        await world.quiet()
    world.now += timedelta(hours=1)
    await world.receive(escalation(ticket=other, event_id=UUID(int=4), role="it_operations_director"))
    foreign = ticket(ticket_id=UUID(int=9), tenant="other")
    await world.receive(escalation(ticket=foreign, event_id=UUID(int=5)))
    one, two, three, four, five = [str(delivery.id) for delivery in await world.deliveries()]

    assert await api.list_ids() == [one, two, three, four]
    assert await api.list_ids(key="other") == [five]
    assert await api.list_ids(ticket_id=UUID(int=8)) == [three, four]
    assert await api.list_ids(recipient="KIM@example.com") == [two, three]
    assert await api.list_ids(recipient="kim", ticket_id=UUID(int=8)) == [three]
    assert await api.list_ids(state="sent") == [one, two, three]
    assert await api.list_ids(state="queued", recipient="kim") == []
    assert await api.list_ids(kind="warning") == [three]
    second = NOON + timedelta(hours=1, minutes=59)
    assert await api.list_ids(queued_from=second.isoformat()) == [three, four]
    assert await api.list_ids(queued_to=second.isoformat()) == [one, two]
    assert await api.list_ids(
        queued_from=second.isoformat(), queued_to=(second + timedelta(minutes=30)).isoformat()
    ) == [three]

    first = await api.get("/v1/deliveries", limit=3)
    assert [item["id"] for item in first["items"]] == [one, two, three]
    assert await api.list_ids(limit=3, cursor=first["next_cursor"]) == [four]
    assert (await api.get("/v1/deliveries", limit=4))["next_cursor"] is None


async def test_a_delivery_shows_every_state_that_it_reached(world: NotifierWorld, api: ApiClients) -> None:
    world.sink.fail("refuse", code=450)
    async with world.notifier():
        await world.receive(escalation())
        await world.reaches("deferred")
        world.sink.fail("none")
        await world.quiet()
    (sent,) = await world.deliveries()
    found = await api.get(f"/v1/deliveries/{sent.id}")
    journal = found.pop("journal")
    assert found == (await api.get("/v1/deliveries"))["items"][0]
    assert (found["state"], found["recipient"], found["person"]) == ("sent", "dana@example.com", "dana")
    entries = [entry["entry"] for entry in journal]
    assert entries[:3] == ["queued", "claimed", "deferred"]
    assert entries[-3:] == ["claimed", "in_data", "sent"]
    assert journal[2]["reply"].startswith("450")
    assert [entry["attempts"] for entry in journal] == sorted(entry["attempts"] for entry in journal)
    assert [entry["real_at"] for entry in journal] == sorted(entry["real_at"] for entry in journal)
    assert journal[0]["at"].startswith("2026-06-08T13:00")


async def test_another_tenant_sees_nothing_and_a_key_is_required(world: NotifierWorld, api: ApiClients) -> None:
    await world.receive(escalation())
    (queued,) = await world.deliveries()
    path = f"/v1/deliveries/{queued.id}"
    await api.get(path, 404, key="other")
    await api.get(path, 401, key="nobody")
    await api.get(path, 403, key="writing")
    await api.get("/v1/deliveries", 403, key="writing")
    await api.get(f"/v1/deliveries/{uuid4()}", 404)
    await api.get("/v1/deliveries/no-id", 404)
    assert await api.list_ids(key="other") == []


async def test_an_invalid_filter_is_named(api: ApiClients) -> None:
    response = await api.clients["reading"].get("/v1/deliveries?kind=mail")
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "kind"
