"""A day on a whole stack while a real Prometheus scrapes it, with all that metrics, alerts and panels are about."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from tocsin.instants import render_instant
from tocsin.runtime.process.clock import BusinessClock
from tocsin_tools.demo import run as demo
from tocsin_tools.demo.tickets import DAY

from support.consistency import PostedTicket
from support.movable_stack import MAIL_SECRET, MovableStack
from support.prometheus import PrometheusClient
from support.scenario import Scenario
from support.stories import shipped_policy

RECORDED = Path(__file__).parents[1] / "recorded"
LINK = re.compile(r"http://127\.0\.0\.1:\d+/ack/[\w.-]+")
MAJOR = {"business_risk": "major", "work_stoppage": "significant", "users_affected_percent": 50}
IMPORTED = 100
ARCHIVE = "archive"
"""The source of the imported tickets."""
NEW_SOURCE = "first-seen"

Json = dict[str, Any]


@dataclass
class ObservedDay:
    """The stack after the day, its APIs, and what Prometheus said at two moments of the day."""

    stack: MovableStack
    prometheus: PrometheusClient
    fired_after_import: dict[str, Any] = field(default_factory=dict)
    first_ticket_increase: float = 0.0
    hooks: Mapping[str, int] = field(default_factory=dict)
    """How many webhooks were posted, by their expected result."""

    @property
    def now(self) -> datetime:
        return self.stack.now

    def get(self, service: str, path: str, **query: Any) -> Json:
        """The JSON of a GET. Fails the test unless it succeeds."""
        run = self.stack.stack.run
        headers = {"Authorization": f"Bearer {run['api_key']}"}
        response = httpx.get(run["urls"][service] + path, params=query, headers=headers, timeout=60)
        assert response.is_success, response.text
        found: Json = response.json()
        return found

    def messages(self) -> list[Json]:
        """Every mail in the inbox."""
        found: list[Json] = httpx.get(self.stack.stack.run["urls"]["inbox"] + "/messages").json()
        return found

    def items(self, service: str, path: str, **query: Any) -> Iterator[Json]:
        """Every item of a paged list."""
        page: Json = {"next_cursor": None}
        while True:
            cursor = {"cursor": page["next_cursor"]} if page["next_cursor"] else {}
            page = self.get(service, path, limit=500, **query, **cursor)
            yield from page["items"]
            if not page.get("next_cursor"):
                return

    def clocks(self) -> list[Json]:
        """The timelines of all tickets, each with its `severity` and `channel`."""
        tickets = self.items("intake", "/v1/tickets")
        return [self.get("sla-timer", f"/v1/tickets/{ticket['ticket_id']}/clocks") | ticket for ticket in tickets]


async def play(day: ObservedDay, scenario: Scenario) -> None:
    """Play the day; tickets stay open at its end."""
    run = day.stack.stack.run
    await _import_history(day, scenario)
    begins = scenario.now - DAY - timedelta(minutes=1)
    standing = BusinessClock(scenario.now, datetime.now(UTC), 0.0)
    assert await demo.play(run, shipped_policy(), standing, begins, Console(file=StringIO()), live=False)
    await _post_a_first_ticket(day, scenario)

    morning = scenario.now
    await scenario.open_ticket(severity=1, source="halopsa")  # nobody ever responds: the ladder runs to its end
    late = await scenario.open_ticket(severity=1)
    voided = await scenario.open_ticket(severity=1)
    paused = await scenario.open_ticket(severity=2)
    warned = await scenario.open_ticket(severity=2)
    chats = [await scenario.open_ticket(severity=3, channel="chat") for _ in range(3)]
    await scenario.open_ticket(severity=4, channel="voicemail")
    await scenario.open_ticket(severity=2, channel="email")
    disputed = await scenario.open_ticket(severity=4, impact=MAJOR)
    await scenario.advance_stepwise_past(morning + timedelta(minutes=4))
    await scenario.post_event(chats[0], "responded")
    for ticket in (paused, warned):
        await scenario.post_event(ticket, "responded")
    await scenario.post_event(paused, "paused")
    await scenario.advance_stepwise_past(morning + timedelta(minutes=90))
    await scenario.post_event(voided, "responded", at=morning + timedelta(minutes=10))  # its breach did not happen
    await scenario.post_event(chats[1], "responded")
    await scenario.advance_stepwise_past(morning + timedelta(hours=3))
    await scenario.post_event(late, "responded")
    await scenario.post_event(voided, "resolved", at=morning + timedelta(hours=2))
    await scenario.advance_stepwise_past(morning + timedelta(hours=28, minutes=30))
    await _acknowledge(scenario, late)
    await scenario.advance_stepwise_past(morning + timedelta(hours=31, minutes=10))
    assert disputed.is_open
    await _bounce(day, scenario)
    await _post_webhooks(day)
    async with httpx.AsyncClient(headers={"Authorization": "Bearer tcs_nobody_x"}) as stranger:
        for _ in range(2):
            assert (await stranger.get(run["urls"]["intake"] + "/v1/tickets")).status_code == 401
    await scenario.wait_until_idle()


async def _import_history(day: ObservedDay, scenario: Scenario) -> None:
    """Import a hundred old tickets: each was answered and solved late."""
    opened = scenario.now - timedelta(days=20)

    def event(kind: str, **after: float) -> Json:
        return {"type": kind, "actor": "ada", "occurred_at": render_instant(opened + timedelta(**after))}

    tickets = [
        scenario.ticket_request(severity=1 + number % 2, opened_at=render_instant(opened), source=ARCHIVE)
        | {"history": True, "events": [event("responded", hours=5), event("resolved", days=4)]}
        for number in range(IMPORTED)
    ]
    response = await scenario.post("/v1/tickets/batch", {"tickets": tickets})
    assert {result["status"] for result in response["results"]} == {201}
    await scenario.wait_until_idle()
    await day.prometheus.scraped(times=4)
    day.fired_after_import = day.prometheus.firing()


async def _post_a_first_ticket(day: ObservedDay, scenario: Scenario) -> None:
    await day.prometheus.scraped()
    await scenario.open_ticket(severity=2, source=NEW_SOURCE)
    await day.prometheus.scraped(times=3)
    created = f'sla_tickets_ingested_total{{source="{NEW_SOURCE}",severity="2",result="created"}}'
    day.first_ticket_increase = day.prometheus.value(f"sum(increase({created}[1m]))")


async def _acknowledge(scenario: Scenario, ticket: PostedTicket) -> None:
    """Open the link of the ticket's last mail about its ladder, and use it."""
    mail = (await scenario.mails(ticket, "escalation"))[-1]
    (link,) = set(LINK.findall(mail.text))
    async with httpx.AsyncClient() as phone:
        assert (await phone.get(link)).is_success
        response = (await phone.post(link, headers={"Accept": "application/json"})).json()
    ticket.facts.append({"type": "acknowledged", "occurred_at": response["acknowledged_at"]})


async def _bounce(day: ObservedDay, scenario: Scenario) -> None:
    """Report that the first mail did not arrive, and something that is not a report."""
    sent = next(day.items("notifier", "/v1/deliveries", state="sent"))
    report = (RECORDED / "bounces/postfix_failed.eml").read_bytes()
    report = report.replace(b"<5f1e6c1e-8a0e-5b58-9a53-0d1c7a3e2b11@example.org>", sent["message_id"].encode())
    report = report.replace(b"dana@example.com", sent["recipient"].encode())
    run = day.stack.stack.run
    headers = {"Authorization": f"Bearer {run['api_key']}", "Content-Type": "message/rfc822"}
    async with httpx.AsyncClient(base_url=run["urls"]["notifier"], headers=headers) as api:
        assert (await api.post("/v1/bounces", content=report)).is_success
        assert (await api.post("/v1/bounces", content=b"Subject: no report\r\n\r\nhello")).status_code == 202
    await scenario.wait_until_idle()


async def _post_webhooks(day: ObservedDay) -> None:
    """Post webhooks that are mapped, not mapped and forged, and a mail that a machine wrote."""
    secret = day.stack.stack.state.hook_secret()
    ticket = {
        "ticket_id": 77,
        "ticket_subject": "VPN is down",
        "ticket_status": "Open",
        "ticket_priority": "Urgent",
        "ticket_requester_name": "Ada Byron",
        "ticket_requester_email": "ada@acme.example",
        "ticket_company_name": "Acme",
    }
    bodies = {"taken": ticket, "unmapped": ticket | {"ticket_id": 78, "ticket_status": "Unheard of"}}
    async with httpx.AsyncClient(base_url=day.stack.stack.run["urls"]["intake"]) as tool:
        for body in bodies.values():
            headers = {"X-Tocsin-Secret": secret}
            response = await tool.post("/v1/hooks/freshdesk/default", json={"freshdesk_webhook": body}, headers=headers)
            assert response.is_success, response.text
        forged = await tool.post("/v1/hooks/freshdesk/default", json={}, headers={"X-Tocsin-Secret": "wrong"})
        assert forged.status_code == 401
        mail = (RECORDED / "mails/auto_reply.eml").read_bytes()
        headers = {"Content-Type": "message/rfc822", "Authorization": f"Bearer {MAIL_SECRET}"}
        assert (await tool.post("/v1/hooks/email/default", content=mail, headers=headers)).is_success
    day.hooks = {"taken": 1, "unmapped": 1, "forged": 1, "ignored": 1}
