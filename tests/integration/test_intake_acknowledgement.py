"""The page behind a mail's link: it asks, it takes one acknowledgement, and it says kindly why it does not."""

import asyncio
import re
from base64 import b64encode
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from support.intake_world import LINKS, World, event, ticket, world
from support.servers import MakeDatabase
from tocsin.acknowledgement import AcknowledgementLink, LinkSigner
from tocsin.events import TicketChanged, Tier, UpcomingStep

TIERS = {2: "senior_it_operations_manager", 3: "it_operations_director"}
NOON = datetime(2026, 6, 8, 12, tzinfo=UTC)  # the world begins here
JSON = {"Accept": "application/json"}


@pytest.fixture
async def intake(make_database: MakeDatabase, tmp_path: Path) -> AsyncIterator[World]:
    async with world(make_database("intake"), tmp_path) as made:
        yield made


def tier(number: int) -> Tier:
    return Tier(number=number, role=TIERS[number], title=TIERS[number].replace("_", " ").title())


def link(ticket_id: str, **fields: Any) -> AcknowledgementLink:
    said = {
        "tenant": "default",
        "ticket_id": UUID(ticket_id),
        "cycle": 1,
        "run": 1,
        "step": 2,
        "tier": tier(2),
        "reason": "resolution_breached",
        "person": "ruth.adeyemi",
        "name": "Ruth <b>Adéyemi",
        "upcoming": UpcomingStep(at=NOON + timedelta(minutes=30), tier=tier(3)),
        "expires_at": NOON + timedelta(days=7),
    }
    return AcknowledgementLink.model_validate(said | fields)


async def opened(intake: World, **fields: Any) -> str:
    body = ticket(summary="Mail & <script>calendar</script>", **fields)
    return str((await intake.post("/v1/tickets", body, 201))["ticket_id"])


async def asked(intake: World, said: AcknowledgementLink, method: str = "GET", **headers: str) -> httpx.Response:
    return await intake.clients["nobody"].request(method, f"/ack/{LINKS.sign(said)}", headers=headers)


async def acknowledged(intake: World) -> list[TicketChanged]:
    return [told for told in await intake.queued() if isinstance(told, TicketChanged)]


async def test_the_page_asks_and_changes_nothing(intake: World) -> None:
    said = link(await opened(intake))
    for method in ("GET", "HEAD"):
        answer = await asked(intake, said, method)
        assert answer.status_code == 200
    page = (await asked(intake, said)).text
    assert "Acknowledge SR-1042?" in page
    assert "Ruth &lt;b&gt;Adéyemi, you were mailed as Senior It Operations Manager (tier 2)." in page
    assert "SR-1042: Mail &amp; &lt;script&gt;calendar&lt;/script&gt;" in page
    assert "next: tier 3, It Operations Director, at 2026-06-08 12:30 UTC (08:30 EDT)" in page
    assert '<form method="post"><button>Acknowledge</button></form>' in page
    assert re.findall(r"<(?:form|button|input|select|textarea|a|area|iframe)\b", page) == ["<form", "<button"]
    assert await acknowledged(intake) == []


async def test_the_page_says_who_has_answered_and_that_a_stand_down_ends_it(intake: World) -> None:
    ticket_id = await opened(intake)
    said = link(ticket_id)
    assert ">Answered<" not in (await asked(intake, said)).text
    await intake.post(f"/v1/tickets/{ticket_id}/events", event("responded"), 201)
    page = (await asked(intake, said)).text
    assert ">Answered<" in page
    assert "by Bob at " in page
    assert "stand-down came after the mail, nobody is told any more" in page


async def test_where_nobody_is_left_above_nobody_is_promised_to_be_held(intake: World) -> None:
    said = link(await opened(intake), upcoming=UpcomingStep(at=NOON - timedelta(hours=1)))
    page = (await asked(intake, said, "POST")).text
    assert "Nobody is left above you to be held: the ladder ended at 2026-06-08 11:00 UTC" in page


async def test_a_browser_is_allowed_nothing_but_the_button(intake: World) -> None:
    answer = await asked(intake, link(await opened(intake)))
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-robots-tag"] == "noindex, nofollow"
    policy = answer.headers["content-security-policy"]
    (style,) = re.findall("<style>(.*?)</style>", answer.text, re.DOTALL)
    assert f"style-src 'sha256-{b64encode(sha256(style.encode()).digest()).decode()}'" in policy
    assert "default-src 'none'" in policy
    assert "form-action 'self'" in policy
    assert not re.search(r"<script|https?://|<img|<link|@import|url\(", answer.text)


async def test_the_button_acknowledges_once(intake: World) -> None:
    ticket_id = await opened(intake)
    said = link(ticket_id)
    answer = await asked(intake, said, "POST", **{"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status_code == 200
    assert "Thank you, Ruth &lt;b&gt;Adéyemi." in answer.text
    assert re.search(r"tier 3, It Operations Director, is told at 2026-06-08 13:00:?\d* UTC", answer.text)
    again = await asked(intake, said, "POST")
    assert again.text == answer.text
    shown = await asked(intake, said)
    assert "<form" not in shown.text
    (told,) = await acknowledged(intake)
    assert told.fact.type == "acknowledged"
    assert told.fact.actor == "ruth.adeyemi"
    assert told.fact.occurred_at == told.fact.received_at
    facts = (await intake.get(f"/v1/tickets/{ticket_id}"))["facts"]
    assert [fact["type"] for fact in facts] == ["opened", "acknowledged"]


@pytest.mark.parametrize("sent", [{"json": {"type": "resolved"}}, {"data": {"type": "resolved"}}])
async def test_whatever_is_sent_along_the_button_only_acknowledges(intake: World, sent: dict[str, Any]) -> None:
    ticket_id = await opened(intake)
    path = f"/ack/{LINKS.sign(link(ticket_id))}"
    answer = await intake.clients["nobody"].post(path, params={"type": "resolved"}, headers=JSON, **sent)
    assert (answer.status_code, answer.json()["state"]) == (200, "acknowledged")
    found = await intake.get(f"/v1/tickets/{ticket_id}")
    assert (found["state"], [fact["type"] for fact in found["facts"]]) == ("open", ["opened", "acknowledged"])
    assert [told.fact.type for told in await acknowledged(intake)] == ["acknowledged"]


async def test_many_at_once_are_one_and_every_step_and_person_counts_by_itself(intake: World) -> None:
    ticket_id = await opened(intake)
    said = link(ticket_id)
    answers = await asyncio.gather(*(asked(intake, said, "POST") for _ in range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(await acknowledged(intake)) == 1
    for other in (link(ticket_id, step=3, tier=tier(3)), link(ticket_id, person="ben"), link(ticket_id, run=2)):
        assert (await asked(intake, other, "POST")).status_code == 200
    assert len(await acknowledged(intake)) == 4
    assert "by ruth.adeyemi at " in (await asked(intake, link(ticket_id, person="cleo"))).text


async def test_a_machine_gets_json_and_problems(intake: World) -> None:
    ticket_id = await opened(intake)
    shown = (await asked(intake, link(ticket_id), **JSON)).json()
    assert (shown["state"], shown["external_id"], shown["severity"]) == ("pending", "SR-1042", 1)
    assert (shown["acknowledged_at"], shown["held_until"]) == (None, None)
    taken = (await asked(intake, link(ticket_id), "POST", **JSON)).json()
    at, until = (datetime.fromisoformat(taken[name]) for name in ("acknowledged_at", "held_until"))
    assert until == at + timedelta(hours=1)
    refused = await intake.clients["nobody"].get("/ack/nonsense", headers=JSON)
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["title"] == "This link cannot be read"


async def test_a_later_schedule_binds_longer_than_the_acknowledgement(intake: World) -> None:
    later = UpcomingStep(at=NOON + timedelta(hours=5), tier=tier(3))
    taken = (await asked(intake, link(await opened(intake), upcoming=later), "POST", **JSON)).json()
    assert taken["held_until"] == "2026-06-08T17:00:00.000000Z"


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_what_counts_no_more_says_so_kindly(intake: World, method: str) -> None:
    ticket_id = await opened(intake)
    expired = await asked(intake, link(ticket_id, expires_at=NOON), method)
    assert (expired.status_code, "This link has expired" in expired.text) == (410, True)
    unknown = await asked(intake, link(str(uuid4())), method)
    assert (unknown.status_code, "There is no such ticket" in unknown.text) == (404, True)
    elsewhere = await asked(intake, link(ticket_id, tenant="other"), method)
    assert elsewhere.status_code == 404
    strange = LinkSigner(["s" * 32]).sign(link(ticket_id))
    for token in (strange, LINKS.sign(link(ticket_id))[:-3], "x" * 5000, "%FF%00"):
        refused = await intake.clients["nobody"].request(method, f"/ack/{token}")
        assert (refused.status_code, "This link cannot be read" in refused.text) == (404, True)
    await intake.post(f"/v1/tickets/{ticket_id}/events", event("resolved"), 201)
    closed = await asked(intake, link(ticket_id), method)
    assert (closed.status_code, "was resolved by Bob" in closed.text) == (409, True)
    await intake.post(f"/v1/tickets/{ticket_id}/events", event("reopened"), 201)
    reopened = await asked(intake, link(ticket_id), method)
    assert (reopened.status_code, "Reopened since" in reopened.text) == (409, True)
    assert "acknowledged" not in [told.fact.type for told in await acknowledged(intake)]
    assert (await asked(intake, link(ticket_id, cycle=2), method)).status_code == 200


async def test_a_token_that_was_made_up_costs_no_connection(tmp_path: Path) -> None:
    said = link(str(uuid4()))
    async with world("postgresql+asyncpg://nobody:x@127.0.0.1:1/none", tmp_path) as away:
        client = away.clients["nobody"]
        assert (await client.get(f"/ack/{LinkSigner(['another key of ' + 'x' * 32]).sign(said)}")).status_code == 404
        assert (await client.get(f"/ack/{LINKS.sign(said)}")).status_code == 503


async def test_a_form_of_any_size_is_no_way_in(intake: World) -> None:
    token = LINKS.sign(link(await opened(intake)))
    too_large = await intake.clients["nobody"].post(f"/ack/{token}", content=b"x" * 2_000_000)
    assert too_large.status_code == 413
    assert await acknowledged(intake) == []
