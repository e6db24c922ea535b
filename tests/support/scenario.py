"""What a scenario does: post tickets and events as a PSA tool does, move business time, read mails and responses."""

import asyncio
import itertools
from collections import Counter, defaultdict
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import uuid4

import httpx
from tocsin.instants import render_instant

from support.consistency import Json, Observed, PostedTicket, assert_clocks_match, assert_consistent
from support.inbox import ReceivedMail, parse_message
from support.movable_stack import MAIL_SECRET, MovableStack, next_ordinary_monday
from support.pipeline import Pipeline
from support.polling import eventually
from support.stack_control import StackControl

MAX_CONNECTIONS = 16
ACCEPTED_SECONDS = 180.0
"""Longer than any outage of a test."""
MICROSECOND = timedelta(microseconds=1)
TICKET: Json = {
    "source": "connectwise",
    "severity": 1,
    "summary": "Mail is down",
    "affected_services": ["Email"],
    "contact": {"name": "Ada Byron", "email": "ada@acme.example"},
    "customer": {"id": "acme", "name": "Acme"},
}
Result = TypeVar("Result")


class Scenario:
    """One test's use of the shared stack. It starts on a Monday morning, with every part running and an empty inbox."""

    _numbers = itertools.count(1)

    def __init__(self, movable_stack: MovableStack) -> None:
        self.kafka = movable_stack.stack.kafka.bootstrap
        self._movable_stack = movable_stack
        self._tickets: list[PostedTicket] = []
        self.stack = StackControl(movable_stack.stack)
        self.directory = movable_stack.directory

    async def __aenter__(self) -> Self:
        run = self._movable_stack.stack.run
        self._urls: Mapping[str, str] = run["urls"]
        self.post_to("intake")
        limits = httpx.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS)
        self._http = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {run['api_key']}"}, timeout=120, limits=limits
        )
        self._pipeline = await Pipeline(run).__aenter__()
        self.start = next_ordinary_monday(self.now)
        await self.advance_to(self.start)
        await self._http.delete(f"{self._urls['inbox']}/messages")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leaves the stack as it was: every part running, the shipped directory, no open ticket."""
        try:
            await self.stack.reset()
            self.directory.reset()
            self.post_to("intake")
            await self.make_mail_server_fail("none")
            await self.stop_clock()
            await self.concurrently(self.post_event(ticket, "cancelled") for ticket in self._tickets if ticket.is_open)
        finally:
            await self._pipeline.__aexit__(kind, error, trace)
            await self._http.aclose()

    @property
    def now(self) -> datetime:
        """The business time."""
        return self._movable_stack.now

    @property
    def tickets(self) -> Sequence[PostedTicket]:
        """The tickets of this scenario, in the order in which intake accepted them."""
        return self._tickets

    def post_to(self, *intakes: str) -> None:
        """From now on, tickets and events are posted to these replicas of intake in turn."""
        self._intakes = itertools.cycle(map(self.stack.url, intakes))

    def after(self, **duration: float) -> datetime:
        """The instant so long after the start: `after(hours=1)`."""
        return self.start + timedelta(**duration)

    async def advance_to(self, instant: datetime) -> None:
        """Moves business time to `instant` and waits until the pipeline is idle. A deadline at `instant` is still open:
        facts that occur at this instant may follow.
        """
        await self.jump_to(max(instant, self.now))
        await self.wait_until_idle()

    async def advance_past(self, instant: datetime) -> None:
        """Moves business time just past `instant` and waits until everything due has been handled and mailed."""
        await self.advance_to(instant + MICROSECOND)

    async def advance_stepwise_past(self, instant: datetime) -> None:
        """As `advance_past`, but stops at each deadline, warning and step on the way, so that no mail is late."""
        await self.jump_to(self.now + MICROSECOND)
        while due := [at for ticket in self._tickets if (at := self._next_due(ticket)) and at <= instant]:
            await self.advance_past(min(due))
        await self.advance_past(instant)

    async def jump_to(self, instant: datetime) -> None:
        """Moves business time without waiting for anything."""
        await self._movable_stack.move_clock(instant)

    async def run_clock(self, rate: float) -> None:
        """Lets business time run at `rate` business seconds per second, until it is stopped or moved."""
        await self._movable_stack.run_clock(rate)

    async def stop_clock(self) -> None:
        """Stops business time where it is."""
        await self._movable_stack.run_clock(0)

    async def wait_until_idle(self) -> None:
        """Waits until nothing is in flight between the services, and no mail is unsent."""
        await self._pipeline.wait_idle(self.now - MICROSECOND)

    async def open_ticket(self, severity: int = 1, **fields: Any) -> PostedTicket:
        """Posts a ticket that is opened now."""
        request = self.ticket_request(severity, **fields)
        return self.add_ticket(request, await self.post("/v1/tickets", request))

    async def open_tickets(self, count: int, *events: str) -> list[PostedTicket]:
        """Posts critical tickets in one batch. They are opened now, and these events occur to each of them now."""
        requests = [self.ticket_request() for _ in range(count)]
        bodies = [{"type": kind, "actor": "ada", "occurred_at": render_instant(self.now)} for kind in events]
        batch = {"tickets": [request | {"events": bodies} for request in requests]}
        tickets = []
        for request, result in zip(requests, (await self.post("/v1/tickets/batch", batch))["results"], strict=True):
            assert result["status"] == 201, result
            ticket = self.add_ticket(request, result["ticket"])
            ticket.facts += [{"type": body["type"], "occurred_at": body["occurred_at"]} for body in bodies]
            tickets.append(ticket)
        return tickets

    def ticket_request(self, severity: int = 1, **fields: Any) -> Json:
        """The request body of a new ticket."""
        return TICKET | {"external_id": f"SR-{next(Scenario._numbers)}", "severity": severity} | fields

    def add_ticket(self, request: Json, response: Json) -> PostedTicket:
        """The ticket that intake has created. It is cancelled at the end of the scenario."""
        ticket = PostedTicket(response["ticket_id"], request["external_id"], request["customer"]["id"])
        opened = {"type": "opened", "occurred_at": response["opened_at"], "severity": response["initial_severity"]}
        policy_fields = ("channel", "category", "sender_is_it_contact", "starts_at")
        ticket.facts.append(opened | {name: request[name] for name in policy_fields if name in request})
        self._tickets.append(ticket)
        return ticket

    async def post_event(self, ticket: PostedTicket, kind: str, at: datetime | None = None, **fields: Any) -> None:
        """Posts an event of the ticket that occurs now, or occurred `at` an earlier instant."""
        body: Json = {"type": kind, "actor": "ada"} | fields
        if at is not None:
            body["occurred_at"] = render_instant(at)
        response = await self.post(f"/v1/tickets/{ticket.id}/events", body)
        ticket.facts.append({"type": kind, "occurred_at": response["occurred_at"]} | fields)

    async def post_event_until_accepted(self, ticket: PostedTicket, kind: str) -> None:
        """Posts an event that occurs now, repeated as by `post_until_accepted`: its id makes it count once."""
        body = {"type": kind, "actor": "ada", "event_id": str(uuid4())}
        response = await self.post_until_accepted(f"/v1/tickets/{ticket.id}/events", body)
        ticket.facts.append({"type": kind, "occurred_at": response["occurred_at"]})

    async def deliver_mail(self, raw: bytes) -> Json:
        """Delivers a mail to intake as a mail server does; the response."""
        headers = {"Authorization": f"Bearer {MAIL_SECRET}", "Content-Type": "message/rfc822"}
        url = f"{self._urls['intake']}/v1/hooks/email/default"
        return _success(await self._http.post(url, content=raw, headers=headers))

    async def ticket_of_mail(self, raw: bytes) -> PostedTicket:
        """Delivers a mail that opens a ticket."""
        result, ticket_id = (await self.deliver_mail(raw))["detail"].split()[:2]
        assert result == "opened"
        found = await self.get("intake", f"/v1/tickets/{ticket_id}")
        return self.add_ticket(found, found)

    async def post(self, path: str, body: Json) -> Json:
        """POST to intake. Fails the test unless the status is 2xx."""
        return _success(await self._http.post(next(self._intakes) + path, json=body))

    async def post_until_accepted(self, path: str, body: Json) -> Json:
        """POST to intake, repeated after a connection error or a 5xx, as a PSA tool would."""

        async def attempt() -> Json | None:
            try:
                response = await self._http.post(next(self._intakes) + path, json=body)
            except httpx.TransportError:
                return None
            return None if response.status_code >= 500 else _success(response)

        return await eventually(attempt, f"intake accepts {body}", ACCEPTED_SECONDS)

    async def concurrently(self, work: Iterable[Awaitable[Result]]) -> list[Result]:
        """Awaits all of them, at most MAX_CONNECTIONS at a time. Results are in order."""
        slots = asyncio.Semaphore(MAX_CONNECTIONS)

        async def run(awaitable: Awaitable[Result]) -> Result:
            async with slots:
                return await awaitable

        return await asyncio.gather(*map(run, work))

    async def make_mail_server_fail(self, mode: str, **details: object) -> None:
        """Makes the SMTP sink fail (`PUT /faults`); the mode `none` ends it."""
        _success(await self._http.put(f"{self._urls['inbox']}/faults", json={"mode": mode, **details}))

    async def get(self, service: str, path: str) -> Json:
        """GET from a service, repeated after a 503. Fails the test unless the status is 2xx."""

        async def attempt() -> httpx.Response | None:
            response = await self._http.get(self._urls[service] + path)
            return None if response.status_code == 503 else response

        return _success(await eventually(attempt, f"{service} answers {path}"))

    async def exists(self, service: str, path: str) -> bool:
        """Whether a GET from a service succeeds now."""
        try:
            return (await self._http.get(self._urls[service] + path)).is_success
        except httpx.TransportError:
            return False

    async def mails(self, ticket: PostedTicket, kind: str | None = None) -> list[ReceivedMail]:
        """The mails about a ticket (all, or of one kind), oldest first. A mail that arrived twice is in there twice."""
        return [mail for mail in (await self.mails_by_ticket())[ticket.id] if kind in (None, mail.kind)]

    async def mails_by_ticket(self) -> dict[str, list[ReceivedMail]]:
        """All mails since the scenario started, by ticket id, oldest first; a digest for each of its tickets."""
        response = await self._http.get(f"{self._urls['inbox']}/messages")
        by_ticket: dict[str, list[ReceivedMail]] = defaultdict(list)
        for mail in map(parse_message, response.json()):
            for ticket_id in mail.ticket_ids:
                by_ticket[ticket_id].append(mail)
        return by_ticket

    async def mails_without_known_repetitions(self) -> dict[str, list[ReceivedMail]]:
        """The mails of each ticket. One that arrived twice is in there once if the notifier was interrupted before it
        could store the SMTP server's reply, and has recorded the delivery as ambiguous.
        """
        mails = await self.mails_by_ticket()
        for ticket in self._tickets:
            counts = Counter(mail.message_id for mail in mails[ticket.id])
            if repeated := {message_id for message_id, count in counts.items() if count > 1}:
                deliveries = await self.deliveries(ticket)
                assert repeated <= {delivery["message_id"] for delivery in deliveries if delivery["ambiguous"]}
        return {
            ticket.id: list({mail.message_id: mail for mail in mails[ticket.id]}.values()) for ticket in self._tickets
        }

    async def clocks(self, ticket: PostedTicket) -> Json:
        """The ticket's timeline from sla-timer, compared with the simulation."""
        clocks = await self.get("sla-timer", f"/v1/tickets/{ticket.id}/clocks")
        assert_clocks_match(clocks, ticket.simulate(clocks["told_to"]))
        return clocks

    async def wait_for_metric(self, service: str, sample: str, value: float) -> None:
        """Waits until the sample (name and labels, as written in `/metrics`) has this value."""

        async def reached() -> bool:
            return f"{sample} {value}" in (await self._http.get(f"{self._urls[service]}/metrics")).text.splitlines()

        await eventually(reached, f"{sample} becomes {value}")

    async def metric_sum(self, replica: str, name: str) -> float:
        """The sum of all samples of a metric of one replica."""
        text = (await self._http.get(f"{self.stack.url(replica)}/metrics")).text
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith((f"{name}{{", f"{name} ")))

    async def escalation(self, ticket: PostedTicket) -> Json:
        """The ticket's latest escalation, from the escalator."""
        return await self.get("escalator", f"/v1/tickets/{ticket.id}/escalation")

    async def deliveries(self, ticket: PostedTicket) -> Sequence[Json]:
        """The deliveries of mails about the ticket, from the notifier."""
        found: Sequence[Json] = (await self.get("notifier", f"/v1/deliveries?ticket_id={ticket.id}"))["items"]
        return found

    async def assert_consistent(
        self, *tickets: PostedTicket, mails: Mapping[str, Sequence[ReceivedMail]] | None = None
    ) -> list[Json]:
        """The APIs, the simulation and the mails (all that arrived, unless given) agree on each ticket; see
        `consistency.assert_consistent`. Returns the timelines from sla-timer.
        """
        mails = await self.mails_by_ticket() if mails is None else mails
        return await self.concurrently(self._consistent_clocks(ticket, mails.get(ticket.id, ())) for ticket in tickets)

    async def _consistent_clocks(self, ticket: PostedTicket, mails: Sequence[ReceivedMail]) -> Json:
        clocks = await self.get("sla-timer", f"/v1/tickets/{ticket.id}/clocks")
        escalations = (await self.get("escalator", f"/v1/escalations?ticket_id={ticket.id}"))["items"]
        observed = Observed(clocks, escalations, await self.deliveries(ticket), mails)
        assert_consistent(observed, ticket.simulate(clocks["told_to"]))
        return clocks

    def _next_due(self, ticket: PostedTicket) -> datetime | None:
        next_at = ticket.simulate(render_instant(self.now - MICROSECOND))["next_at"]
        return datetime.fromisoformat(next_at) if next_at else None


def _success(response: httpx.Response) -> Json:
    assert response.is_success, response.text
    body: Json = response.json()
    return body
