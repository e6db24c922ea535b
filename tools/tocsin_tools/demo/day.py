"""Plays the demo's day on a running stack: live if its business time runs fast, otherwise as a day in the past."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from tocsin.runtime.process.clock import TimeSource

from tocsin_tools.client import StackClient
from tocsin_tools.demo.check import Evidence, Json
from tocsin_tools.demo.screen import Screen
from tocsin_tools.demo.tickets import DAY, DemoEvent, DemoTicket

POLL_SECONDS: Final = 0.2
CLOSING_EVENT: Final = "evening"


@dataclass
class PlayedTicket:
    """A ticket of the demo in the stack: its id, and its facts in the form of `simulate`, once they are posted."""

    ticket: DemoTicket
    external_id: str
    id: str = ""
    facts: list[Json] = field(default_factory=list)


class DemoDay:
    """A day that begins at the business instant `begins`. `mark` makes the external ids of its tickets unique."""

    def __init__(
        self,
        client: StackClient,
        screen: Screen,
        clock: TimeSource,
        begins: datetime,
        tickets: Sequence[DemoTicket],
        mark: str,
    ) -> None:
        self.tickets = [PlayedTicket(ticket, f"{mark}-{number}") for number, ticket in enumerate(tickets, start=1)]
        self._client = client
        self._screen = screen
        self._clock = clock
        self._begins = begins
        self._shown: set[str] = set()

    async def play_live(self) -> None:
        """Post every opening and event when business time reaches it; return when the day is over."""
        agenda: list[tuple[timedelta, int, DemoEvent | None]] = []
        for number, played in enumerate(self.tickets):
            agenda.append((played.ticket.opened, number, None))
            agenda += [(event.after, number, event) for event in played.ticket.events]
        for after, number, event in sorted(agenda, key=lambda entry: entry[:2]):
            await self._wait_until(after)
            played = self.tickets[number]
            if event is None:
                body = played.ticket.body(played.external_id, self._begins)
                self._record_opening(played, body, await self._client.post("intake", "/v1/tickets", body))
            else:
                body = event.body(self._begins)
                await self._client.post("intake", f"/v1/tickets/{played.id}/events", body)
                self._record_event(played, body, event.text)
        await self._wait_until(DAY)

    async def post_past(self) -> None:
        """Post every ticket at once with all its events; the stack makes up for everything missed, late."""
        bodies = [
            played.ticket.body(played.external_id, self._begins)
            | {"events": [event.body(self._begins) for event in played.ticket.events]}
            for played in self.tickets
        ]
        response = await self._client.post("intake", "/v1/tickets/batch", {"tickets": bodies})
        for played, body, result in zip(self.tickets, bodies, response["results"], strict=True):
            self._record_opening(played, body, result["ticket"])
            for event, event_body in zip(played.ticket.events, body["events"], strict=True):
                self._record_event(played, event_body, event.text)

    async def close(self) -> None:
        """Resolve what is still open: the demo leaves no ladder running."""
        for played in self.tickets:
            if played.ticket.left_open:
                body = {"type": "resolved", "actor": "demo", "event_id": CLOSING_EVENT}
                stored = await self._client.post("intake", f"/v1/tickets/{played.id}/events", body)
                closing = {"type": "resolved", "occurred_at": stored["occurred_at"]}
                self._record_event(played, closing, "resolved: the demo leaves nothing open")

    async def show_mails(self) -> None:
        """Show the mails that arrived since the last call."""
        titles = {played.id: played.ticket.title for played in self.tickets if played.id}
        for mail in await received_mails(self._client):
            if mail["ticket_id"] in titles and mail["id"] not in self._shown:
                self._shown.add(mail["id"])
                self._screen.mail(titles[mail["ticket_id"]], mail)

    async def _wait_until(self, after: timedelta) -> None:
        at = self._begins + after
        while (left := (at - self._clock.now()).total_seconds()) >= 0:
            rate = self._clock.rate
            await asyncio.sleep(min(POLL_SECONDS, left / rate if rate else POLL_SECONDS) + 0.001)
            await self.show_mails()

    def _record_opening(self, played: PlayedTicket, body: Json, stored: Json) -> None:
        ticket = played.ticket
        played.id = stored["ticket_id"]
        opening = {name: body[name] for name in ("severity", "channel")}
        played.facts.append({"type": "opened", "occurred_at": body["opened_at"], **opening})
        self._screen.fact(body["opened_at"], ticket.title, f"opened by {ticket.channel}, severity {ticket.severity}")

    def _record_event(self, played: PlayedTicket, body: Json, text: str) -> None:
        played.facts.append(body)
        self._screen.fact(body["occurred_at"], played.ticket.title, text)


async def collect_evidence(client: StackClient, played: PlayedTicket) -> Evidence:
    """What the services respond about a ticket, its mails, and the simulation of its facts at the same instant."""
    clocks = await client.get("sla-timer", f"/v1/tickets/{played.id}/clocks")
    return Evidence(
        simulated=await client.simulate(played.facts, until=clocks["told_to"], customer=played.ticket.customer),
        clocks=clocks,
        escalation=await client.get("escalator", f"/v1/tickets/{played.id}/escalation"),
        deliveries=[delivery async for delivery in client.items("notifier", "/v1/deliveries", ticket_id=played.id)],
        mails=[mail for mail in await received_mails(client) if mail["ticket_id"] == played.id],
    )


async def received_mails(client: StackClient) -> list[Json]:
    """The mails in the inbox, oldest first, by what their headers say."""
    return [_mail(message) for message in await client.messages()]


def _mail(message: Mapping[str, Any]) -> Json:
    headers = dict(message["headers"])
    return {
        "id": message["id"],
        "to": message["rcpt_to"][0],
        "ticket_id": headers.get("Tocsin-Ticket"),
        "kind": headers.get("Tocsin-Kind"),
        "scheduled_at": headers.get("Tocsin-Scheduled-At"),
        "clock": headers.get("Tocsin-Clock"),
        "tier": headers.get("Tocsin-Tier"),
        "reason": headers.get("Tocsin-Reason"),
        "late": headers.get("Tocsin-Late") == "yes",
    }
