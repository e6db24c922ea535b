"""How the demo's day is played on a running stack: as it happens where time runs fast, else all told at once."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import httpx
from tocsin.runtime.process.clock import TimeSource
from tocsin_local.calls import Calls, stored_policies
from tocsin_local.demo.checking import Findings
from tocsin_local.demo.screen import Screen
from tocsin_local.demo.stories import DAY, Event, Story, event_body
from tocsin_local.diff import pure
from tocsin_local.running import Run

LOOK_SECONDS: Final = 0.2
EVENING: Final = "evening"


@dataclass
class Played:
    """A story's ticket: its id once it is posted, and its facts as the simulation takes them."""

    story: Story
    external_id: str
    id: str = ""
    facts: list[dict[str, Any]] = field(default_factory=list)


class Day:
    """The stories of one day that begins at the business instant `begins`."""

    def __init__(self, run: Run, calls: Calls, screen: Screen, clock: TimeSource, begins: datetime) -> None:
        self._run = run
        self._calls = calls
        self._screen = screen
        self._clock = clock
        self._begins = begins
        self._shown: set[str] = set()

    async def played(self, stories: Sequence[Story], mark: str) -> list[Played]:
        """Every opening and event is posted when business time reaches it. Returns when the day is over."""
        day = [Played(story, f"{mark}-{number}") for number, story in enumerate(stories, start=1)]
        agenda: list[tuple[timedelta, int, Event | None]] = []
        for number, ticket in enumerate(day):
            agenda.append((ticket.story.opened, number, None))
            agenda += [(event.after, number, event) for event in ticket.story.events]
        for after, number, event in sorted(agenda, key=lambda entry: entry[:2]):
            await self._comes_to(after, day)
            ticket = day[number]
            if event is None:
                await self._opens(ticket)
            else:
                await self._happens(ticket, event)
        await self._comes_to(DAY, day)
        return day

    async def told(self, stories: Sequence[Story], mark: str) -> list[Played]:
        """Every ticket is posted at once with all that has happened to it; what was missed is told at once, late."""
        day = [Played(story, f"{mark}-{number}") for number, story in enumerate(stories, start=1)]
        items = [
            ticket.story.body(ticket.external_id, self._begins)
            | {"events": [event_body(event, self._begins) for event in ticket.story.events]}
            for ticket in day
        ]
        answer = await self._calls.post("/v1/tickets/batch", {"tickets": items})
        for ticket, item, result in zip(day, items, answer["results"], strict=True):
            ticket.id = result["ticket"]["ticket_id"]
            ticket.facts = [_opening(item), *item["events"]]
            self._screen.fact(item["opened_at"], ticket.story.title, _opened(ticket.story))
            for event, body in zip(ticket.story.events, item["events"], strict=True):
                self._screen.fact(body["occurred_at"], ticket.story.title, event.says)
        return day

    async def closed(self, day: Sequence[Played]) -> datetime:
        """In the evening what is still open is resolved: nobody is called for a demo. When intake received the last."""
        received = self._clock.now()
        for ticket in day:
            if ticket.story.left_open:
                body = {"type": "resolved", "actor": "demo", "event_id": EVENING}
                answer = await self._calls.post(f"/v1/tickets/{ticket.id}/events", body)
                ticket.facts.append({"type": "resolved", "occurred_at": answer["occurred_at"]})
                self._screen.fact(answer["occurred_at"], ticket.story.title, "resolved: a demo leaves nothing open")
                received = datetime.fromisoformat(answer["received_at"])
        return received

    async def show_mails(self, day: Sequence[Played]) -> None:
        """Shows what has arrived since it was last looked."""
        titles = {ticket.id: ticket.story.title for ticket in day if ticket.id}
        for mail in await mails_in(self._run["urls"]["inbox"]):
            if mail["ticket_id"] in titles and mail["id"] not in self._shown:
                self._shown.add(mail["id"])
                self._screen.mail(titles[mail["ticket_id"]], mail)

    async def _comes_to(self, after: timedelta, day: Sequence[Played]) -> None:
        at = self._begins + after
        while (left := (at - self._clock.now()).total_seconds()) >= 0:
            await asyncio.sleep(
                min(LOOK_SECONDS, left / self._clock.rate if self._clock.rate else LOOK_SECONDS) + 0.001
            )
            await self.show_mails(day)

    async def _opens(self, ticket: Played) -> None:
        body = ticket.story.body(ticket.external_id, self._begins)
        answer = await self._calls.post("/v1/tickets", body)
        ticket.id = answer["ticket_id"]
        ticket.facts.append(_opening(body))
        self._screen.fact(body["opened_at"], ticket.story.title, _opened(ticket.story))

    async def _happens(self, ticket: Played, event: Event) -> None:
        body = event_body(event, self._begins)
        await self._calls.post(f"/v1/tickets/{ticket.id}/events", body)
        ticket.facts.append(body)
        self._screen.fact(body["occurred_at"], ticket.story.title, event.says)


async def findings(run: Run, calls: Calls, ticket: Played) -> Findings:
    """What the services tell of a ticket, and the rules."""
    policies = await stored_policies(run)
    clocks = await calls.get("sla-timer", f"/v1/tickets/{ticket.id}/clocks")
    mails = await mails_in(run["urls"]["inbox"])
    return Findings(
        pure=pure(ticket.facts, ticket.story.customer, clocks, policies),
        clocks=clocks,
        escalation=await calls.get("escalator", f"/v1/tickets/{ticket.id}/escalation"),
        deliveries=[delivery async for delivery in calls.pages("notifier", "/v1/deliveries", ticket_id=ticket.id)],
        mails=[mail for mail in mails if mail["ticket_id"] == ticket.id],
    )


async def mails_in(inbox: str) -> list[Mapping[str, Any]]:
    """The mails that arrived, oldest first, by what their headers say."""
    async with httpx.AsyncClient(timeout=30) as http:
        messages = (await http.get(f"{inbox}/messages")).raise_for_status().json()
    return [_mail(message["id"], message["rcpt_to"][0], dict(message["headers"])) for message in messages]


def _mail(id_: str, to: str, headers: Mapping[str, str]) -> Mapping[str, Any]:
    return {
        "id": id_,
        "to": to,
        "ticket_id": headers.get("Tocsin-Ticket"),
        "kind": headers.get("Tocsin-Kind"),
        "scheduled_at": headers.get("Tocsin-Scheduled-At"),
        "clock": headers.get("Tocsin-TimeSource"),
        "tier": headers.get("Tocsin-Tier"),
        "reason": headers.get("Tocsin-Reason"),
        "late": headers.get("Tocsin-Late") == "yes",
    }


def _opening(body: Mapping[str, Any]) -> dict[str, Any]:
    opening = {name: body[name] for name in ("severity", "channel")}
    return {"type": "opened", "occurred_at": body["opened_at"], **opening}


def _opened(story: Story) -> str:
    return f"opened by {story.channel}, severity {story.severity}"
