"""The world of the stories: PSA tools that post, time that is moved, people who get mail."""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from tocsin.instants import render_instant
from tocsin_local.idle import Pipeline

from support.consistency import Answer, Ticket, Told, agree, agree_on_clocks
from support.inbox import Mail, mail_of
from support.movable_stack import Clockwork, ordinary_monday
from support.polling import eventually
from support.stack_control import Parts

CLIENTS = 16
MICROSECOND = timedelta(microseconds=1)
TICKET: Answer = {
    "source": "connectwise",
    "severity": 1,
    "summary": "Mail is down",
    "affected_services": ["Email"],
    "contact": {"name": "Ada Byron", "email": "ada@acme.example"},
    "customer": {"id": "acme", "name": "Acme"},
}
Result = TypeVar("Result")


class World:
    """One story's world. Instants are aware datetimes; `monday` is the opening hour at which the story begins."""

    _numbers = itertools.count(1)

    def __init__(self, clockwork: Clockwork) -> None:
        self._clockwork = clockwork
        self._tickets: list[Ticket] = []
        self.parts = Parts(clockwork.stack)
        self.directory = clockwork.directory

    async def __aenter__(self) -> Self:
        run = self._clockwork.stack.run
        self._urls: Mapping[str, str] = run["urls"]
        limits = httpx.Limits(max_connections=CLIENTS, max_keepalive_connections=CLIENTS)
        self._http = httpx.AsyncClient(headers={"Authorization": f"Bearer {run['api_key']}"}, timeout=60, limits=limits)
        self._pipeline = await Pipeline(run).__aenter__()
        self.monday = ordinary_monday(self.now)
        await self.comes_to(self.monday)
        await self._http.delete(f"{self._urls['inbox']}/messages")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leaves the world as it was found: every part running, the shipped directory, and no ticket open."""
        try:
            await self.parts.restore()
            self.directory.restore()
            await self._clockwork.run(0)
            await self.together(self.happens(ticket, "cancelled") for ticket in self._tickets if ticket.is_open)
        finally:
            await self._pipeline.__aexit__(kind, error, trace)
            await self._http.aclose()

    @property
    def now(self) -> datetime:
        return self._clockwork.now

    def after(self, **duration: float) -> datetime:
        """An instant of the story: so long after it began."""
        return self.monday + timedelta(**duration)

    async def comes_to(self, instant: datetime) -> None:
        """Time moves to `instant` itself: what falls due then is not judged yet, facts of that instant can come."""
        await self.jumps_to(max(instant, self.now))
        await self.settles()

    async def reaches(self, instant: datetime) -> None:
        """Time moves past `instant`: everything due up to it has been told, mailed and settled."""
        await self.comes_to(instant + MICROSECOND)

    async def climbs_to(self, instant: datetime) -> None:
        """Time moves past `instant` and stops wherever something of an open ticket is due, so that nobody is late."""
        await self.jumps_to(self.now + MICROSECOND)
        while coming := [due for ticket in self._tickets if (due := self._next_due(ticket)) and due <= instant]:
            await self.reaches(min(coming))
        await self.reaches(instant)

    async def jumps_to(self, instant: datetime) -> None:
        """Time moves without anybody waiting for what it brings."""
        await self._clockwork.move(instant)

    async def runs(self, rate: float = 1.0) -> None:
        """Time runs by itself from now on, until it is moved again; `rate` 0 stops it."""
        await self._clockwork.run(rate)

    async def settles(self) -> None:
        """Waits until the pipeline is quiet."""
        busy: object = None

        async def quiet() -> bool:
            nonlocal busy
            busy = await self._pipeline.busy(self.now - MICROSECOND)
            return not busy

        await eventually(quiet, lambda: f"the pipeline is quiet at {self.now}, but {busy}")

    async def opens(self, severity: int = 1, **more: Any) -> Ticket:
        """A customer's PSA tool posts a ticket, opened now."""
        body = self.request(severity, **more)
        return self.opened(body, await self.posts("/v1/tickets", body))

    async def opens_many(self, count: int, *events: str) -> list[Ticket]:
        """Critical tickets in one batch, opened now, with what happened to each at once."""
        bodies = [self.request() for _ in range(count)]
        happened = [{"type": kind, "actor": "ada", "occurred_at": render_instant(self.now)} for kind in events]
        answer = await self.posts("/v1/tickets/batch", {"tickets": [body | {"events": happened} for body in bodies]})
        tickets = []
        for body, result in zip(bodies, answer["results"], strict=True):
            assert result["status"] == 201, result
            tickets.append(self.opened(body, result["ticket"]))
            tickets[-1].facts += [{"type": event["type"], "occurred_at": event["occurred_at"]} for event in happened]
        return tickets

    def request(self, severity: int = 1, **more: Any) -> Answer:
        """The body of a new ticket."""
        return TICKET | {"external_id": f"SR-{next(World._numbers)}", "severity": severity} | more

    def opened(self, body: Answer, answer: Answer) -> Ticket:
        """The ticket that `answer` tells has been taken in; it is withdrawn when the story ends."""
        ticket = Ticket(answer["ticket_id"], body["external_id"], body["customer"]["id"])
        fact = {"type": "opened", "occurred_at": answer["opened_at"], "severity": answer["initial_severity"]}
        ticket.facts.append(
            fact | {name: body[name] for name in ("channel", "category", "sender_is_it_contact") if name in body}
        )
        self._tickets.append(ticket)
        return ticket

    async def happens(self, ticket: Ticket, kind: str, at: datetime | None = None, **more: Any) -> None:
        """Something happens to the ticket, now or at an instant that has passed, and its PSA tool posts it."""
        body: Answer = {"type": kind, "actor": "ada"} | more
        if at is not None:
            body["occurred_at"] = render_instant(at)
        answer = await self.posts(f"/v1/tickets/{ticket.id}/events", body)
        ticket.facts.append({"type": kind, "occurred_at": answer["occurred_at"]} | more)

    async def posts(self, path: str, body: Answer) -> Answer:
        """POST to intake. Anything but a 2xx fails the story."""
        answer = await self._http.post(self._urls["intake"] + path, json=body)
        assert answer.is_success, answer.text
        found: Answer = answer.json()
        return found

    async def insists(self, path: str, body: Answer) -> Answer:
        """POST to intake again and again until it is taken, as a client does that was not answered."""
        found: list[Answer] = []

        async def taken() -> bool:
            try:
                answer = await self._http.post(self._urls["intake"] + path, json=body)
            except httpx.TransportError:
                return False
            if answer.is_success:
                found.append(answer.json())
            assert answer.is_success or answer.status_code >= 500, answer.text
            return answer.is_success

        await eventually(taken, f"intake takes {body}")
        return found[0]

    async def together(self, work: Iterable[Awaitable[Result]]) -> list[Result]:
        """Does many things at once, as many as there are clients."""
        clients = asyncio.Semaphore(CLIENTS)

        async def one(awaitable: Awaitable[Result]) -> Result:
            async with clients:
                return await awaitable

        return await asyncio.gather(*(one(awaitable) for awaitable in work))

    async def asks(self, service: str, path: str) -> Answer:
        """GET from a service."""
        answer = await self._http.get(self._urls[service] + path)
        assert answer.is_success, answer.text
        found: Answer = answer.json()
        return found

    async def answers(self, service: str, path: str) -> bool:
        """Whether a GET from a service finds something, now."""
        try:
            return (await self._http.get(self._urls[service] + path)).is_success
        except httpx.TransportError:
            return False

    async def mails(self, ticket: Ticket, kind: str | None = None) -> list[Mail]:
        """What arrived about a ticket, oldest first; the same message handed over twice counts twice."""
        return [mail for mail in (await self.all_mails())[ticket.id] if kind in (None, mail.kind)]

    async def all_mails(self) -> dict[str, list[Mail]]:
        """Everything that arrived since the story began, by ticket, oldest first."""
        answer = await self._http.get(f"{self._urls['inbox']}/messages")
        found: dict[str, list[Mail]] = defaultdict(list)
        for mail in map(mail_of, answer.json()):
            found[mail.ticket_id].append(mail)
        return found

    async def clocks(self, ticket: Ticket) -> Answer:
        """What sla-timer says of the ticket, which is what the pure function says."""
        clocks = await self.asks("sla-timer", f"/v1/tickets/{ticket.id}/clocks")
        agree_on_clocks(clocks, ticket.simulated(clocks["told_to"]))
        return clocks

    async def escalation(self, ticket: Ticket) -> Answer:
        """What the escalator says of the ticket's ladder."""
        return await self.asks("escalator", f"/v1/tickets/{ticket.id}/escalation")

    async def deliveries(self, ticket: Ticket) -> Sequence[Answer]:
        """What the notifier says of the ticket's mails."""
        found: Sequence[Answer] = (await self.asks("notifier", f"/v1/deliveries?ticket_id={ticket.id}"))["items"]
        return found

    async def told_alike(self, *tickets: Ticket, mails: Mapping[str, Sequence[Mail]] | None = None) -> list[Answer]:
        """That mails (by default all that arrived), APIs and the pure function tell the same (see `agreement.agree`).

        Returned: what sla-timer tells.
        """
        mails = await self.all_mails() if mails is None else mails
        return await self.together(self._told_alike(ticket, mails.get(ticket.id, ())) for ticket in tickets)

    async def _told_alike(self, ticket: Ticket, mails: Sequence[Mail]) -> Answer:
        clocks = await self.asks("sla-timer", f"/v1/tickets/{ticket.id}/clocks")
        ladders = (await self.asks("escalator", f"/v1/escalations?ticket_id={ticket.id}"))["items"]
        told = Told(clocks, ladders, await self.deliveries(ticket), mails)
        agree(told, ticket.simulated(clocks["told_to"]))
        return clocks

    def _next_due(self, ticket: Ticket) -> datetime | None:
        upcoming = ticket.simulated(render_instant(self.now - MICROSECOND))["next_at"]
        return datetime.fromisoformat(upcoming) if upcoming else None
