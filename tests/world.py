"""The world of the stories: PSA tools that post, time that is moved, people who get mail."""

import asyncio
import contextlib
import itertools
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from datetime import time as clock_time
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from zoneinfo import ZoneInfo

import httpx
from holidays import country_holidays
from servers import tell
from sla_timer.simulate import StoryRequest, simulate
from stories import shipped_policy
from tocsin.events import render_instant
from tocsin_local.clock import Asked
from tocsin_local.quiet import Pipeline
from tocsin_local.stack import Plan, Stack

FIRST_MONDAY = datetime(2026, 6, 8, 12, tzinfo=UTC)
NEW_YORK = ZoneInfo("America/New_York")
HOLIDAYS = country_holidays("US")
OPENING = clock_time(8)
QUIET_SECONDS = 90.0
MICROSECOND = timedelta(microseconds=1)
SERVICES = ("intake", "sla-timer", "escalator", "notifier")


class Clockwork:
    """A running stack and the file by which its business time is moved. It stands still between the moves."""

    def __init__(self, stack: Stack, file: Path) -> None:
        self.stack = stack
        self._file = file
        self.now = FIRST_MONDAY

    def move(self, now: datetime) -> None:
        """Business time jumps to `now`; never back."""
        assert now >= self.now, f"time only moves forward: {now} lies before {self.now}"
        self.now = now
        with self._file.open("a") as file:
            file.write(f"{datetime.now(UTC).isoformat()} {now.isoformat()} 0\n")


@contextlib.contextmanager
def started(folder: Path) -> Iterator[Clockwork]:
    """The whole stack in a folder of its own, its clock standing at FIRST_MONDAY."""
    clock_file = folder / "clock"
    clock_file.write_text(f"2020-01-01T00:00:00+00:00 {FIRST_MONDAY.isoformat()} 0\n")
    plan = Plan(
        state=folder / "state",
        port_offset=20000,
        clock=Asked(render_instant(FIRST_MONDAY), 1.0, None),
        durable=False,
        settings={
            "TOCSIN_CLOCK_FILE": str(clock_file),
            "TOCSIN_SILENCE_SECONDS": "4",
            "TOCSIN_PROBE_SECONDS": "0.5",
        },
    )
    stack = Stack(plan, tell)
    with stack.state.held():
        try:
            stack.start()
            yield Clockwork(stack, clock_file)
        finally:
            stack.stop()


@dataclass(frozen=True)
class Mail:
    """A mail as the sink took it: to whom, and what its headers say."""

    to: str
    subject: str
    text: str
    headers: Mapping[str, str]

    @property
    def kind(self) -> str:
        return self.headers["Tocsin-Kind"]

    @property
    def tier(self) -> int:
        return int(self.headers["Tocsin-Tier"])

    @property
    def scheduled_at(self) -> str:
        return self.headers["Tocsin-Scheduled-At"]


@dataclass
class Ticket:
    """A ticket of a story: its id, and its facts as the simulation takes them."""

    id: str
    external_id: str
    facts: list[dict[str, Any]] = field(default_factory=list)


class World:
    """One story's world. Instants are aware datetimes; `monday` is the opening hour at which the story begins."""

    _numbers = itertools.count(1)

    def __init__(self, clockwork: Clockwork) -> None:
        self._clockwork = clockwork
        self.stack = clockwork.stack

    async def __aenter__(self) -> Self:
        self.run = self.stack.run
        self._http = httpx.AsyncClient(headers={"Authorization": f"Bearer {self.run['api_key']}"}, timeout=30)
        self.pipeline = await Pipeline(self.run).__aenter__()
        self.monday = _ordinary_monday(self.now)
        await self.comes_to(self.monday)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.pipeline.__aexit__(kind, error, trace)
        await self._http.aclose()

    @property
    def now(self) -> datetime:
        return self._clockwork.now

    def after(self, **duration: float) -> datetime:
        """An instant of the story: so long after it began."""
        return self.monday + timedelta(**duration)

    async def comes_to(self, instant: datetime) -> None:
        """Time moves to `instant` itself: what falls due then is not judged yet, facts of that instant can come."""
        self._clockwork.move(max(instant, self.now))
        await self.settles()

    async def reaches(self, instant: datetime) -> None:
        """Time moves past `instant`: everything due up to it has been told, mailed and settled."""
        await self.comes_to(instant + MICROSECOND)

    async def climbs_to(self, instant: datetime, *, by: timedelta = timedelta(hours=1)) -> None:
        """Time moves past `instant` in steps, so that nobody is late."""
        while self.now + by < instant:
            await self.reaches(self.now + by)
        await self.reaches(instant)

    def jumps_to(self, instant: datetime) -> None:
        """Time moves without anybody waiting for what it brings."""
        self._clockwork.move(instant)

    async def settles(self) -> None:
        """Waits until the pipeline is quiet."""

        async def quiet() -> bool:
            return not await self.pipeline.busy(self.now - MICROSECOND)

        await eventually(quiet, f"the pipeline is quiet at {self.now}", QUIET_SECONDS)

    async def opens(self, severity: int = 1, **more: Any) -> Ticket:
        """A customer's PSA tool posts a ticket, opened now."""
        external_id = f"SR-{next(World._numbers)}"
        body = {
            "source": "connectwise",
            "external_id": external_id,
            "severity": severity,
            "summary": "Mail is down",
            "affected_services": ["Email"],
            "contact": {"name": "Ada Byron", "email": "ada@acme.example"},
            "customer": {"id": "acme", "name": "Acme"},
        } | more
        answer = await self.posts("/v1/tickets", body)
        ticket = Ticket(answer["ticket_id"], external_id)
        ticket.facts.append(
            {
                "type": "opened",
                "occurred_at": answer["opened_at"],
                "severity": answer["initial_severity"],
                "channel": body.get("channel", "portal"),
                "category": body.get("category", "incident"),
                "sender_is_it_contact": body.get("sender_is_it_contact", False),
            }
        )
        return ticket

    async def happens(self, ticket: Ticket, kind: str, at: datetime | None = None, **more: Any) -> dict[str, Any]:
        """Something happens to the ticket, now or at an instant that has passed, and its PSA tool posts it."""
        body: dict[str, Any] = {"type": kind, "actor": "ada"} | more
        if at is not None:
            body["occurred_at"] = render_instant(at)
        answer = await self.posts(f"/v1/tickets/{ticket.id}/events", body)
        ticket.facts.append({"type": kind, "occurred_at": answer["occurred_at"]} | more)
        return answer

    async def posts(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """POST to intake. Anything but a 2xx fails the story."""
        answer = await self._http.post(self.run["urls"]["intake"] + path, json=body)
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def asks(self, service: str, path: str) -> dict[str, Any]:
        """GET from a service."""
        answer = await self._http.get(self.run["urls"][service] + path)
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def mails(self, ticket: Ticket, kind: str | None = None) -> list[Mail]:
        """What arrived about a ticket, oldest first; the same message handed over twice counts twice."""
        return [
            mail
            for mail in await self.all_mails()
            if mail.headers.get("Tocsin-Ticket") == ticket.id and (kind is None or mail.kind == kind)
        ]

    async def all_mails(self) -> list[Mail]:
        """Everything that arrived since the session began, oldest first."""
        answer = await self._http.get(self.run["urls"]["inbox"] + "/messages")
        return [
            Mail(message["rcpt_to"][0], message["subject"], message["text"], dict(message["headers"]))
            for message in answer.json()
        ]

    async def clocks(self, ticket: Ticket) -> dict[str, Any]:
        """What sla-timer says of the ticket."""
        return await self.asks("sla-timer", f"/v1/tickets/{ticket.id}/clocks")

    def simulated(self, ticket: Ticket, until: str | None = None) -> dict[str, Any]:
        """What the pure function says of the same facts, told to now."""
        until = until or render_instant(self.now - MICROSECOND)
        story = StoryRequest.model_validate_json(json.dumps({"facts": ticket.facts, "until": until}))
        return simulate(story, [shipped_policy()])

    async def told_alike(self, ticket: Ticket) -> dict[str, Any]:
        """That mails, APIs and the pure function tell the same; what they tell.

        Only for tickets of which nothing was ever told that turned out untrue: what was mailed stays mailed.
        """
        live = await self.clocks(ticket)
        pure = self.simulated(ticket, live["told_to"])
        for name in ("severity", "first_responded_at", "next_at", "next", "ladder", "exhausted_at"):
            assert live[name] == pure[name], f"{name}: {live[name]} but {pure[name]}"
        for one, other in zip(live["clocks"], pure["clocks"], strict=True):
            assert {name: one[name] for name in other} == other
        mailed = [
            (int(mail.headers["Tocsin-Step"]), mail.scheduled_at, mail.headers["Tocsin-Reason"])
            for mail in await self.mails(ticket, "escalation")
        ]
        assert mailed == [(step["step"], step["at"], step["reason"]) for step in pure["ladder"]]
        return live

    async def escalation(self, ticket: Ticket) -> dict[str, Any]:
        """What the escalator says of the ticket's ladder."""
        return await self.asks("escalator", f"/v1/tickets/{ticket.id}/escalation")

    async def everything_runs(self) -> None:
        """Waits until every service is ready, having been started again where it died."""

        async def ready() -> bool:
            try:
                answers = [await self._http.get(f"{self.run['urls'][service]}/readyz") for service in SERVICES]
            except httpx.TransportError:
                return False
            return all(answer.is_success for answer in answers)

        await eventually(ready, "every service is ready", 90)

    async def stops(self, *parts: str) -> None:
        for part in parts:
            await asyncio.to_thread(self.stack.stop_part, part)

    async def kills(self, *parts: str) -> None:
        for part in parts:
            await asyncio.to_thread(self.stack.kill_part, part)

    async def starts(self, *parts: str) -> None:
        for part in parts:
            await asyncio.to_thread(self.stack.start_part, part)


def _ordinary_monday(now: datetime) -> datetime:
    """The next Monday, 08:00 in New York, that begins two weeks without a holiday and without a clock change."""
    day = now.astimezone(NEW_YORK).date()
    while True:
        day += timedelta(days=(7 - day.weekday()) % 7 or 7)
        weeks = [datetime.combine(day + timedelta(days=n), OPENING, NEW_YORK) for n in range(15)]
        if not any(each.date() in HOLIDAYS for each in weeks) and weeks[0].utcoffset() == weeks[-1].utcoffset():
            return weeks[0].astimezone(UTC)


async def eventually(condition: Callable[[], Any], what: str, seconds: float = 30.0) -> None:
    """Polls an async condition until it holds; fails the story at the deadline."""
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        await asyncio.sleep(0.05)


def tiers(mails: Sequence[Mail]) -> list[int]:
    return [mail.tier for mail in mails]
