"""The acknowledgement page: it asks, acknowledges once, and says why it cannot (docs/rules.md#5-28)."""

import asyncio
import re
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from intake.domain.acknowledgement import acknowledgement_event_id
from support.intake_world import LINKS, IntakeWorld, event, ticket, world
from tocsin.acknowledgement import AcknowledgementLink, LinkSigner
from tocsin.events import TicketChanged, Tier, UpcomingStep

TIERS = {2: "senior_it_operations_manager", 3: "it_operations_director"}
NOON = datetime(2026, 6, 8, 12, tzinfo=UTC)  # when business time begins in this world
JSON = {"Accept": "application/json"}


def tier(number: int) -> Tier:
    return Tier(number=number, role=TIERS[number], title=TIERS[number].replace("_", " ").title())


def link_to(ticket_id: str, **changes: Any) -> AcknowledgementLink:
    fields = {
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
        **changes,
    }
    return AcknowledgementLink.model_validate(fields)


async def open_ticket(intake: IntakeWorld, **fields: Any) -> str:
    body = ticket(summary="Mail & <script>calendar</script>", **fields)
    return str((await intake.post("/v1/tickets", body, 201))["ticket_id"])


async def open_link(
    intake: IntakeWorld, link: AcknowledgementLink, method: str = "GET", **headers: str
) -> httpx.Response:
    return await intake.clients["nobody"].request(method, f"/ack/{LINKS.sign(link)}", headers=headers)


async def changes(intake: IntakeWorld) -> list[TicketChanged]:
    return [queued for queued in await intake.queued() if isinstance(queued, TicketChanged)]


@pytest.mark.rule("5.28")
async def test_the_page_asks_and_changes_nothing(intake: IntakeWorld) -> None:
    link = link_to(await open_ticket(intake))
    for method in ("GET", "HEAD"):
        answer = await open_link(intake, link, method)
        assert answer.status_code == 200
    page = (await open_link(intake, link)).text
    assert "Acknowledge SR-1042?" in page
    assert "Ruth &lt;b&gt;Adéyemi, you were notified as Senior It Operations Manager (tier 2)." in page
    assert "SR-1042: Mail &amp; &lt;script&gt;calendar&lt;/script&gt;" in page
    assert "tier 3, It Operations Director, at 2026-06-08 12:30 UTC (08:30 EDT)" in page
    assert '<form method="post"><button>Acknowledge</button></form>' in page
    assert re.findall(r"<(?:form|button|input|select|textarea|a|area|iframe)\b", page) == ["<form", "<button"]
    assert await changes(intake) == []


async def test_the_page_shows_the_first_response_and_that_a_stand_down_ends_the_escalation(intake: IntakeWorld) -> None:
    ticket_id = await open_ticket(intake)
    link = link_to(ticket_id)
    assert ">First response<" not in (await open_link(intake, link)).text
    await intake.post(f"/v1/tickets/{ticket_id}/events", event("responded"), 201)
    page = (await open_link(intake, link)).text
    assert ">First response<" in page
    assert "by Bob at " in page
    assert "received a stand-down mail since, the escalation has ended" in page


@pytest.mark.rule("3.6")
async def test_an_automatic_receipt_is_not_shown_as_the_response(intake: IntakeWorld) -> None:
    ticket_id = await open_ticket(intake)
    await intake.post(f"/v1/tickets/{ticket_id}/events", event("responded", actor="Workflow"), 201)
    assert ">First response<" not in (await open_link(intake, link_to(ticket_id))).text


@pytest.mark.rule("5.28")
async def test_the_page_shows_deadline_contact_services_and_who_was_told_or_has_acknowledged(
    intake: IntakeWorld,
) -> None:
    contact = {"name": "Sam <i>Vries", "email": "sam@acme.example", "phone": "+31 10 555 0142"}
    ticket_id = await open_ticket(intake, contact=contact, affected_services=["E-mail", "VPN & Citrix"])
    told = [
        {"tier": 1, "title": "Service Desk Team Lead", "name": "Dana <b>Whit", "at": NOON - timedelta(hours=1)},
        {"tier": 2, "title": "Senior IT Operations Manager", "at": NOON},
    ]
    link = link_to(ticket_id, due_at=NOON - timedelta(hours=1), notified=told)
    page = (await open_link(intake, link)).text
    rows = dict(re.findall(r"<dt>(.*?)</dt>(.*?)</div>", page))
    lines = {label: re.findall(r"<dd>(.*?)</dd>", values) for label, values in rows.items()}
    assert lines["Affected services"] == ["E-mail", "VPN &amp; Citrix"]
    assert lines["Contact"] == ["Sam &lt;i&gt;Vries, +31 10 555 0142, sam@acme.example"]
    assert lines["Deadline when the mail was written"] == ["2026-06-08 11:00 UTC (07:00 EDT)"]
    assert lines["Notified before you"] == [
        "tier 1, Service Desk Team Lead: Dana &lt;b&gt;Whit, at 2026-06-08 11:00 UTC (07:00 EDT)",
        "tier 2, Senior IT Operations Manager, at 2026-06-08 12:00 UTC (08:00 EDT)",
    ]
    assert "Acknowledged" not in lines
    await open_link(intake, link_to(ticket_id, person="dana"), "POST")
    assert "<dt>Acknowledged</dt><dd>by dana at " in (await open_link(intake, link)).text
    shown = (await open_link(intake, link, **JSON)).json()
    assert (shown["contact"], shown["affected_services"]) == (contact, ["E-mail", "VPN & Citrix"])
    assert shown["due_at"] == "2026-06-08T11:00:00.000000Z"
    assert [person["name"] for person in shown["notified"]] == ["Dana <b>Whit", None]
    assert [known["by"] for known in shown["other_acknowledgements"]] == ["dana"]


async def test_a_link_without_a_deadline_and_earlier_mails_works(intake: IntakeWorld) -> None:
    link = link_to(await open_ticket(intake))
    page = (await open_link(intake, link)).text
    assert "Deadline when the mail was written" not in page
    assert "Notified before you" not in page
    assert (await open_link(intake, link, "POST", **JSON)).json()["state"] == "acknowledged"


async def test_after_an_exhausted_ladder_the_page_promises_no_hold(intake: IntakeWorld) -> None:
    link = link_to(await open_ticket(intake), upcoming=UpcomingStep(at=NOON - timedelta(hours=1)))
    page = (await open_link(intake, link, "POST")).text
    assert "There is no tier above you to hold: the escalation ended at 2026-06-08 11:00 UTC" in page


@pytest.mark.rule("5.7")
async def test_after_the_interval_the_page_says_that_the_acknowledgement_has_expired(intake: IntakeWorld) -> None:
    ticket_id = await open_ticket(intake, opened_at="2026-06-08T08:00:00Z")
    link = link_to(ticket_id, upcoming=UpcomingStep(at=NOON - timedelta(hours=3), tier=tier(3)))
    past = {"type": "acknowledged", "event_id": acknowledgement_event_id(link), "actor": link.person}
    await intake.post(f"/v1/tickets/{ticket_id}/events", past | {"occurred_at": "2026-06-08T09:00:00Z"}, 201)
    page = (await open_link(intake, link)).text
    assert "Your acknowledgement expired at 2026-06-08 10:00 UTC (06:00 EDT)." in page
    assert "at the earliest" not in page


async def test_the_page_allows_nothing_but_its_button(intake: IntakeWorld) -> None:
    answer = await open_link(intake, link_to(await open_ticket(intake)))
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


@pytest.mark.rule("5.28")
async def test_the_button_acknowledges_once(intake: IntakeWorld) -> None:
    ticket_id = await open_ticket(intake)
    link = link_to(ticket_id)
    answer = await open_link(intake, link, "POST", **{"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status_code == 200
    assert "Thank you, Ruth &lt;b&gt;Adéyemi." in answer.text
    assert re.search(r"Tier 3, It Operations Director, is notified at 2026-06-08 13:00:?\d* UTC", answer.text)
    again = await open_link(intake, link, "POST")
    assert again.text == answer.text
    shown = await open_link(intake, link)
    assert "<form" not in shown.text
    (queued,) = await changes(intake)
    assert queued.fact.type == "acknowledged"
    assert queued.fact.actor == "ruth.adeyemi"
    assert queued.fact.occurred_at == queued.fact.received_at
    facts = (await intake.get(f"/v1/tickets/{ticket_id}"))["facts"]
    assert [fact["type"] for fact in facts] == ["opened", "acknowledged"]


@pytest.mark.parametrize("sent", [{"json": {"type": "resolved"}}, {"data": {"type": "resolved"}}])
async def test_the_body_and_the_query_of_the_post_are_ignored(intake: IntakeWorld, sent: dict[str, Any]) -> None:
    ticket_id = await open_ticket(intake)
    path = f"/ack/{LINKS.sign(link_to(ticket_id))}"
    answer = await intake.clients["nobody"].post(path, params={"type": "resolved"}, headers=JSON, **sent)
    assert (answer.status_code, answer.json()["state"]) == (200, "acknowledged")
    found = await intake.get(f"/v1/tickets/{ticket_id}")
    assert (found["state"], [fact["type"] for fact in found["facts"]]) == ("open", ["opened", "acknowledged"])
    assert [queued.fact.type for queued in await changes(intake)] == ["acknowledged"]


async def test_concurrent_posts_count_once_and_steps_runs_and_people_count_apart(intake: IntakeWorld) -> None:
    ticket_id = await open_ticket(intake)
    link = link_to(ticket_id)
    answers = await asyncio.gather(*(open_link(intake, link, "POST") for _ in range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(await changes(intake)) == 1
    for other in (
        link_to(ticket_id, step=3, tier=tier(3)),
        link_to(ticket_id, person="ben"),
        link_to(ticket_id, run=2),
    ):
        assert (await open_link(intake, other, "POST")).status_code == 200
    assert len(await changes(intake)) == 4
    assert "by ruth.adeyemi at " in (await open_link(intake, link_to(ticket_id, person="cleo"))).text


async def test_a_client_that_accepts_json_gets_json_and_problems(intake: IntakeWorld) -> None:
    ticket_id = await open_ticket(intake)
    shown = (await open_link(intake, link_to(ticket_id), **JSON)).json()
    assert (shown["state"], shown["external_id"], shown["severity"]) == ("pending", "SR-1042", 1)
    assert (shown["acknowledged_at"], shown["held_until"]) == (None, None)
    taken = (await open_link(intake, link_to(ticket_id), "POST", **JSON)).json()
    at, until = (datetime.fromisoformat(taken[name]) for name in ("acknowledged_at", "held_until"))
    assert until == at + timedelta(hours=1)
    refused = await intake.clients["nobody"].get("/ack/nonsense", headers=JSON)
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["title"] == "Invalid link"


@pytest.mark.rule("5.7")
async def test_a_schedule_later_than_the_hold_stays(intake: IntakeWorld) -> None:
    later = UpcomingStep(at=NOON + timedelta(hours=5), tier=tier(3))
    taken = (await open_link(intake, link_to(await open_ticket(intake), upcoming=later), "POST", **JSON)).json()
    assert taken["held_until"] == "2026-06-08T17:00:00.000000Z"


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_link_that_cannot_acknowledge_says_why(intake: IntakeWorld, method: str) -> None:
    ticket_id = await open_ticket(intake)
    expired = await open_link(intake, link_to(ticket_id, expires_at=NOON), method)
    assert (expired.status_code, "Link expired" in expired.text) == (410, True)
    unknown = await open_link(intake, link_to(str(uuid4())), method)
    assert (unknown.status_code, "Ticket not found" in unknown.text) == (404, True)
    elsewhere = await open_link(intake, link_to(ticket_id, tenant="other"), method)
    assert elsewhere.status_code == 404
    strange = LinkSigner(["s" * 32]).sign(link_to(ticket_id))
    for token in (strange, LINKS.sign(link_to(ticket_id))[:-3], "x" * 5000, "%FF%00"):
        refused = await intake.clients["nobody"].request(method, f"/ack/{token}")
        assert (refused.status_code, "Invalid link" in refused.text) == (404, True)
    await intake.post(f"/v1/tickets/{ticket_id}/events", event("resolved"), 201)
    closed = await open_link(intake, link_to(ticket_id), method)
    assert (closed.status_code, "was resolved by Bob" in closed.text) == (409, True)
    await intake.post(f"/v1/tickets/{ticket_id}/events", event("reopened"), 201)
    reopened = await open_link(intake, link_to(ticket_id), method)
    assert (reopened.status_code, "Ticket reopened" in reopened.text) == (409, True)
    assert "acknowledged" not in [queued.fact.type for queued in await changes(intake)]
    assert (await open_link(intake, link_to(ticket_id, cycle=2), method)).status_code == 200


async def test_a_forged_token_costs_no_database_connection(tmp_path: Path) -> None:
    link = link_to(str(uuid4()))
    async with world("postgresql+asyncpg://nobody:x@127.0.0.1:1/none", tmp_path) as away:
        client = away.clients["nobody"]
        assert (await client.get(f"/ack/{LinkSigner(['another key of ' + 'x' * 32]).sign(link)}")).status_code == 404
        assert (await client.get(f"/ack/{LINKS.sign(link)}")).status_code == 503


async def test_a_large_form_is_rejected(intake: IntakeWorld) -> None:
    token = LINKS.sign(link_to(await open_ticket(intake)))
    too_large = await intake.clients["nobody"].post(f"/ack/{token}", content=b"x" * 2_000_000)
    assert too_large.status_code == 413
    assert await changes(intake) == []
