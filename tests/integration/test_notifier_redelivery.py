"""An administrator sends a mail again: it is marked, recorded, and never happens on its own."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from support.notifier_api import ApiClients
from support.notifier_events import NOON, escalation, stand_down
from support.notifier_world import NotifierWorld, make_world
from support.servers import MakeDatabase, SharedSink

ONE = NOON + timedelta(hours=1)


@pytest.fixture
async def world(make_database: MakeDatabase, smtp_sink: SharedSink, tmp_path: Path) -> AsyncIterator[NotifierWorld]:
    async with make_world(make_database("notifier"), smtp_sink, tmp_path, ONE) as made:
        yield made


async def sent(world: NotifierWorld) -> str:
    """The path to redeliver a mail that Dana got."""
    await world.receive(escalation())
    await world.quiet()
    (mail,) = await world.deliveries()
    return f"/v1/deliveries/{mail.id}/redeliver"


@pytest.mark.rule("4.23")
async def test_a_redelivery_is_not_late(world: NotifierWorld, api: ApiClients) -> None:
    world.now = ONE + timedelta(hours=2)
    async with world.notifier():
        await api.post(await sent(world), 201, json={})
        await world.quiet()
    assert [(mail.get("Tocsin-Late"), mail.get("Tocsin-Redelivery")) for mail in world.mails()] == [
        ("yes", None),
        (None, "1"),
    ]
    assert ["This mail is late" in mail["text"] for mail in world.sink.messages()] == [True, False]


@pytest.mark.rule("5.26")
async def test_a_redelivery_is_a_separate_mail_that_says_who_requested_it(
    world: NotifierWorld, api: ApiClients
) -> None:
    async with world.notifier():
        path = await sent(world)
        made = await api.post(path, 201, json={"by": "Kim", "reason": "she deleted it"})
        await world.quiet()
    first, again = await world.deliveries()
    assert (made["id"], made["state"], made["redelivery_of"]) == (str(again.id), "queued", str(first.id))
    assert made["redelivered_by"].startswith("Kim (key ")
    assert (first.state, again.state, again.email, again.occasion) == (
        "sent",
        "sent",
        "dana@example.com",
        f"{first.occasion}/redelivery/1",
    )
    one, two = world.mails()
    assert one["rcpt"] == two["rcpt"]
    assert one["Message-ID"] != two["Message-ID"]
    assert (one.get("Tocsin-Redelivery"), two["Tocsin-Redelivery"]) == (None, "1")
    assert made["redelivered_by"] in world.sink.messages()[1]["text"]
    assert [event.redelivery_of for event in await world.events()] == [None, first.id]
    assert (await world.events())[1].redelivered_by == made["redelivered_by"]
    journal = (await api.get(f"/v1/deliveries/{again.id}"))["journal"]
    assert [line["entry"] for line in journal] == ["queued", "claimed", "in_data", "sent"]
    assert journal[0]["reply"] == f"requested by {made['redelivered_by']}: she deleted it"
    assert journal[0]["at"].startswith("2026-06-08T13:00")


async def test_a_blank_name_or_reason_is_ignored(world: NotifierWorld, api: ApiClients) -> None:
    async with world.notifier():
        made = await api.post(await sent(world), 201, json={"by": " ", "reason": ""})
    assert made["redelivered_by"].startswith("key ")
    assert made["reply"] == f"requested by {made['redelivered_by']}"


async def test_each_request_is_a_mail_except_with_the_same_idempotency_key(
    world: NotifierWorld, api: ApiClients
) -> None:
    key = {"Idempotency-Key": "k-1"}
    async with world.notifier():
        path = await sent(world)
        first = await api.post(path, 201, headers=key)
        assert (await api.post(path, 200, headers=key))["id"] == first["id"]
        await world.quiet()
        second = await api.post(path, 201)
        await world.quiet()
        third = await api.post(f"/v1/deliveries/{second['id']}/redeliver", 201, json={})
        await world.quiet()
        assert (await api.post(path, 200, headers=key))["state"] == "sent"
    assert {second["redelivery_of"], third["redelivery_of"]} == {first["redelivery_of"]}
    assert [delivery.redelivery_number for delivery in await world.deliveries()] == [0, 1, 2, 3]
    assert len({mail["Message-ID"] for mail in world.mails()}) == 4
    assert await world.states() == ["sent"] * 4


async def test_an_idempotency_key_is_for_one_body(world: NotifierWorld, api: ApiClients) -> None:
    key = {"Idempotency-Key": "k-1"}
    body = {"by": "Kim", "reason": "she deleted it"}
    async with world.notifier():
        path = await sent(world)
        first = await api.post(path, 201, headers=key, json=body)
        await world.quiet()
        for other in ({"by": "Kim"}, {"by": "Lee", "reason": "she deleted it"}, {}):
            refused = await api.post(path, 422, headers=key, json=other)
            assert refused["errors"][0]["field"] == "Idempotency-Key"
        assert (await api.post(path, 200, headers=key, json=body))["id"] == first["id"]
    assert len(world.mails()) == 2


async def test_a_mail_that_is_on_its_way_or_not_needed_is_not_sent_again(world: NotifierWorld, api: ApiClients) -> None:
    await world.receive(escalation())
    (queued,) = await world.deliveries()
    path = f"/v1/deliveries/{queued.id}/redeliver"
    refused = await api.post(path, 409)
    assert refused["detail"].startswith("This mail is still on its way (queued).")
    async with world.notifier():
        await world.quiet()
    again = await api.post(path, 201)
    refused = await api.post(path, 409)
    assert refused["detail"].startswith("A redelivery of this mail is still on its way (queued).")
    assert again["id"] in refused["detail"]

    await world.receive(stand_down())
    assert (await api.post(path, 409))["detail"] == "This mail is no longer needed: resolved."
    assert await world.states() == ["sent", "cancelled", "queued"]
    async with world.notifier():
        await world.quiet()
    down = (await world.deliveries())[2]
    async with world.notifier():
        await api.post(f"/v1/deliveries/{down.id}/redeliver", 201)
        await world.quiet()
    assert [mail["Tocsin-Kind"] for mail in world.mails()] == ["escalation", "stand_down", "stand_down"]


async def test_a_refused_or_undeliverable_mail_can_be_sent_again(world: NotifierWorld, api: ApiClients) -> None:
    world.sink.fail("refuse", code=550)
    async with world.notifier():
        await world.receive(escalation(), escalation(event_id=UUID(int=2), step=2, role="chief_executive_officer"))
        await world.quiet()
    refused, nobody, left = await world.deliveries()
    assert [refused.state, nobody.state, left.state, left.fallback_of] == [
        "refused",
        "undeliverable",
        "undeliverable",
        refused.id,
    ]
    world.sink.fail("none")
    text = world.directory.read_text().replace("dana@example.com", "dana@new.example.com")
    world.directory.write_text(text + "  chief_executive_officer:\n    - person: lee\n")
    async with world.notifier():
        first = await api.post(f"/v1/deliveries/{left.id}/redeliver", 201)
        assert first["redelivery_of"] == str(refused.id)
        await api.post(f"/v1/deliveries/{refused.id}/redeliver", 409)
        await api.post(f"/v1/deliveries/{nobody.id}/redeliver", 201)
        await world.quiet()
    assert sorted(mail["rcpt"] for mail in world.mails()) == ["dana@new.example.com", "lee@example.com"]


@pytest.mark.rule("5.26")
async def test_only_an_administrator_of_the_tenant_may_request_it(world: NotifierWorld, api: ApiClients) -> None:
    async with world.notifier():
        path = await sent(world)
    await api.post(path, 401, key="nobody")
    await api.post(path, 403, key="reading")
    await api.post(path, 403, key="writing")
    await api.post(path, 404, key="other")
    await api.post(f"/v1/deliveries/{uuid4()}/redeliver", 404)
    await api.post("/v1/deliveries/x/redeliver", 404)
    for body, field in (
        ({"by": 1}, "by"),
        ({"reason": "x" * 201}, "reason"),
        ({"who": "me"}, "who"),
        ([], ""),
    ):
        assert (await api.post(path, 422, json=body))["errors"][0]["field"] == field, body
    assert await world.states() == ["sent"]
