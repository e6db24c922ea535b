"""The pages of a ticket and of who is on call, as the board serves them from its database."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from notifier.domain.smtp_reply import SmtpOutcome
from support.board_world import TENANTS, BoardWorld, board_world
from support.html_page import HtmlPage
from support.metrics import counter_value
from support.servers import MakeDatabase
from tocsin.events import ticket_id
from tocsin.runtime.http.problems import Problem

MONDAY = datetime(2026, 6, 8, 12, tzinfo=UTC)
TICKET = ticket_id("default", "tests", "SR-1")


@pytest.fixture
async def world(make_database: MakeDatabase, tmp_path: Path) -> AsyncIterator[BoardWorld]:
    """A severity 1 ticket that nobody has resolved in time: its tiers 1 and 2 were notified."""
    async with board_world(make_database, tmp_path, MONDAY) as made:
        await made.open_ticket("SR-1", summary='Mail is down <b>now</b> "at once"')
        made.set_clock(MONDAY + timedelta(minutes=10))
        await made.record("SR-1", "responded")
        await made.settle()
        made.set_clock(MONDAY + timedelta(hours=25, minutes=20))
        await made.advance_timer()
        await made.publish()
        yield made


def browser(world: BoardWorld, tenant: str = TENANTS[0]) -> httpx.AsyncClient:
    """A client that asks for HTML, with a key of the tenant."""
    key = world.clients["intake", tenant].headers["Authorization"]
    transport = httpx.ASGITransport(world.board.app)
    return httpx.AsyncClient(
        transport=transport, base_url="http://board", headers={"Authorization": key, "Accept": "text/html"}
    )


async def page_of(world: BoardWorld, path: str, *, status: int = 200, tenant: str = TENANTS[0]) -> HtmlPage:
    async with browser(world, tenant) as client:
        response = await client.get(path)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in response.headers["content-security-policy"]
    return HtmlPage.of(response.text)


async def test_a_ticket_from_its_opening_to_its_mails(world: BoardWorld) -> None:
    await world.settle()
    page = await page_of(world, f"/tickets/{TICKET}")
    assert "Resolution is overdue since 12:10 (1 h 10 min)." in page.text
    assert "Next: tier 3 (IT Operations Director) at 14:10 (in 50 min)." in page.text
    assert "Escalated to tier 2, Senior IT Operations Manager, because the resolution is overdue" in page.text
    assert "Tomás Herrera holds the role Senior IT Operations Manager, as its holder by default." in page.text
    assert "25 h 10 min counted, from Monday 8 June 12:10 to Tuesday 9 June 13:20." in page.text
    assert 'Mail is down <b>now</b> "at once"' in page.text
    assert "b" not in page.tags
    assert "all times in UTC" in page.text


async def test_a_refused_mail_shows_the_reply_of_the_server(world: BoardWorld) -> None:
    for consumer, topic in (("escalator", "tocsin.deadlines.v1"), ("notifier", "tocsin.escalations.v1")):
        await world.read_all(consumer, topic)
        await world.publish()
    await world.attempt_mails(lambda: SmtpOutcome.REFUSED)
    await world.publish()
    await world.settle()
    page = await page_of(world, f"/tickets/{TICKET}")
    assert "The mail server refused the mail to tomas.herrera@example.com at 13:20: as the test says." in page.text
    assert "could not be reached: no mail could be sent at 13:20." in page.text
    assert "no address is left after tomas.herrera@example.com" in page.text


async def test_an_unknown_ticket_is_a_page_that_says_so(world: BoardWorld) -> None:
    await world.settle()
    for path in (f"/tickets/{uuid4()}", "/tickets/SR-1", f"/tickets/{TICKET.hex}", "/tickets/%00"):
        page = await page_of(world, path, status=404)
        assert "Unknown ticket. The board has no ticket with this id." in page.text


async def test_the_ticket_of_another_tenant_is_unknown_too(world: BoardWorld) -> None:
    await world.settle()
    theirs = await page_of(world, f"/tickets/{TICKET}", status=404, tenant="other")
    unknown = await page_of(world, f"/tickets/{uuid4()}", status=404, tenant="other")
    assert theirs.text == unknown.text


async def test_without_access_the_login_is_next(world: BoardWorld) -> None:
    async with browser(world) as client:
        del client.headers["Authorization"]
        for path in (f"/tickets/{TICKET}", "/on-call"):
            response = await client.get(path)
            assert (response.status_code, response.headers["location"]) == (303, f"/login?next={path}")


async def test_while_sla_timer_fails_the_page_shows_what_is_stored(world: BoardWorld) -> None:
    await world.settle()

    async def overloaded(scope: object, receive: object, send: object) -> None:
        await Problem(503, "Overloaded.").response()(scope, receive, send)  # type: ignore[arg-type]

    world.transports["sla-timer"] = httpx.ASGITransport(overloaded)
    await world.restart()
    before = counter_value("sla_board_ledgers_missing_total")
    page = await page_of(world, f"/tickets/{TICKET}")
    assert "sla-timer does not respond, so the steps of the calculation are missing." in page.text
    assert "Resolution is overdue since 12:10 (1 h 10 min)." in page.text
    assert counter_value("sla_board_ledgers_missing_total") == before + 1


async def test_who_is_on_call(world: BoardWorld) -> None:
    page = await page_of(world, "/on-call")
    assert "Service Desk Team Lead Maya Lindqvist, +1 212 555 0101" in page.text
    assert "No handover within two weeks." in page.text
    assert "Every role has a holder for two weeks." in page.text
    theirs = await page_of(world, "/on-call", tenant="other")
    assert "Maya Lindqvist" in theirs.text
    assert "555" not in theirs.text
