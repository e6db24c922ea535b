"""The webhooks of each tool over HTTP: authenticated, processed and stored, whatever they contain."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from intake.sources.signing_keys import SigningKeys
from intake.store.tables import WEBHOOK_DELIVERIES
from sqlalchemy import select
from support.intake_world import IntakeWorld, world
from support.search_budget import tries
from support.servers import MakeDatabase
from support.webhook_mutations import mutated_delivery
from support.webhook_recordings import PROVIDERS, SECRET, SHIPPED, auth_headers, recorded, story

OTHER_KEY = "the key that ConnectWise has"


@pytest.fixture
async def intake(
    make_database: MakeDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[IntakeWorld]:
    for provider in PROVIDERS:
        monkeypatch.setenv(f"TOCSIN_HOOK_{provider.upper()}", SECRET.decode())
    text = SHIPPED.read_text().replace("\n      auth:", "\n      live_since: 2026-01-01T00:00:00Z\n      auth:")
    section = text.split("    connectwise:\n")[1].split("\n    autotask:")[0]
    secret = "        secrets: [{ secret_env: TOCSIN_HOOK_CONNECTWISE }]"
    assert secret in section
    fetching = "  fetching:\n    connectwise:\n" + section.replace(secret, "        fetch_keys: true") + "\n"
    (tmp_path / "integrations.yaml").write_text(text.replace("\ntenants:\n", f"\ntenants:\n{fetching}", 1))
    transport = httpx.MockTransport(_connectwise)
    async with world(make_database("intake"), tmp_path, signing_keys=SigningKeys(transport)) as made:
        yield made


async def _connectwise(request: httpx.Request) -> httpx.Response:
    async def content() -> AsyncIterator[bytes]:
        yield f'{{"signing_key": "{OTHER_KEY}"}}'.encode()

    return httpx.Response(200 if "nordmsp" in request.url.path else 404, content=content())


async def deliver(
    intake: IntakeWorld, provider: str, body: bytes, tenant: str = "default", secret: bytes = SECRET
) -> httpx.Response:
    headers = auth_headers(provider, body, secret)
    return await intake.clients["nobody"].post(f"/v1/hooks/{provider}/{tenant}", content=body, headers=headers)


def last_month(provider: str, bodies: Sequence[bytes]) -> list[bytes]:
    """The deliveries of another ticket a month earlier, with other identities."""
    ids = {
        "connectwise": (b"48213", b"0b6c1c5e"),
        "autotask": (b"7644",),
        "halopsa": (b"2187",),
        "zendesk": (b"35436", b"01HZX0"),
        "freshdesk": (b"1207",),
        "jira": (b"ITSM-42",),
    }
    changed = []
    for body in bodies:
        for each in ids[provider]:
            body = body.replace(each, each[:-1] + b"5")
        changed.append(body.replace(b"2026-06-", b"2026-05-"))
    return changed


async def tickets(intake: IntakeWorld, source: str) -> list[Any]:
    listed = await intake.get("/v1/tickets", source=source, limit=100)
    return [await intake.get(f"/v1/tickets/{item['ticket_id']}") for item in listed["items"]]


async def test_the_recorded_story_in_another_order_and_twice(intake: IntakeWorld) -> None:
    for provider in PROVIDERS:
        recording = last_month(provider, story(provider))
        mixed = [*recording, recording[0]]
        Random(provider).shuffle(mixed)
        answers = [await deliver(intake, provider, body) for body in mixed]
        assert {answer.status_code for answer in answers} == {200}
        assert [answer.json()["state"] for answer in answers].count("duplicate") == 1
        found = [ticket for ticket in await tickets(intake, provider) if ticket["external_id"] != "2188"]
        assert [ticket["state"] for ticket in found] == ["closed"]


async def test_without_instants_an_equal_body_is_a_new_delivery_and_the_last_one_counts(intake: IntakeWorld) -> None:
    opened = recorded("freshdesk", "other-simple")
    resolved = opened.replace(b'"Open"', b'"Resolved"')
    for body, state in ((opened, "open"), (resolved, "closed"), (opened, "open"), (resolved, "closed")):
        assert (await deliver(intake, "freshdesk", body)).json()["state"] == "taken"
        (ticket,) = await tickets(intake, "freshdesk")
        assert ticket["state"] == state
    assert "default_opened_at" in ticket["flags"]


async def test_a_delivery_is_a_duplicate_if_the_tool_gives_it_the_same_identity(intake: IntakeWorld) -> None:
    async def state(provider: str, body: dict[str, Any]) -> str:
        return str((await deliver(intake, provider, json.dumps(body).encode())).json()["state"])

    callback, *_, completed = map(json.loads, last_month("connectwise", story("connectwise")))
    assert await state("connectwise", callback) == "taken"
    assert await state("connectwise", callback | {"Entity": completed["Entity"]}) == "duplicate"
    assert await state("connectwise", callback | {"MessageId": "0b6c1c5e-7b0f-4a3e-9d53-0a1f6b1c0099"}) == "taken"
    (ticket,) = await tickets(intake, "connectwise")
    assert ticket["state"] == "open"


async def test_of_two_connectwise_changes_in_one_second_the_later_delivery_counts(intake: IntakeWorld) -> None:
    note = recorded("connectwise", "other-contact")
    for number in range(8):  # so that the ids of the next two are 9 and 10
        await deliver(intake, "connectwise", note.replace(b"0b6c1c5e", f"{number:08}".encode()))
    _, _, _, waiting, completed = last_month("connectwise", story("connectwise"))
    same = waiting.replace(b"2026-05-08T15:20:00Z", b"2026-05-09T07:12:44Z")
    assert same != waiting
    for body in (same, completed.replace(b"2026-05-09T07:10:00Z", b"2026-05-09T07:12:44Z")):
        assert (await deliver(intake, "connectwise", body)).json()["state"] == "taken"
    (ticket,) = await tickets(intake, "connectwise")
    assert ticket["state"] == "closed"


async def test_a_forged_delivery_is_rejected_and_not_stored(intake: IntakeWorld) -> None:
    for provider in PROVIDERS:
        for content, headers in _forgeries(provider, story(provider)[0]):
            path = f"/v1/hooks/{provider}/default"
            answer = await intake.clients["nobody"].post(path, content=content, headers=headers)
            assert answer.status_code == 401, (headers, answer.text)
            assert answer.headers["content-type"] == "application/problem+json"
            assert SECRET.decode() not in answer.text
    assert await stored_bodies(intake) == []
    for provider in PROVIDERS:
        assert (await deliver(intake, provider, story(provider)[0])).status_code == 200
    assert await stored_bodies(intake) == [story(provider)[0] for provider in PROVIDERS]


def _forgeries(provider: str, body: bytes) -> Iterator[tuple[bytes, Any]]:
    genuine = auth_headers(provider, body)
    name = sorted(genuine)[0]
    yield body, {}
    yield body, auth_headers(provider, body, b"a guess")
    yield body, {name.encode(): b"\xff\xfe\xfd"}
    yield body, [*genuine.items(), (name, genuine[name])]  # sent twice


async def test_every_delivery_is_stored_as_it_came(intake: IntakeWorld) -> None:
    sent: list[tuple[str, bytes]] = []

    @given(seed=st.integers(0, 1 << 60))
    @settings(max_examples=tries(30), suppress_health_check=list(HealthCheck))
    def mutated(seed: int) -> None:
        for provider in PROVIDERS:
            body = mutated_delivery(Random(seed), provider)
            for name in (b"0b6c1c5e", b"3d5a2c7e", b"01HZX0"):  # so that few are duplicates
                body = body.replace(name, b"%08x" % len(sent))
            sent.append((provider, body))

    await asyncio.to_thread(mutated)
    answers = [await deliver(intake, provider, body) for provider, body in sent]
    kept = await stored_bodies(intake)
    for (provider, body), answer in zip(sent, answers, strict=True):
        assert answer.status_code in (200, 202), (provider, body)
        assert answer.json().get("reason") != "failed", (provider, body)
        assert answer.json()["state"] == "duplicate" or body in kept
    assert len(kept) == sum(answer.json()["state"] != "duplicate" for answer in answers)


async def test_a_connectwise_key_is_fetched_from_the_url_in_the_delivery(intake: IntakeWorld) -> None:
    body = recorded("connectwise", "1-added")
    assert (await deliver(intake, "connectwise", body, "fetching", b"a guess")).status_code == 401
    found = await asyncio.gather(*(deliver(intake, "connectwise", body, "fetching", OTHER_KEY.encode()) for _ in "12"))
    assert [answer.status_code for answer in found] == [200, 200]
    elsewhere = body.replace(b"https://api-eu.myconnectwise.net/v4_6_release/apis/3.0/system", b"https://evil.example")
    assert elsewhere != body
    assert (await deliver(intake, "connectwise", elsewhere, "fetching", OTHER_KEY.encode())).status_code == 401
    away = body.replace(b"signingkeys/nordmsp", b"signingkeys/gone")
    answer = await deliver(intake, "connectwise", away, "fetching", OTHER_KEY.encode())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
    assert len(await stored_bodies(intake)) == 1


async def stored_bodies(intake: IntakeWorld) -> list[bytes]:
    async with intake.writer.connect() as connection:
        rows = await connection.execute(select(WEBHOOK_DELIVERIES.c.body).order_by(WEBHOOK_DELIVERIES.c.id))
        return list(rows.scalars())
